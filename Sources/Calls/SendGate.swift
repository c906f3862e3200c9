import EventLoops

/// Writers of a stream that wait for its queue to shrink. Confined to the stream's loop.
public final class SendGate: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `wait`.

  /// A writer waits above this many queued bytes, and goes on below a quarter of it.
  public static let highBytes = 262_144

  private let loop: EventLoop
  private var waiting: [(id: Int, continuation: UnsafeContinuation<Void, any Error>)] = []
  private var nextID = 0

  public init(loop: EventLoop) { self.loop = loop }

  public var isEmpty: Bool { waiting.isEmpty }

  /// Returns once the queue has shrunk; at once when it has by the time the caller is registered.
  /// - Parameter isFull: asked when nothing can come between the answer and the registration. What
  ///   the caller saw before the call may be of an earlier turn, and nobody opens the gate twice.
  /// - Throws: what the stream ended with, or `CancellationError`.
  public func wait(while isFull: @escaping @Sendable () -> Bool) async throws {
    loop.preconditionCurrent()
    let id = nextID
    nextID += 1
    try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation {
        (continuation: UnsafeContinuation<Void, any Error>) in
        if Task.isCancelled {
          continuation.resume(throwing: CancellationError())
        } else if !isFull() {
          continuation.resume()
        } else {
          waiting.append((id, continuation))
        }
      }
    } onCancel: {
      loop.execute {
        guard let index = self.waiting.firstIndex(where: { $0.id == id }) else { return }
        self.waiting.remove(at: index).continuation.resume(throwing: CancellationError())
      }
    }
  }

  /// Lets all waiting writers go on, or fail with `error`.
  public func open(_ error: (any Error)? = nil) {
    guard !waiting.isEmpty else { return }
    let all = waiting
    waiting = []
    for (_, continuation) in all {
      if let error { continuation.resume(throwing: error) } else { continuation.resume() }
    }
  }
}
