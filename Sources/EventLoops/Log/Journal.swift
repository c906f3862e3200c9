import Bytes
import Platform

/// systemd's journal: one datagram a line, with the level as priority. Any thread.
///
/// - Source: systemd "Native Journal Protocol"; etcd `logutil.NewJournalWriter`.
public final class Journal: Sendable {
  /// Where journald listens.
  public static let path = "/run/systemd/journal/socket"

  private let socket: UnixDatagram
  private let identifier: String

  /// Connects.
  /// - Parameter identifier: what the journal calls the program.
  /// - Throws: `ChannelError.system` when nobody listens at `path`.
  public init(identifier: String, path: String = Journal.path) throws(ChannelError) {
    self.identifier = identifier
    socket = try UnixDatagram(path: path)
  }

  /// Sends a line; when the journal does not take it, standard error does.
  func write(_ line: LogLine, _ encoded: Bytes) {
    if !socket.send(Self.datagram(line, encoded, identifier)) {
      StandardStreams.write(encoded, to: StandardStreams.error)
    }
  }

  /// `NAME=value` lines; a value of several lines has its length in front instead.
  static func datagram(_ line: LogLine, _ encoded: Bytes, _ identifier: String) -> Bytes {
    var out = ByteWriter(capacity: encoded.count + 128)
    out.append("PRIORITY=\(priority(line.level))\n")
    out.append("SYSLOG_IDENTIFIER=\(identifier)\n")
    out.append("PACKAGE=\("\(line.file)".prefix { $0 != "/" })\n")
    // The line feed that ends the encoded line is no part of the message.
    let text = encoded[0..<(encoded.count - 1)]
    if text.contains(UInt8(ascii: "\n")) {
      out.append("MESSAGE\n")
      var length = UInt64(text.count).littleEndian
      withUnsafeBytes(of: &length) { out.append($0) }
    } else {
      out.append("MESSAGE=")
    }
    out.append(text)
    out.append("\n")
    return out.finish()
  }

  /// syslog's numbers.
  private static func priority(_ level: LogLevel) -> Int {
    switch level {
    case .debug: 7
    case .info: 6
    case .warn: 4
    case .error: 3
    case .dpanic, .panic, .fatal: 2
    }
  }
}
