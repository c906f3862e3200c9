import Bytes
import EtcdAPI
import Runtime
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Threads that hash and check passwords, so that no loop stands still meanwhile. Confined to the
/// client loop; the threads start with the first password.
final class PasswordWorkers: @unchecked Sendable {
  // @unchecked: confined to `loop` as asserted; `isStopped` is atomic.

  /// Passwords that may wait; more are refused, as each costs tens of milliseconds.
  private static let waitingMax = 64
  private static let threadsMax = 4

  private let loop: EventLoop
  private let cost: Int
  private var threads: [WorkerThread] = []
  private var next = 0
  private var waiting = 0
  private let isStopped = Atomic(false)

  init(loop: EventLoop, cost: Int) {
    self.loop = loop
    self.cost = cost
  }

  /// Hashes a password; `done` is called on the loop.
  func hash(_ password: String, _ done: @escaping (Result<Bytes, EtcdError>) -> Void) {
    do throws(EtcdError) { try PasswordHash.check(password) } catch {
      return done(.failure(error))
    }
    let cost = cost
    run(done) {
      PasswordHash.make(password, cost: cost).map { .success($0) }
        ?? .failure(EtcdError(.internal, "etcdserver: cannot hash a password"))
    }
  }

  /// Checks a password; `done` is called on the loop, with `authFailed` when it is wrong.
  func check(
    _ password: String, _ hash: Bytes, _ done: @escaping (Result<Void, EtcdError>) -> Void
  ) {
    run(done) {
      PasswordHash.matches(password, hash) ? .success(()) : .failure(.authFailed)
    }
  }

  /// Runs other work of this kind on the threads; `done` is called on the loop.
  func run<R: Sendable>(
    _ done: @escaping (Result<R, EtcdError>) -> Void,
    _ work: @escaping @Sendable () -> Result<R, EtcdError>
  ) {
    loop.preconditionCurrent()
    guard waiting < Self.waitingMax, !isStopped.load(ordering: .relaxed) else {
      return done(.failure(.tooManyRequests))
    }
    waiting += 1
    let answer = Answer(done)
    thread().execute {
      let result =
        self.isStopped.load(ordering: .relaxed) ? Result.failure(EtcdError.stopped) : work()
      self.loop.execute {
        self.waiting -= 1
        answer.done(result)
      }
    }
  }

  private func thread() -> WorkerThread {
    if threads.isEmpty {
      let count = min(max(Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), 1), Self.threadsMax)
      threads = (0..<count).map { _ in WorkerThread(name: "etcd-password") }
    }
    next = (next + 1) % threads.count
    return threads[next]
  }

  /// Refuses what waits and what comes. - Returns: the threads, to be stopped outside the loop.
  func close() -> [WorkerThread] {
    loop.preconditionCurrent()
    isStopped.store(true, ordering: .relaxed)
    return exchange(&threads, with: [])
  }
}

/// Carries a handler from the loop to a thread and back.
private struct Answer<R>: @unchecked Sendable {
  // @unchecked: made on the loop and called on the loop.
  let done: (Result<R, EtcdError>) -> Void
  init(_ done: @escaping (Result<R, EtcdError>) -> Void) { self.done = done }
}
