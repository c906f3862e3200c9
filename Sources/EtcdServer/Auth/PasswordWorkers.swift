import Bytes
import EtcdAPI
import EventLoops
import Member
import Platform
import Protobuf
import Synchronization

/// Threads that hash and check passwords, so that no loop stands still meanwhile. Any thread; the
/// threads start with the first password.
final class PasswordWorkers: Sendable {
  /// Passwords that may wait; more are refused, as each costs tens of milliseconds.
  private static let waitingMax = 64
  private static let threadsMax = 4

  private struct State {
    var threads: [WorkerThread] = []
    var next = 0
    var waiting = 0
  }

  private let cost: Int
  private let state = Mutex(State())
  /// Set before `stop` takes the threads away under the lock, so that none is made afterwards; read by
  /// the threads, which must not wait for the lock.
  private let isStopped = Atomic(false)

  init(cost: Int) { self.cost = cost }

  /// Hashes a password; `done` is called on `loop`, where the caller is.
  func hash(
    _ password: String, on loop: EventLoop, _ done: @escaping (Result<Bytes, EtcdError>) -> Void
  ) {
    do throws(EtcdError) { try PasswordHash.check(password) } catch {
      return done(.failure(error))
    }
    let cost = cost
    run(on: loop, done) {
      PasswordHash.make(password, cost: cost).map { .success($0) }
        ?? .failure(EtcdError(.internal, "etcdserver: cannot hash a password"))
    }
  }

  /// Checks a password; `done` is called on `loop`, with `authFailed` when it is wrong.
  func check(
    _ password: String, _ hash: Bytes, on loop: EventLoop,
    _ done: @escaping (Result<Void, EtcdError>) -> Void
  ) {
    run(on: loop, done) {
      PasswordHash.matches(password, hash) ? .success(()) : .failure(.authFailed)
    }
  }

  /// Runs other work of this kind on the threads; `done` is called on `loop`, where the caller is.
  func run<R: Sendable>(
    on loop: EventLoop, _ done: @escaping (Result<R, EtcdError>) -> Void,
    _ work: @escaping @Sendable () -> Result<R, EtcdError>
  ) {
    loop.preconditionCurrent()
    guard let thread = admit() else { return done(.failure(.tooManyRequests)) }
    let answer = LoopConfined(done)
    thread.execute {
      let result =
        self.isStopped.load(ordering: .relaxed) ? Result.failure(EtcdError.stopped) : work()
      self.state.withLock { $0.waiting -= 1 }
      loop.execute { answer.value(result) }
    }
  }

  /// A thread for one more piece of work; `nil` when too much waits.
  private func admit() -> WorkerThread? {
    state.withLock { state in
      guard state.waiting < Self.waitingMax, !isStopped.load(ordering: .relaxed) else { return nil }
      state.waiting += 1
      if state.threads.isEmpty {
        let count = min(Machine.processors, Self.threadsMax)
        state.threads = (0..<count).map { _ in WorkerThread(name: "etcd-password") }
      }
      state.next = (state.next + 1) % state.threads.count
      return state.threads[state.next]
    }
  }

  /// Refuses what waits and what comes, and ends the threads. Blocks; not on a loop.
  func stop() {
    isStopped.store(true, ordering: .relaxed)
    let threads = state.withLock { exchange(&$0.threads, with: []) }
    for thread in threads { thread.stop() }
  }
}
