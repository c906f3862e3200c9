import CUV
import Platform

/// A named thread for calls that block, such as fsync: it sleeps on its inbox and takes everything
/// that gathered meanwhile as one batch.
///
/// The inbox has no limit of its own: whoever posts bounds what is outstanding.
public final class WorkerThread: @unchecked Sendable {
  // @unchecked: `items`, `timed`, `isAsleep` and `state` are touched only with `mutex` held; the rest is
  // immutable, except `thread`, written once in init before the object is shared.

  private enum State { case running, stopping }

  private struct Timed {
    let due: UInt64
    let body: @Sendable () -> Void
  }

  private let mutex: UnsafeMutablePointer<uv_mutex_t>
  private let condition: UnsafeMutablePointer<uv_cond_t>
  private var items: [@Sendable () -> Void] = []
  /// What is done later; few.
  private var timed: [Timed] = []
  private var isAsleep = false
  private var state = State.running
  private var thread: OSThread?

  /// Starts the thread.
  /// - Parameter name: shown by the system's tools; 15 bytes count.
  /// - Parameter isBackground: lets other threads go first where processors are short.
  public init(name: String, isBackground: Bool = false) {
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    uv_mutex_init(mutex)
    uv_cond_init(condition)
    // The thread holds the object until `stop()`.
    thread = OSThread(name: name) {
      if isBackground { cuv_lower_thread_priority() }
      self.run()
    }
  }

  deinit {
    uv_mutex_destroy(mutex)
    uv_cond_destroy(condition)
    mutex.deallocate()
    condition.deallocate()
  }

  /// Queues work; bodies run in the order of the calls. Ignored after `stop()`.
  public func execute(_ body: @escaping @Sendable () -> Void) {
    leave { items.append(body) }
  }

  /// Queues work for a later time; from the thread itself that wakes nobody. Ignored after `stop()`, which does
  /// not wait for it either.
  public func execute(after delay: Duration, _ body: @escaping @Sendable () -> Void) {
    let due = monotonicNanoseconds() &+ delay.nanoseconds
    leave { timed.append(Timed(due: due, body: body)) }
  }

  private func leave(_ change: () -> Void) {
    uv_mutex_lock(mutex)
    if case .running = state { change() }
    let wakes = isAsleep
    // Who leaves the next thing before the thread is awake need not wake it again.
    isAsleep = false
    uv_mutex_unlock(mutex)
    // After the unlock: the thread would wake only to wait for the mutex.
    if wakes { uv_cond_signal(condition) }
  }

  /// Runs what was queued before, then ends and joins the thread. Call once, not from the thread.
  public func stop() {
    uv_mutex_lock(mutex)
    state = .stopping
    timed.removeAll()
    uv_cond_signal(condition)
    uv_mutex_unlock(mutex)
    thread?.join()
    thread = nil
  }

  private func run() {
    var batch: [@Sendable () -> Void] = []
    while true {
      uv_mutex_lock(mutex)
      while !takeDue(), case .running = state { sleep() }
      swap(&batch, &items)
      uv_mutex_unlock(mutex)
      if batch.isEmpty { return }
      for body in batch { body() }
      batch.removeAll(keepingCapacity: true)
    }
  }

  /// Puts what is due behind what waits.
  /// - Returns: whether there is something to do.
  private func takeDue() -> Bool {
    if !timed.isEmpty {
      let now = monotonicNanoseconds()
      items += timed.filter { $0.due <= now }.sorted { $0.due < $1.due }.map(\.body)
      timed.removeAll { $0.due <= now }
    }
    return !items.isEmpty
  }

  /// Until something is left or due; the mutex is held before and after.
  private func sleep() {
    isAsleep = true
    if let due = timed.map(\.due).min() {
      let now = monotonicNanoseconds()
      if due > now { uv_cond_timedwait(condition, mutex, due - now) }
    } else {
      uv_cond_wait(condition, mutex)
    }
    isAsleep = false
  }
}
