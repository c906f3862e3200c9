import Bytes
import EventLoops

/// A unary call waiting for its answer. A handle: copies mean the same call.
///
/// Used on `loop` only; other threads pass it along and come back with `loop.execute`. Answer
/// exactly once with `respond` or `fail`; what comes after the first answer, or after the client
/// has gone, is ignored.
public struct UnaryCall: @unchecked Sendable {
  // @unchecked: the call is confined to `loop`, asserted in `respond` and `fail`.
  package let origin: any UnaryOrigin

  public init(_ origin: any UnaryOrigin) { self.origin = origin }

  public var loop: EventLoop { origin.loop }
  public var metadata: Metadata { origin.metadata }
  /// Metadata and certificate of the client.
  public var caller: Caller { origin.caller }
  public var path: String { origin.path }
  public var remoteAddress: SocketAddress? { origin.remoteAddress }
  /// When the client stops waiting, in the loop's monotonic nanoseconds.
  public var deadline: UInt64? { origin.deadline }
  /// Whether an answer would still be sent.
  public var isOpen: Bool { origin.isOpen }

  /// Adds initial metadata, sent with the answer.
  public func addMetadata(_ name: String, _ value: Bytes) { origin.addMetadata(name, value) }

  /// Is called once, on the loop, when the client cancels, disconnects or its deadline passes
  /// before the answer.
  public func onCancel(_ body: @escaping () -> Void) {
    if isOpen { origin.onCancel = body } else { body() }
  }

  /// Answers with a message and status OK.
  public func respond(_ body: MessageBody, trailers: Metadata = [:]) {
    loop.preconditionCurrent()
    origin.respond(body, trailers: trailers)
  }

  /// Answers with a status.
  public func fail(_ status: GRPCStatus, trailers: Metadata = [:]) {
    loop.preconditionCurrent()
    origin.finish(status, trailers)
  }
}
