import CUV

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A named thread for calls that block, such as fsync: it sleeps on its inbox and takes everything
/// that gathered meanwhile as one batch.
///
/// The inbox has no limit of its own: whoever posts bounds what is outstanding.
public final class WorkerThread: @unchecked Sendable {
  // @unchecked: `items` and `state` are touched only with `mutex` held; the rest is immutable,
  // except `thread`, written once in init before the object is shared.

  private enum State { case running, stopping }

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var items: [@Sendable () -> Void] = []
  private var state = State.running
  private var thread: OSThread?

  /// Starts the thread.
  /// - Parameter name: shown by the system's tools; 15 bytes count.
  /// - Parameter isBackground: lets other threads go first where processors are short.
  public init(name: String, isBackground: Bool = false) {
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
    // The thread holds the object until `stop()`.
    thread = OSThread(name: name) {
      if isBackground { cuv_lower_thread_priority() }
      self.run()
    }
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(condition)
    mutex.deallocate()
    condition.deallocate()
  }

  /// Queues work; bodies run in the order of the calls. Ignored after `stop()`.
  public func execute(_ body: @escaping @Sendable () -> Void) {
    pthread_mutex_lock(mutex)
    var isFirst = false
    if case .running = state {
      items.append(body)
      isFirst = items.count == 1
    }
    pthread_mutex_unlock(mutex)
    // After the unlock: the thread would wake only to wait for the mutex.
    if isFirst { pthread_cond_signal(condition) }
  }

  /// Runs what was queued before, then ends and joins the thread. Call once, not from the thread.
  public func stop() {
    pthread_mutex_lock(mutex)
    state = .stopping
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
    thread?.join()
    thread = nil
  }

  private func run() {
    var batch: [@Sendable () -> Void] = []
    while true {
      pthread_mutex_lock(mutex)
      while items.isEmpty, case .running = state { pthread_cond_wait(condition, mutex) }
      swap(&batch, &items)
      pthread_mutex_unlock(mutex)
      if batch.isEmpty { return }
      for body in batch { body() }
      batch.removeAll(keepingCapacity: true)
    }
  }
}
