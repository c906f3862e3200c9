import Bytes
import EventLoops

/// The methods of a router for callers within the process: services that are made of others, the JSON
/// gateway. No connection, no framing; what the services see is the same. Used on `loop`.
public struct LocalCalls: Sendable {
  private let router: CallRouter
  public let loop: EventLoop
  /// For calls that count as those of clients.
  private let slots: LoopConfined<CallSlots>

  /// - Parameter clientCallsMax: calls of clients that run at a time; others wait.
  public init(_ router: CallRouter, on loop: EventLoop, clientCallsMax: Int = .max) {
    self.router = router
    self.loop = loop
    slots = LoopConfined(CallSlots(limit: clientCallsMax))
  }

  /// Begins a unary call.
  /// - Parameter done: called once, on the loop.
  /// - Returns: the call, to be given up; `nil` when it has failed already.
  @discardableResult public func start(
    _ path: String, _ request: Bytes, _ context: LocalContext, _ done: @escaping LocalCall.Done
  ) -> LocalCall? {
    loop.preconditionCurrent()
    guard let route = router.route(Bytes(path)), case .unary(let handler) = route.handler else {
      done(.failure(router.missing(path)))
      return nil
    }
    let call = LocalCall(route, context, on: loop, done)
    if context.isCounted, let refusal = router.refusal(context.caller.metadata) {
      call.finish(refusal, [:])
      return nil
    }
    call.arm()
    guard context.isCounted else {
      call.begin(handler, request)
      return call
    }
    slots.value.enter(call) { call.begin(handler, request) }
    return call
  }

  /// Makes a unary call. Cancelling the task does not end it: what was asked for happens, and the caller
  /// learns of it.
  /// - Throws: the status that the call ended with.
  public func unary(
    _ path: String, _ request: Bytes, for caller: Caller
  ) async throws(GRPCStatus) -> Bytes {
    let result = await withUnsafeContinuation {
      (done: UnsafeContinuation<Result<Bytes, GRPCStatus>, Never>) in
      start(path, request, LocalContext(caller: caller)) { done.resume(returning: $0) }
    }
    return try result.get()
  }

  /// Opens a stream.
  /// - Throws: why it is not served.
  public func stream(
    _ path: String, _ context: LocalContext
  ) throws(GRPCStatus) -> LocalStream {
    loop.preconditionCurrent()
    guard let route = router.route(Bytes(path)), case .stream(let handler) = route.handler else {
      throw router.missing(path)
    }
    let stream = LocalStream(route, context, on: loop)
    if context.isCounted, let refusal = router.refusal(context.caller.metadata) {
      stream.handlerEnded(refusal, [:])
      throw refusal
    }
    stream.arm()
    guard context.isCounted else {
      stream.begin(handler)
      return stream
    }
    slots.value.enter(stream) { stream.begin(handler) }
    return stream
  }
}
