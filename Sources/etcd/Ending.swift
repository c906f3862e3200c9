import Synchronization

/// Waits once for the reason to end: a signal, or `nil` for none.
final class Ending: Sendable {
  private enum State {
    case running
    case waited(CheckedContinuation<Int32?, Never>)
    case ended(Int32?)
  }
  private let state = Mutex(State.running)

  /// Gives the reason; only the first counts.
  func finish(_ signal: Int32?) {
    let waiting: CheckedContinuation<Int32?, Never>? = state.withLock { state in
      switch state {
      case .running:
        state = .ended(signal)
        return nil
      case .waited(let continuation):
        state = .ended(signal)
        return continuation
      case .ended: return nil
      }
    }
    waiting?.resume(returning: signal)
  }

  func wait() async -> Int32? {
    await withCheckedContinuation { continuation in
      let reason: Int32?? = state.withLock { state in
        if case .ended(let signal) = state { return .some(signal) }
        state = .waited(continuation)
        return nil
      }
      if let reason { continuation.resume(returning: reason) }
    }
  }
}
