import Auth
import Bytes
import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Raft
import Runtime
import Snap
import Synchronization

/// Who carries out what a member core wants from the network side. Called on the core's loop, one
/// call a turn; implementations pass the work on.
protocol MemberHostDelegate: AnyObject, Sendable {
  func send(_ messages: [Raftpb.Message])
  func send(_ snapshots: [SnapshotSend])
  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: UInt64)
  /// Called before the answers of the same turn.
  func authChanged(_ store: AuthStore?, _ events: [TokenEvent])
  func membershipChanged(_ changes: [Membership.Change])
  func leaderChanged(to leader: UInt64)
  func clusterVersionChanged(to version: String)
  func removedFromCluster()
}

/// Runs a member core: its thread, its clock, and the log and storage threads behind it.
///
/// ```
/// any thread ──post──▶ core loop ──▶ log thread (write, fsync) ──▶ core loop
///                         │  └─────▶ storage thread (backend commit) ──▶ core loop
///                         └──▶ delegate: peers, answers
/// ```
/// Events that arrive while the core works wait in one inbox and are handled as one batch, so that a
/// slow fsync makes batches larger, never more fsyncs. The clock ticks whatever the disk does.
final class MemberHost: @unchecked Sendable {
  // @unchecked: `core` is confined to `loop`; `log` to the log thread; `unreleasedBytes` to the
  // storage thread; `backend` is Sendable; the rest is immutable or behind a mutex. `delegate` is set
  // before `start`.

  let loop: EventLoop
  let backend: BackendStore
  let clusterID: UInt64
  let memberID: UInt64
  /// Users and roles at start.
  let initialAuth: AuthStore
  unowned var delegate: any MemberHostDelegate

  private let logger: Logger
  private let log: LogStore
  private let logThread = WorkerThread(name: "etcd-wal")
  private let storageThread = WorkerThread(name: "etcd-storage", isBackground: true)
  /// Copies the backend.
  private let copyThread = WorkerThread(name: "etcd-copy", isBackground: true)
  private let isStopping = Mutex(false)
  private let metrics: ServerMetrics
  private let tickInterval: Duration
  private var core: MemberCore
  private var ticker: LoopTimer?

  private struct Inbox {
    var events: [MemberEvent] = []
    var isScheduled = false
  }
  private let inbox = Mutex(Inbox())
  private let appends = Mutex<[LogAppend]>([])

  /// What other threads may know about the member.
  struct Published: Sendable {
    var status = MemberStatus()
    var membership = Membership()
  }
  private let published: Mutex<Published>

  /// Between two steps of a compaction: a step takes a tenth of it.
  private static let compactionPause = Duration.milliseconds(1)

  /// Written rows after which the memory that they and their entries left is given back.
  private static let releaseBytes = 64 << 20
  /// Bytes written since then; confined to the storage thread.
  private var unreleasedBytes = 0

  init(
    core: consuming MemberCore, opened: MemberDirectory.Opened, tickInterval: Duration,
    logger: Logger, metrics: ServerMetrics, delegate: any MemberHostDelegate
  ) {
    published = Mutex(Published(status: core.status, membership: core.membership))
    initialAuth = core.auth
    self.core = core
    self.tickInterval = tickInterval
    self.logger = logger
    self.metrics = metrics
    self.delegate = delegate
    loop = EventLoop(name: "etcd-core")
    log = opened.log
    backend = opened.backend
    clusterID = opened.clusterID
    memberID = opened.memberID
  }

  var status: MemberStatus { published.withLock { $0.status } }
  var membership: Membership { published.withLock { $0.membership } }

  /// Starts threads and clock.
  /// - Parameters:
  ///   - skipTicks: ticks to take at once, so that a restarted member need not wait a whole
  ///     election timeout.
  ///   - skipTicksAlone: the same for the only voter, which need not wait for anyone.
  func start(skipTicks: Int, skipTicksAlone: Int) {
    loop.start()
    // Restoring the state left its working memory behind.
    storageThread.execute { releaseFreeMemory() }
    loop.execute {
      var out = MemberOutput()
      // What the log holds comes first: it says who the voters are.
      self.core.advance(&out)
      let ticks = self.core.isOnlyVoter ? skipTicksAlone : skipTicks
      for _ in 0..<ticks where self.core.status.role == .follower {
        self.core.handle(.tick, &out)
      }
      self.core.advance(&out)
      self.carryOut(out)
      self.ticker = self.loop.schedule(after: self.tickInterval, repeating: self.tickInterval) {
        self.post(.tick)
      }
    }
  }

  /// Stops the clock, lets the disk finish, and closes log and backend.
  func stop() {
    loop.execute {
      self.ticker?.cancel()
      self.ticker = nil
    }
    loop.stop()
    logThread.stop()
    isStopping.withLock { $0 = true }
    copyThread.stop()
    storageThread.stop()
    do throws(StorageError) { try log.close() } catch {
      logger.error("failed to close WAL", [LogField("error", .error(error))])
    }
    backend.close()
  }

  /// Leaves an event for the core. Any thread.
  func post(_ event: MemberEvent) {
    let wake = inbox.withLock { inbox in
      inbox.events.append(event)
      defer { inbox.isScheduled = true }
      return !inbox.isScheduled
    }
    if wake { loop.execute { self.turn() } }
  }

  private func turn() {
    let events = inbox.withLock { inbox in
      inbox.isScheduled = false
      return exchange(&inbox.events, with: [])
    }
    var out = MemberOutput()
    for event in events { core.handle(event, &out) }
    core.advance(&out)
    carryOut(out)
  }

  private func carryOut(_ out: MemberOutput) {
    if let reason = out.fatal { fail(reason) }
    if !out.messages.isEmpty { delegate.send(out.messages) }
    if !out.appends.isEmpty { write(out.appends) }
    if let batch = out.freeze { commit(batch) }
    publish(out)
    if out.auth != nil || !out.tokenEvents.isEmpty {
      delegate.authChanged(out.auth, out.tokenEvents)
    }
    if !out.replies.isEmpty || !out.reads.isEmpty {
      delegate.answer(out.replies, out.reads, term: core.status.term)
    }
    if let snapshot = out.saveSnapshot { save(snapshot) }
    if !out.sendSnapshots.isEmpty { delegate.send(out.sendSnapshots) }
    if !out.memberChanges.isEmpty { delegate.membershipChanged(out.memberChanges) }
    if out.leaderChanged { delegate.leaderChanged(to: core.status.leader) }
    if !out.leases.isEmpty { metrics.leases.record(out.leases) }
    if let version = out.clusterVersion { delegate.clusterVersionChanged(to: version) }
    if let revision = out.compacted {
      logger.info(
        "finished scheduled compaction", [LogField("compact-revision", .int(Int(revision)))])
    }
    if out.removedSelf { delegate.removedFromCluster() }
    if out.wantsMore { post(.resume) }
    if out.wantsCompaction {
      loop.schedule(after: Self.compactionPause) { self.post(.compact) }
    }
  }

  private func publish(_ out: MemberOutput) {
    let status = core.status
    let membership = out.memberChanges.isEmpty && out.clusterVersion == nil ? nil : core.membership
    published.withLock { published in
      published.status = status
      if let membership { published.membership = membership }
    }
  }

  // MARK: Log

  private func write(_ new: [LogAppend]) {
    appends.withLock { $0 += new }
    logThread.execute { self.writeAppends() }
  }

  /// Writes everything that waits, on the log thread.
  private func writeAppends() {
    let waiting = appends.withLock { exchange(&$0, with: []) }
    guard !waiting.isEmpty else { return }
    var batch: [LogAppend] = []
    for append in waiting {
      batch.append(append)
      guard append.snapshot != nil else { continue }
      flush(batch)
      batch.removeAll()
      install(append)
    }
    if !batch.isEmpty {
      flush(batch)
      for append in batch { post(.appended(append)) }
    }
  }

  private func flush(_ batch: [LogAppend]) {
    let start = ContinuousClock.now
    do throws(StorageError) { try log.write(batch) } catch {
      fail("failed to write to the log: \(error.description)")
    }
    if batch.contains(where: \.mustSync) {
      let took = ContinuousClock.now - start
      metrics.walFsync.observe(took)
      if took > .seconds(1) {
        logger.warn(
          "slow fdatasync",
          [
            LogField("took", .duration(took)),
            LogField("expected-duration", .duration(.seconds(1))),
          ])
      }
    }
    // Entries before the snapshot in the batch are durable; the snapshot itself is installed next.
    for append in batch.dropLast() where batch.last?.snapshot != nil { post(.appended(append)) }
  }

  /// Replaces the backend by the one that came with a snapshot. The log waits meanwhile, so that
  /// entries behind the snapshot are reported after it.
  private func install(_ append: LogAppend) {
    guard let snapshot = append.snapshot else { return }
    let index = snapshot.metadata.index
    let path = log.snapshotter.databasePath(index: index)
    let done = Gate()
    storageThread.execute {
      defer { done.open() }
      do {
        let rows = try self.backend.install(databaseAt: path)
        let store = try MVCCStore.restore(from: rows, workers: .threads)
        self.logger.info("applied snapshot", [LogField("snapshot-index", .uint(index))])
        self.post(.installed(append, store: store))
        self.releaseReplaced()
      } catch { self.fail("failed to install the snapshot at index \(index): \(error)") }
    }
    done.wait()
  }

  private func save(_ snapshot: Raftpb.Snapshot) {
    let index = snapshot.metadata.index
    logger.info("triggering snapshot", [LogField("local-member-snapshot-index", .uint(index))])
    logThread.execute {
      do throws(StorageError) { try self.log.save(snapshot) } catch {
        self.fail("failed to save the snapshot at index \(index): \(error.description)")
      }
      self.logger.info("saved snapshot", [LogField("snapshot-index", .uint(index))])
      self.post(.snapshotSaved(index))
      // Behind that event: the core lets go of the entries before the snapshot.
      self.loop.execute { self.storageThread.execute { releaseFreeMemory() } }
    }
  }

  // MARK: Backend

  private func commit(_ batch: FrozenBatch) {
    storageThread.execute {
      let start = ContinuousClock.now
      do {
        let rows = try self.backend.commit(batch)
        self.metrics.backendCommit.observe(ContinuousClock.now - start)
        self.post(.committed(rows))
        self.backend.releaseReplaced()
        self.releaseMemory(after: batch.bytes)
      } catch { self.fail("failed to commit to the backend: \(error)") }
    }
  }

  /// On the storage thread.
  private func releaseMemory(after bytes: Int) {
    unreleasedBytes += bytes
    guard unreleasedBytes >= Self.releaseBytes else { return }
    unreleasedBytes = 0
    releaseFreeMemory()
  }

  /// Rewrites the backend without free pages: a copy follows it until little is left, which is done
  /// between two commits. `done` is called on another thread.
  func defragment(_ done: @escaping @Sendable (Result<Void, StorageError>) -> Void) {
    copyThread.execute {
      do {
        while true {
          let copy = try self.backend.copy { self.isStopping.withLock { $0 } }
          if try self.put(copy) { break }
        }
        done(.success(()))
      } catch { done(.failure(StorageError("\(error)"))) }
    }
  }

  /// Waits until the storage thread has put a copy in place.
  /// - Returns: false when another database came in between.
  private func put(_ copy: BackendStore.Defragmentation) throws -> Bool {
    let result = Mutex<Result<Bool, any Error>>(.success(false))
    let isOver = Gate()
    nonisolated(unsafe) let copy = copy
    storageThread.execute {
      defer { isOver.open() }
      let outcome = Result {
        guard let rows = try self.backend.finish(copy) else { return false }
        self.post(.replacedBackend(rows))
        self.releaseReplaced()
        return true
      }
      result.withLock { $0 = outcome }
    }
    isOver.wait()
    return try result.withLock { $0 }.get()
  }

  /// Frees the files of replaced databases, behind the event that lets go of them.
  private func releaseReplaced() {
    loop.execute { self.storageThread.execute { self.backend.releaseReplaced() } }
  }

  /// The member's disk and memory may disagree: nothing but a restart can be trusted.
  private func fail(_ reason: String) -> Never {
    logger.fatal(
      "member cannot go on; restart it after the cause is removed",
      [
        LogField("error", .string(reason))
      ])
  }
}

/// Puts a new value in place and returns the old one.
@inline(__always)
func exchange<T>(_ place: inout T, with new: T) -> T {
  let old = place
  place = new
  return old
}
