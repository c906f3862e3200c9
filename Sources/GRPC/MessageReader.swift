import Bytes
import EventLoops

/// Messages of one direction of a stream, for one reader. The sender gets room in its window only
/// when the reader has taken a message. Confined to the stream's loop.
final class MessageReader: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `next`.
  private enum End {
    case open, ended
    case failed(GRPCStatus)
  }

  let loop: EventLoop
  private var queue: [(message: Bytes, wireBytes: Int)] = []
  private var first = 0
  private var end = End.open
  private var waiter: UnsafeContinuation<Bytes?, any Error>?
  weak var stream: HTTP2Stream?

  init(loop: EventLoop) { self.loop = loop }

  /// A message has arrived.
  func deliver(_ message: Bytes, wireBytes: Int) {
    if let waiter {
      self.waiter = nil
      stream?.consumed(wireBytes)
      waiter.resume(returning: message)
    } else {
      // A short message that waits must not hold a whole read buffer.
      queue.append((message.count < 4_096 ? message.detached() : message, wireBytes))
    }
  }

  /// Nothing follows.
  func finish() {
    guard case .open = end else { return }
    end = .ended
    wake()
  }

  /// Nothing follows, and what waits is dropped.
  func fail(_ status: GRPCStatus) {
    guard case .open = end else { return }
    end = .failed(status)
    queue.removeAll()
    first = 0
    wake()
  }

  private func wake() {
    guard let waiter else { return }
    self.waiter = nil
    switch end {
    case .failed(let status): waiter.resume(throwing: status)
    default: waiter.resume(returning: nil)
    }
  }

  /// The next message, `nil` at the end. On the loop.
  /// - Throws: the stream's failure, or `CancellationError`.
  func next() async throws -> Bytes? {
    loop.preconditionCurrent()
    if first < queue.count {
      let (message, wireBytes) = queue[first]
      queue[first].message = Bytes()
      first += 1
      if first == queue.count {
        queue.removeAll(keepingCapacity: true)
        first = 0
      }
      stream?.consumed(wireBytes)
      return message
    }
    switch end {
    case .ended: return nil
    case .failed(let status): throw status
    case .open: break
    }
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        precondition(waiter == nil, "a stream has one reader")
        if Task.isCancelled {
          continuation.resume(throwing: CancellationError())
        } else {
          waiter = continuation
        }
      }
    } onCancel: {
      loop.execute {
        let waiting = self.waiter
        self.waiter = nil
        waiting?.resume(throwing: CancellationError())
      }
    }
  }
}
