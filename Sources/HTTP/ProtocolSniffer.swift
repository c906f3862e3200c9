import Bytes
import EventLoops

/// Tells HTTP/2 with prior knowledge from HTTP/1 by the first bytes of a connection.
///
/// - Source: RFC 9113 §3.4, the client connection preface.
public final class ProtocolSniffer: ByteChannelHandler {
  /// The preface every HTTP/2 client sends first.
  public static let preface: Bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

  private let channel: any ByteChannel
  private let decide: (_ isHTTP2: Bool, _ initial: Bytes) -> Void
  private var seen = Bytes()
  private var watchdog: Watchdog?
  private var decided = false

  /// Reads from `channel`, which holds the sniffer as its handler, until its protocol is known and then calls
  /// `decide`, which gives the channel its next handler. A connection that stays silent is closed after
  /// `deadline`.
  public static func begin(
    on channel: any ByteChannel, deadline: Duration = .seconds(10),
    decide: @escaping (_ isHTTP2: Bool, _ initial: Bytes) -> Void
  ) {
    channel.handler = ProtocolSniffer(channel, deadline, decide)
  }

  private init(
    _ channel: any ByteChannel, _ deadline: Duration,
    _ decide: @escaping (_ isHTTP2: Bool, _ initial: Bytes) -> Void
  ) {
    self.channel = channel
    self.decide = decide
    watchdog = Watchdog(loop: channel.loop) { [unowned self] in self.channel.abort() }
    watchdog?.set(after: deadline)
  }

  public func channelRead(_ bytes: Bytes) {
    guard !decided else { return }
    seen = seen.followed(by: bytes)
    let common = Swift.min(seen.count, Self.preface.count)
    let matches = seen[0..<common] == Self.preface[0..<common]
    guard !matches || common == Self.preface.count else { return }
    decided = true
    watchdog?.cancel()
    decide(matches, seen)
  }

  public func channelReadEnded() { channel.closeAfterFlush() }
  public func channelWritable() {}
  public func channelClosed(_ error: ChannelError?) { watchdog?.cancel() }
}
