import Bolt
import EtcdAPI
import EventLoops
import Failpoints
import MVCC
import Member
import MemberStorage
import Synchronization

/// The threads of the backend: one that commits, and one that copies it for a defragmentation meanwhile.
final class BackendWorker: @unchecked Sendable {
  // @unchecked: `unreleasedBytes` belongs to the storage thread; `store` is Sendable; the rest is immutable
  // or behind a mutex.

  let store: BackendStore
  private let storageThread = WorkerThread(name: "etcd-storage", isBackground: true)
  private let copyThread = WorkerThread(name: "etcd-copy", isBackground: true)
  private let isStopping = Mutex(false)
  private let logger: Logger
  private let metrics: ServerMetrics

  /// Written rows after which the memory that they and their entries left is given back.
  private static let releaseBytes = 64 << 20
  /// Bytes written since then.
  private var unreleasedBytes = 0

  init(_ store: BackendStore, logger: Logger, metrics: ServerMetrics) {
    self.store = store
    self.logger = logger
    self.metrics = metrics
  }

  /// Commits behind what waits, and tells the core.
  func commit(_ batch: FrozenBatch, for core: any CoreEvents) {
    storageThread.execute {
      do {
        let rows = try self.metrics.disk.observeCommit { try self.store.commit(batch) }
        Failpoint.hit(.beforeWritebackBuf)
        core.post([.committed(rows)])
        Failpoint.hit(.afterWritebackBuf)
        self.store.releaseReplaced()
        self.releaseMemory(after: batch.bytes)
      } catch { self.logger.halt("failed to commit to the backend: \(error)") }
    }
  }

  /// Replaces the database by the one that came with a snapshot, and tells the core.
  /// - Parameters:
  ///   - index: that of the snapshot.
  ///   - done: called on the storage thread once the core has been told.
  func install(
    _ append: LogAppend, _ index: UInt64, from path: String, for core: any CoreEvents,
    _ done: @escaping @Sendable () -> Void
  ) {
    metrics.requests.applyingSnapshot.set(1)
    storageThread.execute {
      defer { self.metrics.requests.applyingSnapshot.set(0) }
      do {
        let rows = try self.store.install(databaseAt: path)
        let restored = try MVCCStore.restore(from: rows, workers: .threads)
        self.logger.info("applied snapshot", [LogField("snapshot-index", .uint(index))])
        core.post([.installed(append, store: restored)])
        self.releaseReplaced(behind: core)
      } catch { self.logger.halt("failed to install the snapshot at index \(index): \(error)") }
      done()
    }
  }

  /// Rewrites the database without free pages: a copy follows it until little is left, which is done
  /// between two commits. `done` is called on another thread.
  func defragment(
    for core: any CoreEvents, _ done: @escaping @Sendable (Result<Void, StorageError>) -> Void
  ) {
    copyThread.execute {
      let start = ContinuousClock.now
      self.metrics.disk.defragInFlight.set(1)
      defer { self.metrics.disk.defragInFlight.set(0) }
      do {
        while true {
          let copy = try self.store.copy { self.isStopping.withLock { $0 } }
          if try self.put(copy, for: core) { break }
        }
        self.metrics.disk.defrag.observe(ContinuousClock.now - start)
        done(.success(()))
      } catch { done(.failure(StorageError("\(error)"))) }
    }
  }

  /// Gives free memory back to the system, behind what waits.
  /// - Parameter withProgram: also the pages of the program that are only needed at start.
  func releaseFree(withProgram: Bool = false) {
    storageThread.execute {
      releaseFreeMemory()
      if withProgram { releaseProgramPages() }
    }
  }

  /// Lets the commit under way finish, ends a copy, and closes the database.
  func stop() {
    isStopping.withLock { $0 = true }
    copyThread.stop()
    storageThread.stop()
    store.close()
  }

  private func releaseMemory(after bytes: Int) {
    unreleasedBytes += bytes
    guard unreleasedBytes >= Self.releaseBytes else { return }
    unreleasedBytes = 0
    releaseFreeMemory()
  }

  /// Waits until the storage thread has put a copy in place.
  /// - Returns: false when another database came in between.
  private func put(_ copy: BackendStore.Defragmentation, for core: any CoreEvents) throws -> Bool {
    let result = Mutex<Result<Bool, any Error>>(.success(false))
    let isOver = Gate()
    nonisolated(unsafe) let copy = copy
    storageThread.execute {
      defer { isOver.open() }
      let outcome = Result {
        guard try self.store.complete(copy) else { return false }
        do throws(BoltError) {
          core.post([.replacedBackend(try self.store.replace(by: copy))])
        } catch { self.logger.halt("cannot put the defragmented database in place: \(error)") }
        self.releaseReplaced(behind: core)
        return true
      }
      result.withLock { $0 = outcome }
    }
    isOver.wait()
    return try result.withLock { $0 }.get()
  }

  /// Frees the files of replaced databases, behind the event that lets go of them.
  private func releaseReplaced(behind core: any CoreEvents) {
    core.afterEvents { self.storageThread.execute { self.store.releaseReplaced() } }
  }
}
