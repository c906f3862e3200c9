import EtcdAPI
import EventLoops
import MVCC
import Member
import Synchronization

/// The hashes that the newest compactions left, oldest first.
///
/// - Source: etcd `mvcc/hash.go` `hashStorage`.
struct CompactionHashes: Equatable, Sendable {
  static let kept = 10
  private(set) var all: [StoreSnapshot.Hash] = []

  mutating func add(_ hash: StoreSnapshot.Hash) {
    all.append(hash)
    all.sort { $0.revision < $1.revision }
    if all.count > Self.kept { all.removeFirst(all.count - Self.kept) }
  }

  subscript(revision: Int64) -> StoreSnapshot.Hash? { all.first { $0.revision == revision } }
}

/// Where a member's hashes come from: those that compactions left, and others computed when they are
/// asked for. Any thread.
final class HashStorage: Sendable {
  /// Hashes that may wait to be computed; each holds a state of the store.
  static let waitingMax = 256

  /// Hashes of the whole database that may wait to be computed; each takes as long as reading the file.
  static let databasesMax = 16

  /// Compactions that may wait to be hashed; each holds the state before it.
  static let compactionsMax = 8

  private let compactionsWaiting = Atomic(0)
  private let stored = Mutex(CompactionHashes())
  private let waiting = Atomic(0)
  private let databasesWaiting = Atomic(0)
  private let worker: WorkerThread
  private let logger: Logger
  private let seconds: Histogram

  /// - Parameter seconds: hears how long it takes to hash.
  init(worker: WorkerThread, logger: Logger, seconds: Histogram) {
    self.worker = worker
    self.seconds = seconds
    self.logger = logger
  }

  /// Hashes of the newest compactions.
  var compactions: CompactionHashes { stored.withLock { $0 } }

  /// Computes what a compaction leaves, and keeps it; not when too many wait: the leader skips a
  /// revision for which a member has no hash.
  func add(_ compaction: UnhashedCompaction) {
    guard compactionsWaiting.add(1, ordering: .relaxed).newValue <= Self.compactionsMax else {
      compactionsWaiting.subtract(1, ordering: .relaxed)
      return logger.info(
        "too many compactions wait to be hashed, skip storing compaction hash value",
        [LogField("limit", .int(Self.compactionsMax))])
    }
    worker.execute {
      defer { self.compactionsWaiting.subtract(1, ordering: .relaxed) }
      do throws(StoreError) {
        let hash = try compaction.hash()
        self.logger.info(
          "storing new hash",
          [
            LogField("hash", .uint(UInt64(hash.hash))),
            LogField("revision", .int(Int(hash.revision))),
            LogField("compact-revision", .int(Int(hash.compactRevision))),
          ])
        self.stored.withLock { $0.add(hash) }
      } catch {
        self.logger.warn("Failed compaction", [LogField("error", .string("\(error)"))])
      }
    }
  }

  /// A place among those who wait for the hash of a database; given back with `leaveDatabases`.
  func enterDatabases() -> Bool {
    if databasesWaiting.add(1, ordering: .relaxed).newValue <= Self.databasesMax { return true }
    leaveDatabases()
    return false
  }

  func leaveDatabases() { databasesWaiting.subtract(1, ordering: .relaxed) }

  /// Calls `done` on the worker's thread, or at once.
  /// - Parameters:
  ///   - revision: 0 = the newest.
  ///   - wanted: nothing is computed for whoever has gone; `done` is called with `stopped` then.
  func hash(
    of state: StoreSnapshot, at revision: Int64, wanted: WantedFlag? = nil,
    _ done: @escaping @Sendable (Result<MemberHash, EtcdError>) -> Void
  ) {
    if let known = stored.withLock({ $0[revision] }) {
      return done(.success(MemberHash(value: known, current: state.revision)))
    }
    guard waiting.add(1, ordering: .relaxed).newValue <= Self.waitingMax else {
      waiting.subtract(1, ordering: .relaxed)
      return done(.failure(.tooManyRequests))
    }
    worker.execute {
      defer { self.waiting.subtract(1, ordering: .relaxed) }
      guard wanted?.isSet != false else { return done(.failure(.stopped)) }
      do throws(StoreError) {
        let start = ContinuousClock.now
        let hash = try state.hash(at: revision)
        self.seconds.observe(ContinuousClock.now - start)
        done(.success(MemberHash(value: hash, current: state.revision)))
      } catch { done(.failure(EtcdError(error))) }
    }
  }
}

extension RunningMember {
  /// Hashes this member's data; `done` is called on the loop, where the caller is.
  /// - Parameters:
  ///   - revision: 0 = the newest.
  ///   - wanted: nothing is computed for whoever has gone.
  func hash(
    at revision: Int64, wanted: WantedFlag? = nil,
    _ done: @escaping (Result<MemberHash, EtcdError>, _ term: Term) -> Void
  ) {
    read(linearizable: false) { result, term in
      switch result {
      case .failure(let error): done(.failure(error), term)
      case .success(let state):
        let answer = LoopConfined { done($0, term) }
        self.shared.hashes.hash(of: state.snapshot, at: revision, wanted: wanted) { hash in
          self.loop.execute { answer.value(hash) }
        }
      }
    }
  }
}
