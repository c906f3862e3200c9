import Bytes
import EventLoops

/// Messages of one direction of a stream, for one reader. The sender gets room in its window only
/// when the reader has taken a message. Confined to the stream's loop.
public final class MessageReader: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `next`.
  private enum End {
    case open, ended
    case failed(GRPCStatus)

    var isOpen: Bool { if case .open = self { true } else { false } }
  }

  let loop: EventLoop
  private var queue: [(message: Bytes, wireBytes: Int)] = []
  private var first = 0
  private var end = End.open
  private var waiter: UnsafeContinuation<Bytes?, any Error>?
  public weak var source: (any MessageSource)?

  public init(loop: EventLoop) { self.loop = loop }

  /// A message has arrived.
  public func deliver(_ message: Bytes, wireBytes: Int) {
    if let waiter {
      self.waiter = nil
      source?.taken(wireBytes)
      waiter.resume(returning: message)
    } else {
      // A short message that waits must not hold a whole read buffer.
      queue.append((message.count < 4_096 ? message.detached() : message, wireBytes))
    }
  }

  /// Nothing follows.
  public func finish() {
    guard end.isOpen else { return }
    end = .ended
    wake()
  }

  /// Nothing follows but an error, once what waits was read.
  public func finish(throwing status: GRPCStatus) {
    guard end.isOpen else { return }
    end = .failed(status)
    wake()
  }

  /// Nothing follows, and what waits is dropped.
  public func fail(_ status: GRPCStatus) {
    guard end.isOpen else { return }
    queue.removeAll()
    first = 0
    finish(throwing: status)
  }

  private func wake() {
    guard let waiter else { return }
    self.waiter = nil
    switch end {
    case .failed(let status): waiter.resume(throwing: status)
    default: waiter.resume(returning: nil)
    }
  }

  /// What can be had without waiting.
  private enum Ready {
    case message(Bytes)
    case end

    var message: Bytes? { if case .message(let bytes) = self { bytes } else { nil } }
  }

  /// The next message or the end; `nil` when there is neither yet.
  private func ready() throws(GRPCStatus) -> Ready? {
    if first < queue.count {
      let (message, wireBytes) = queue[first]
      queue[first].message = Bytes()
      first += 1
      if first == queue.count {
        queue.removeAll(keepingCapacity: true)
        first = 0
      }
      source?.taken(wireBytes)
      return .message(message)
    }
    switch end {
    case .open: return nil
    case .ended: return .end
    case .failed(let status): throw status
    }
  }

  /// The next message, `nil` at the end. On the loop.
  /// - Throws: the stream's failure, or `CancellationError`.
  public func next() async throws -> Bytes? {
    loop.preconditionCurrent()
    if let now = try ready() { return now.message }
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { continuation in
        precondition(waiter == nil, "a stream has one reader")
        if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
        // Other work of the loop may have run since the first look, and what it brought woke nobody.
        do throws(GRPCStatus) {
          if let now = try ready() {
            continuation.resume(returning: now.message)
          } else {
            waiter = continuation
          }
        } catch { continuation.resume(throwing: error) }
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
