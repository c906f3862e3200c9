import EventLoops
import Synchronization

/// The event loop of one client, which ends once the client was closed and nothing on it is under way:
/// what a stopped loop is given never runs, and who waits for it would wait for ever.
final class LoopUsage: Sendable {
  let loop: EventLoop
  private let isOwner: Bool
  private let state = Mutex<(users: Int, isClosed: Bool)>((0, false))

  init() {
    loop = EventLoop(name: "etcd-client")
    isOwner = true
    loop.start()
  }

  /// A loop that somebody else ends.
  init(of loop: EventLoop) {
    self.loop = loop
    isOwner = false
  }

  /// Announces work on the loop; to be followed by `leave()`.
  /// - Returns: false when the client is closed, and nothing may begin.
  func enter() -> Bool {
    state.withLock { state in
      guard !state.isClosed else { return false }
      state.users += 1
      return true
    }
  }

  /// Work that was announced is done.
  func leave() {
    let isLast = state.withLock { state in
      state.users -= 1
      return state.isClosed && state.users == 0
    }
    if isLast, isOwner { loop.stop() }
  }

  /// Nothing new begins; the loop ends, now or with the last work on it.
  func close() {
    let isLast = state.withLock { state in
      defer { state.isClosed = true }
      return !state.isClosed && state.users == 0
    }
    if isLast, isOwner { loop.stop() }
  }
}
