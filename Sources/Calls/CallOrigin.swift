import Bytes
import EventLoops

/// A call as whoever brought it knows it: gRPC over HTTP/2, the JSON gateway, a proxy, a test.
/// Services see it as `UnaryCall` or `ServerStream` and never learn which it was.
///
/// Confined to `loop`.
public protocol CallOrigin: AnyObject {
  var loop: EventLoop { get }
  /// `/package.Service/Method`.
  var path: String { get }
  /// What came along.
  var metadata: Metadata { get }
  /// The other side's address; `nil` where there is none.
  var remoteAddress: SocketAddress? { get }
  /// What the other side has shown of itself when the connection was made; `nil` without TLS.
  var certificate: PeerCertificate? { get }
  /// When the client stops waiting, in the loop's monotonic nanoseconds.
  var deadline: UInt64? { get }
  /// Whether an answer would still be sent.
  var isOpen: Bool { get }
  /// Adds initial metadata, which leaves with the first message or the status.
  func addMetadata(_ name: String, _ value: Bytes)
}

extension CallOrigin {
  /// Metadata and certificate of the client.
  public var caller: Caller { Caller(metadata: metadata, certificate: certificate) }
}

/// A call with one request and one answer.
public protocol UnaryOrigin: CallOrigin {
  /// Called once when the client gives up before the answer; cleared by the answer.
  var onCancel: (() -> Void)? { get set }
  /// Answers with a message. Only the first answer counts.
  func respond(_ body: MessageBody, trailers: Metadata)
  /// Answers with a status. Only the first answer counts.
  func finish(_ status: GRPCStatus, _ trailers: Metadata)
}

/// A call whose requests and answers are any number of messages.
public protocol StreamOrigin: CallOrigin, MessageSource {
  /// Bytes in memory that wait for the client.
  var queuedBytes: Int { get }
  /// Sends the head now, before any message.
  func sendHead()
  /// Queues a message; `ServerStream.outboundProgressed` is called when some of the queue has left.
  func send(_ body: MessageBody)
  /// The handler has ended with a status; nothing of the stream is used afterwards.
  func handlerEnded(_ status: GRPCStatus, _ trailers: Metadata)
}

/// Who is told that a reader has taken a message, and gives the sender as much room again.
public protocol MessageSource: AnyObject {
  /// - Parameter wireBytes: bytes of the message as they came, with what surrounds it.
  func taken(_ wireBytes: Int)
}

/// Who calls, as far as it can be known without users and roles: what came along and what the connection
/// has shown.
public struct Caller: Sendable {
  public let metadata: Metadata
  public let certificate: PeerCertificate?

  public init(metadata: Metadata, certificate: PeerCertificate? = nil) {
    self.metadata = metadata
    self.certificate = certificate
  }
}
