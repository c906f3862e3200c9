import EtcdAPI
import Member
import Runtime
import Synchronization

/// Threads for reads that a loop has no time for: wide ranges, sorts, leases with many keys. Any thread.
///
/// They go behind loops, core and log where processors are short. Work is taken by whichever thread is
/// free, in the order in which it came.
final class ReadWorkers: Sendable {
  /// Keys that a loop looks at for one request; more are looked at here.
  static let keysOnLoop = 1000
  /// Reads that may wait; more are refused as `tooManyRequests`.
  static let waitingMax = 4096
  private static let threadsMax = 4

  private struct State {
    var threads: [WorkerThread] = []
    var waiting: [@Sendable () -> Void] = []
    var first = 0
    /// Threads that have nothing to do.
    var idle: [WorkerThread] = []
    var isStopped = false
  }
  private let state = Mutex(State())

  /// Runs `work` on a thread and `done` with its result on `loop`, where the caller is.
  func run<R: Sendable>(
    on loop: EventLoop, _ work: @escaping @Sendable () -> R,
    _ done: @escaping (Result<R, EtcdError>) -> Void
  ) {
    loop.preconditionCurrent()
    let answer = Answer(done)
    let isTaken = add {
      let result = work()
      loop.execute { answer.done(.success(result)) }
    }
    if !isTaken { done(.failure(.tooManyRequests)) }
  }

  private func add(_ work: @escaping @Sendable () -> Void) -> Bool {
    let (isTaken, thread): (Bool, WorkerThread?) = state.withLock { state in
      guard !state.isStopped, state.waiting.count - state.first < Self.waitingMax else {
        return (false, nil)
      }
      if state.threads.isEmpty {
        let count = min(max(processorCount / 2, 1), Self.threadsMax)
        state.threads = (0..<count).map {
          WorkerThread(name: "etcd-read-\($0)", isBackground: true)
        }
        state.idle = state.threads
      }
      state.waiting.append(work)
      return (true, state.idle.popLast())
    }
    if let thread { thread.execute { self.workOff(thread) } }
    return isTaken
  }

  private func workOff(_ thread: WorkerThread) {
    while let work = next(orIdle: thread) { work() }
  }

  private func next(orIdle thread: WorkerThread) -> (@Sendable () -> Void)? {
    state.withLock { state in
      guard state.first < state.waiting.count else {
        state.waiting.removeAll()
        state.first = 0
        if !state.isStopped { state.idle.append(thread) }
        return nil
      }
      let work = state.waiting[state.first]
      state.first += 1
      if state.first > 256 {
        state.waiting.removeFirst(state.first)
        state.first = 0
      }
      return work
    }
  }

  /// Drops what waits and ends the threads. Blocks; not on a loop.
  func stop() {
    let threads = state.withLock { state in
      state.isStopped = true
      state.waiting.removeAll()
      state.first = 0
      state.idle.removeAll()
      return exchange(&state.threads, with: [])
    }
    for thread in threads { thread.stop() }
  }
}

/// Carries a handler from a loop to a thread and back.
private struct Answer<R>: @unchecked Sendable {
  // @unchecked: made on the loop and called on the loop.
  let done: (R) -> Void
  init(_ done: @escaping (R) -> Void) { self.done = done }
}
