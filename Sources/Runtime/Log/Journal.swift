import Bytes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// systemd's journal: one datagram a line, with the level as priority. Any thread.
///
/// - Source: systemd "Native Journal Protocol"; etcd `logutil.NewJournalWriter`.
public final class Journal: Sendable {
  /// Where journald listens.
  public static let path = "/run/systemd/journal/socket"

  private let socket: Int32
  private let identifier: String

  /// Connects.
  /// - Parameter identifier: what the journal calls the program.
  /// - Throws: `ChannelError.system` when nobody listens at `path`.
  public init(identifier: String, path: String = Journal.path) throws(ChannelError) {
    #if canImport(Glibc)
      let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #else
      let kind = SOCK_DGRAM
    #endif
    self.identifier = identifier
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let fits = bytes.count < MemoryLayout.size(ofValue: address.sun_path)
    if fits { withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) } }
    #if canImport(Glibc)
      socket = Glibc.socket(AF_UNIX, kind, 0)
    #else
      socket = Darwin.socket(AF_UNIX, kind, 0)
    #endif
    let descriptor = socket
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        fits ? connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) : -1
      }
    }
    guard socket >= 0, result == 0 else {
      let reason = UVError(fits ? errno : ENAMETOOLONG)
      if socket >= 0 { close(socket) }
      throw .system(operation: "dial unixgram \(path)", reason)
    }
  }

  deinit { close(socket) }

  /// Sends a line; when the journal does not take it, standard error does.
  func write(_ line: LogLine, _ encoded: Bytes) {
    let message = Self.datagram(line, encoded, identifier)
    let sent = message.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, 0) }
    if sent < 0 { LogOutputs.writeAll(2, encoded) }
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
