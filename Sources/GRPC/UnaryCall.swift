import Bytes
import EventLoops

/// A unary call waiting for its answer. A handle: copies mean the same call.
///
/// Used on `loop` only; other threads pass it along and come back with `loop.execute`. Answer
/// exactly once with `respond` or `fail`; what comes after the first answer, or after the client
/// has gone, is ignored.
public struct UnaryCall: @unchecked Sendable {
  // @unchecked: the call is confined to `loop`, asserted in `respond` and `fail`.
  private let call: ServerCall

  init(_ call: ServerCall) { self.call = call }

  public var loop: EventLoop { call.loop }
  public var metadata: Metadata { call.requestMetadata }
  public var path: String { call.route?.path ?? "" }
  public var remoteAddress: SocketAddress? { call.remoteAddress }
  /// The connection's channel, to ask a TLS layer about the peer; `nil` once it has gone.
  public var channel: (any ByteChannel)? { call.connection?.channel }
  /// When the client stops waiting, in the loop's monotonic nanoseconds.
  public var deadline: UInt64? { call.deadline }
  /// Whether an answer would still be sent.
  public var isOpen: Bool { !call.isFinished && !call.isClosed }

  /// Adds initial metadata, sent with the answer.
  public func addMetadata(_ name: String, _ value: Bytes) { call.replyMetadata.add(name, value) }

  /// Is called once, on the loop, when the client cancels, disconnects or its deadline passes
  /// before the answer.
  public func onCancel(_ body: @escaping () -> Void) {
    if isOpen { call.onCancel = body } else { body() }
  }

  /// Answers with a message and status OK.
  public func respond(_ body: MessageBody, trailers: Metadata = [:]) {
    loop.preconditionCurrent()
    call.respond(body, trailers: trailers)
  }

  /// Answers with a status.
  public func fail(_ status: GRPCStatus, trailers: Metadata = [:]) {
    loop.preconditionCurrent()
    call.finish(status, trailers)
  }
}
