import EventLoops
import Member
import Platform
import Synchronization

/// When whole structures are looked at (`ETCD_VERIFY=all`). A value; times in nanoseconds.
///
/// What a turn changes is checked after every turn. A walk over all keys goes on another thread over a
/// copy of the state, one at a time, after a commit, and then rests ten times as long as it took: it
/// costs at most a tenth of one processor, however many keys there are.
struct Verification {
  private enum State {
    /// The next commit begins a walk from this time on.
    case resting(until: UInt64)
    case walking(since: UInt64)
  }

  private var state = State.resting(until: 0)
  private static let rest: UInt64 = 10

  /// A turn is over.
  /// - Parameter committed: whether the backend has reached another state.
  /// - Returns: whether a walk begins now; `ended` is to be called after it.
  mutating func begins(committed: Bool, now: UInt64) -> Bool {
    guard committed, case .resting(let until) = state, now >= until else { return false }
    state = .walking(since: now)
    return true
  }

  /// A walk is over.
  mutating func ended(now: UInt64) {
    guard case .walking(let start) = state else { return }
    let (took, _) = now.subtractingReportingOverflow(start)
    state = .resting(until: now &+ took &* Self.rest)
  }
}

/// What a broken guarantee is called in the log.
enum BrokenGuarantee {
  static func text(_ problem: String) -> String {
    "guarantee \(problem) (ETCD_VERIFY=all): keep the data directory and the log, and report it"
  }
}

/// Walks through copies of the member's state on a thread of its own, and ends the member when one is broken.
final class StateVerifier: Sendable {
  private let thread = WorkerThread(name: "etcd-verify", isBackground: true)
  private let verification = Mutex(Verification())
  private let logger: Logger

  init(_ logger: Logger) { self.logger = logger }

  /// A turn is over. - Parameter committed: whether the backend has reached another state.
  func turnEnded(committed: Bool, _ state: () -> MemberState) {
    let now = monotonicNanoseconds()
    guard verification.withLock({ $0.begins(committed: committed, now: now) }) else { return }
    let state = state()
    thread.execute {
      if let problem = state.checkInvariants() { self.logger.halt(BrokenGuarantee.text(problem)) }
      self.verification.withLock { $0.ended(now: monotonicNanoseconds()) }
    }
  }

  func stop() { thread.stop() }
}
