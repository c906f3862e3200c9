import EtcdAPI
import EventLoops
import Member
import Platform
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
    var waiting = FIFO<@Sendable () -> Void>()
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
    let answer = LoopConfined(done)
    let isTaken = add {
      let result = work()
      loop.execute { answer.value(.success(result)) }
    }
    if !isTaken { done(.failure(.tooManyRequests)) }
  }

  private func add(_ work: @escaping @Sendable () -> Void) -> Bool {
    let (isTaken, thread): (Bool, WorkerThread?) = state.withLock { state in
      guard !state.isStopped, state.waiting.count < Self.waitingMax else {
        return (false, nil)
      }
      if state.threads.isEmpty {
        let count = min(max(Machine.processors / 2, 1), Self.threadsMax)
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
      if let work = state.waiting.popFirst() { return work }
      if !state.isStopped { state.idle.append(thread) }
      return nil
    }
  }

  /// Drops what waits and ends the threads. Blocks; not on a loop.
  func stop() {
    let threads = state.withLock { state in
      state.isStopped = true
      state.waiting = FIFO()
      state.idle.removeAll()
      return exchange(&state.threads, with: [])
    }
    for thread in threads { thread.stop() }
  }
}
