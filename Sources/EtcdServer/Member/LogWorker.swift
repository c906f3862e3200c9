import EtcdAPI
import EventLoops
import Member
import MemberStorage
import Snap
import Synchronization

/// Who hears of what the disk did: the member's core.
protocol CoreEvents: AnyObject, Sendable {
  /// Leaves events for the core. Any thread.
  func post(_ events: [MemberEvent])
  /// Does something on a thread of the core's once the events left before have been handled.
  func afterEvents(_ body: @escaping @Sendable () -> Void)
}

extension Logger {
  /// The member's disk and memory may disagree: nothing but a restart can be trusted.
  func halt(_ reason: String) -> Never {
    fatal(
      "member cannot go on; restart it after the cause is removed",
      [LogField("error", .string(reason))])
  }
}

/// The log thread: writes entries in batches, saves raft's snapshots beside them, and stands still while
/// the database of a snapshot is put in place.
///
/// What is to be done when waits in `LogQueue`, a value.
final class LogWorker: @unchecked Sendable {
  // @unchecked: `log` belongs to the thread, and to `stop` after it; the rest is immutable or behind a mutex.

  private let log: LogStore
  private let thread = WorkerThread(name: "etcd-wal")
  private let queue = Mutex(LogQueue())
  private let backend: BackendWorker
  private let logger: Logger
  private let metrics: DiskMetrics

  init(_ log: LogStore, _ backend: BackendWorker, logger: Logger, metrics: DiskMetrics) {
    self.log = log
    self.backend = backend
    self.logger = logger
    self.metrics = metrics
  }

  /// Writes, behind what waits, and tells the core.
  func write(_ appends: [LogAppend], for core: any CoreEvents) {
    queue.withLock { $0.add(appends) }
    thread.execute { self.work(for: core) }
  }

  /// Saves a snapshot beside the log, behind what waits, and tells the core.
  func save(_ snapshot: Raftpb.Snapshot, for core: any CoreEvents) {
    queue.withLock { $0.add(snapshot) }
    thread.execute { self.work(for: core) }
  }

  /// Does something later, between two writes.
  func later(_ delay: Duration, _ body: @escaping @Sendable () -> Void) {
    thread.execute(after: delay, body)
  }

  /// Does something once the thread has come to it, behind what it has begun.
  func whenReached(_ body: @escaping @Sendable () -> Void) { thread.execute(body) }

  /// Lets the write under way finish and closes the log.
  func stop() {
    thread.stop()
    do throws(StorageError) { try log.close() } catch {
      logger.error("failed to close WAL", [LogField("error", .error(error))])
    }
  }

  /// Does everything that waits.
  private func work(for core: any CoreEvents) {
    while let job = queue.withLock({ $0.next() }) {
      switch job {
      case .write(let batch):
        flush(batch)
        let (events, append) = queue.withLock { $0.written(batch) }
        if !events.isEmpty { core.post(events) }
        if let append { install(append, for: core) }
      case .save(let snapshot): saveNow(snapshot, for: core)
      }
    }
  }

  private func flush(_ batch: [LogAppend]) {
    let start = ContinuousClock.now
    do throws(StorageError) { try log.write(batch) } catch {
      logger.halt("failed to write to the log: \(error.description)")
    }
    let took = ContinuousClock.now - start
    guard took > .seconds(1), batch.contains(where: \.mustSync) else { return }
    logger.warn(
      "slow fdatasync",
      [
        LogField("took", .duration(took)), LogField("expected-duration", .duration(.seconds(1))),
      ])
  }

  /// Has the backend replaced by the one that came with a snapshot. The log stands still meanwhile.
  private func install(_ append: LogAppend, for core: any CoreEvents) {
    guard let snapshot = append.snapshot else { return }
    let index = snapshot.metadata.index
    backend.install(append, index, from: log.snapshotter.databasePath(index: index), for: core) {
      self.queue.withLock { $0.installed() }
      self.thread.execute { self.work(for: core) }
    }
  }

  private func saveNow(_ snapshot: Raftpb.Snapshot, for core: any CoreEvents) {
    let index = snapshot.metadata.index
    let start = ContinuousClock.now
    do throws(StorageError) { try log.save(snapshot) } catch {
      logger.halt("failed to save the snapshot at index \(index): \(error.description)")
    }
    metrics.snapSave.observe(ContinuousClock.now - start)
    logger.info("saved snapshot", [LogField("snapshot-index", .uint(index))])
    core.post([.snapshotSaved(LogIndex(index))])
  }
}
