import Bytes

/// A byte connection confined to one loop: a socket, or a layer such as TLS that wraps another
/// channel. Everything is called on `loop`.
///
/// A wrapping channel is the handler of the inner one, owns it, and shows itself to the protocol
/// above through this protocol.
public protocol ByteChannel: AnyObject, Sendable {
  /// The loop the channel lives on.
  var loop: EventLoop { get }
  /// Who is told about data and closing. Held strongly until the channel is closed.
  var handler: (any ByteChannelHandler)? { get set }
  /// Bytes written that the system has not taken yet.
  var pendingWriteBytes: Int { get }
  /// `channelWritable` is called when `pendingWriteBytes` fell below `low` after having been above
  /// `high`. Writes above `high` are still taken: the writer decides when to stop.
  var watermarks: Watermarks { get set }
  /// Whether `pendingWriteBytes` is not above the high watermark.
  var isWritable: Bool { get }
  /// Whether it was closed or aborted.
  var isClosed: Bool { get }
  /// The other side; `nil` when unknown.
  var remoteAddress: SocketAddress? { get }
  /// This side.
  var localAddress: SocketAddress? { get }
  /// What the other side has proved to be, where a layer such as TLS asked for it; `nil` otherwise.
  var peerCertificate: PeerCertificate? { get }
  /// Whether a layer keeps others from reading what is sent.
  var isSecure: Bool { get }
  /// Starts delivering what arrives to `handler`. Call once, after setting the handler.
  func start()
  /// Queues bytes; they leave at the end of the turn. Ignored when closed.
  func write(_ bytes: Bytes)
  /// Queues several parts in order.
  func write(_ parts: [Bytes])
  /// Queues several parts, and sends what is queued at once where that is possible: for a protocol
  /// that does it at the end of a turn itself.
  func writeNow(_ parts: [Bytes])
  /// No `channelRead` until `resumeReading`.
  func pauseReading()
  func resumeReading()
  /// Hands the channel to another loop. What was read is the caller's; this object is closed, and its handler
  /// hears nothing more.
  /// - Precondition: nothing was written that still waits.
  /// - Parameter done: called on `target`, with the channel there, which is not started; never when descriptors
  ///   are short or the loop has stopped: the peer sees a closed connection, and its place is free.
  func move(to target: EventLoop, _ done: @escaping @Sendable (any ByteChannel) -> Void)
  /// Closes once everything written has left, or when `flushTimeout` of the channel has passed.
  func closeAfterFlush()
  /// Closes at once; what was written may be lost.
  func abort()
  /// Closes at once, and has the other side see a broken connection (RST) instead of an end, where it can.
  func reset()
}

extension ByteChannel {
  public var peerCertificate: PeerCertificate? { nil }
  public var isSecure: Bool { false }
  public func writeNow(_ parts: [Bytes]) { write(parts) }
  public func reset() { abort() }
}

/// What was verified of the other side's certificate.
public struct PeerCertificate: Sendable, Equatable {
  /// The subject's common name; empty when it has none.
  public let commonName: String

  public init(commonName: String) { self.commonName = commonName }
}

/// Limits of a channel's output queue, in bytes.
public struct Watermarks: Sendable {
  public var low: Int
  public var high: Int
  public init(low: Int, high: Int) {
    precondition(low >= 0 && low <= high, "low watermark above the high one")
    self.low = low
    self.high = high
  }
  public static let standard = Watermarks(low: 65_536, high: 262_144)
}

/// What a channel tells the protocol above it. All calls come on the channel's loop.
public protocol ByteChannelHandler: AnyObject {
  /// Bytes arrived. The slice may be kept; a few bytes kept for long should be `detached()`.
  func channelRead(_ bytes: Bytes)
  /// The peer sends no more; it may still read. Called at most once.
  func channelReadEnded()
  /// The output queue fell below the low watermark.
  func channelWritable()
  /// The channel is closed; nothing else is called afterwards. `nil` after an orderly close.
  func channelClosed(_ error: ChannelError?)
}

/// Why a channel, a listener or an attempt to connect failed.
public enum ChannelError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A system call failed; `operation` says which and on what address.
  case system(operation: String, UVError)
  /// Name resolution failed.
  case resolve(host: String, reason: String)
  /// A deadline passed.
  case timedOut(operation: String)
  /// The address to listen on is taken.
  case addressInUse(String)
  /// The loop was stopped.
  case loopStopped
  /// `abort()` was called.
  case aborted
  /// A layer between the socket and the protocol failed, such as TLS.
  case layer(String)

  public var description: String {
    switch self {
    case .system(let operation, let error): "\(operation): \(error)"
    case .resolve(let host, let reason): "lookup \(host): \(reason)"
    case .timedOut(let operation): "\(operation): i/o timeout"
    case .addressInUse(let address): "listen tcp \(address): bind: address already in use"
    case .loopStopped: "event loop stopped"
    case .aborted: "connection aborted"
    case .layer(let text): text
    }
  }
}
