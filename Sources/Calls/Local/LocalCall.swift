import Bytes
import EventLoops
import Protobuf

/// A unary call from within the process. Confined to `loop`.
public final class LocalCall: LocalOrigin, UnaryOrigin, @unchecked Sendable {
  // @unchecked: confined to `loop`.

  public typealias Done = (Result<Bytes, GRPCStatus>) -> Void

  public var onCancel: (() -> Void)?
  private var done: Done?
  /// What has come of a large answer.
  private var fetched: ByteWriter?

  /// Bytes of a large answer that are fetched in one turn.
  private static let turnBytes = 1 << 20

  init(
    _ route: CallRouter.Route, _ context: LocalContext, on loop: EventLoop, _ done: @escaping Done
  ) {
    self.done = done
    super.init(route, context, on: loop)
  }

  /// The time that the caller waits begins.
  func arm() {
    // The timer keeps the call: whoever waits for it is told, even when its service has forgotten it.
    armDeadline { self.giveUp(.deadlineExceeded) }
  }

  func begin(_ handler: CallRouter.UnaryHandler, _ request: Bytes) {
    countReceived(request.count)
    handler(UnaryCall(self), request)
  }

  public func respond(_ body: MessageBody, trailers: Metadata) {
    guard isOpen else { return }
    countSent(body.length)
    switch body {
    case .bytes(let bytes): settle(.success(bytes))
    case .framed(let bytes):
      settle(.success(bytes[MessageBody.prefixBytes..<bytes.count]))
    case .chunks(let parts):
      var out = ByteWriter(capacity: body.length)
      for part in parts { out.append(part) }
      settle(.success(out.finish()))
    case .pull(let length, let next):
      fetched = ByteWriter(capacity: length)
      fetch(length, next)
    }
  }

  /// Collects an answer that is made as it leaves, some a turn.
  private func fetch(_ length: Int, _ next: @escaping (Int) -> Bytes?) {
    guard isOpen, var out = fetched.take() else { return }
    let end = Swift.min(length, out.count + Self.turnBytes)
    while out.count < end {
      guard let piece = next(end - out.count), !piece.isEmpty else {
        return finish(GRPCStatus(.internal, "the answer of \(path) broke off"), [:])
      }
      out.append(piece)
    }
    guard out.count < length else { return settle(.success(out.finish())) }
    fetched = consume out
    let rest = LoopConfined(next)
    loop.execute { self.fetch(length, rest.value) }
  }

  public func finish(_ status: GRPCStatus, _ trailers: Metadata) { settle(.failure(status)) }

  /// The caller waits no more.
  public func cancel() { giveUp(.cancelled) }

  private func giveUp(_ status: GRPCStatus) {
    let callback = onCancel
    guard isOpen else { return }
    settle(.failure(status))
    callback?()
  }

  private func settle(_ result: Result<Bytes, GRPCStatus>) {
    let status: GRPCStatus = if case .failure(let error) = result { error } else { .ok }
    guard end(status) else { return }
    onCancel = nil
    let done = done
    self.done = nil
    done?(result)
  }
}
