import Auth
import Bolt
import Bytes
import EtcdAPI
import EventLoops
import Failpoints
import MVCC
import Member
import MemberStorage
import Membership
import Platform
import Raft
import Snap
import Synchronization

/// Who takes what a turn of the core gives to the network and to clients. Called by the thread that
/// works at the core, in the order of the turns; implementations pass the work on and keep that order.
protocol MemberHostDelegate: AnyObject, Sendable {
  func send(_ messages: [Raftpb.Message])
  func send(_ snapshots: [SnapshotSend])
  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: Term)
  /// Called before the answers of the same turn.
  func authChanged(_ store: AuthStore?, _ events: [TokenEvent])
  /// Called before the answers of the same turn, which may arrive first: they go to other loops.
  func membershipChanged(_ changes: [Membership.Change])
  /// Called before the answers of the same turn.
  func v2Changed(_ news: V2News)
  /// Rows that became visible. - Parameter state: the store with them.
  func tell(_ rows: NewRows, _ state: () -> StoreSnapshot)
  func leaderChanged(to leader: MemberID)
  func clusterVersionChanged(to version: String)
  func downgradeChanged(to downgrade: Downgrade)
  /// A compaction was applied; its hash is to be computed elsewhere.
  func compactionBegan(_ compaction: UnhashedCompaction)
  func removedFromCluster()
}

/// Runs a member core: its thread, its clock, and the log and storage threads behind it.
///
/// ```
/// any thread ──post──▶ core ──▶ log thread (write, fsync) ──▶ core
///                       │  └──▶ storage thread (backend commit) ──▶ core
///                       └──▶ delegate: peers, answers
/// ```
/// Events that arrive while the core works wait in one inbox and are handled as one batch, so that a
/// slow fsync makes batches larger, never more fsyncs. A turn is done by the core's own thread, or,
/// when there is little to do, by the thread that brings it (`CoreInbox`); never by two at a time. The
/// clock ticks whatever the disk does.
final class MemberHost: @unchecked Sendable {
  // @unchecked: `core`, `compactions` and `heartbeats` belong to the thread that works, as `inbox`
  // says; `ticker` is confined to `loop`; `delegate` is set by `start`, before any turn; the rest is
  // immutable or behind a mutex.

  let loop: EventLoop
  /// The backend and who works at it.
  private let storage: BackendWorker
  private let log: LogWorker
  let clusterID: UInt64
  let memberID: MemberID
  /// Users and roles at start.
  let initialAuth: AuthStore
  private unowned var delegate: (any MemberHostDelegate)?

  private let logger: Logger
  private let verifier: StateVerifier?
  private let metrics: ServerMetrics
  private let tickInterval: Duration
  private var core: MemberCore
  private var ticker: LoopTimer?

  /// Both belong to the thread that works at the core.
  private var compactions = CompactionClock()
  private var heartbeats: HeartbeatClock
  /// As above: what was told of the disk.
  private var wasDiskStuck = false

  private let inbox = Mutex(CoreInbox())
  /// Opened when the turn is over during which the inbox was closed.
  private let lastTurn = Gate()

  /// What other threads may know about the member.
  struct Published: Sendable {
    var status = MemberStatus()
    var membership = Membership()
  }
  private let published: Mutex<Published>

  /// After this a member has found its leader and published itself, as a rule.
  private static let startupTime = Duration.seconds(5)
  private let pace: Pace

  init(
    core: consuming MemberCore, opened: MemberDirectory.Opened, tickInterval: Duration,
    logger: Logger, metrics: ServerMetrics, pace: Pace = Pace(), verifies: Bool = false
  ) {
    self.pace = pace
    verifier = verifies ? StateVerifier(logger) : nil
    published = Mutex(Published(status: core.status, membership: core.membership))
    initialAuth = core.auth
    self.core = core
    self.tickInterval = tickInterval
    heartbeats = HeartbeatClock(interval: tickInterval)
    self.logger = logger
    self.metrics = metrics
    loop = EventLoop(name: "etcd-core")
    storage = BackendWorker(opened.backend, logger: logger, metrics: metrics)
    log = LogWorker(opened.log, storage, logger: logger, metrics: metrics.disk)
    clusterID = opened.clusterID
    memberID = opened.memberID
  }

  /// Signs of life, for who watches from outside.
  let movement = Movement()
  /// Asks the log thread for one.
  func askLog() { movement.ask(log) }

  var backend: BackendStore { storage.store }
  var status: MemberStatus { published.withLock { $0.status } }
  /// Bytes applied and not in the backend yet.
  var pendingBytes: Int { publishedPending.load(ordering: .relaxed) }
  private let publishedPending = Atomic(0)
  var membership: Membership { published.withLock { $0.membership } }

  /// Starts threads and clock.
  /// - Parameters:
  ///   - delegate: who takes what turns give; must outlive the host's threads.
  ///   - skipTicks: ticks to take at once, so that a restarted member need not wait a whole
  ///     election timeout.
  ///   - skipTicksAlone: the same for the only voter, which need not wait for anyone.
  func start(delegate: any MemberHostDelegate, skipTicks: Int, skipTicksAlone: Int) {
    self.delegate = delegate
    loop.start()
    // Restoring the state left its working memory behind.
    storage.releaseFree()
    loop.execute {
      var out = MemberOutput()
      // What the log holds comes first: it says who the voters are.
      self.core.advance(&out)
      self.carryOut(out)
      out = MemberOutput()
      let ticks = self.core.isOnlyVoter ? skipTicksAlone : skipTicks
      for _ in 0..<ticks where self.core.status.role == .follower {
        self.core.handle(.tick, &out)
      }
      self.core.advance(&out)
      self.carryOut(out)
      self.attend(self.finish(pending: 0, turns: 0))
      self.ticker = self.loop.schedule(after: self.tickInterval, repeating: self.tickInterval) {
        self.movement.ticks.add(1, ordering: .relaxed)
        self.post(.tick)
      }
      self.loop.schedule(after: Self.startupTime) {
        self.storage.releaseFree(withProgram: true)
      }
    }
  }

  /// Stops the clock, lets the turn under way and the disk finish, and closes log and backend. Not from
  /// within a turn.
  func stop() {
    // Any thread may be at it, and what it reads is closed below.
    if inbox.withLock({ $0.close() }) { lastTurn.wait() }
    loop.execute {
      self.ticker?.cancel()
      self.ticker = nil
    }
    loop.stop()
    log.stop()
    verifier?.stop()
    storage.stop()
  }

  /// Leaves an event for the core. Any thread.
  func post(_ event: MemberEvent) { post([event]) }

  /// Leaves events for the core, and does its turn when they are few and nobody else is at it; what
  /// the turn gives goes to the delegate on the caller's thread then. Any thread.
  func post(_ events: [MemberEvent]) { attend(inbox.withLock { $0.leave(events) }) }

  private func attend(_ duty: CoreInbox.Duty) {
    switch duty {
    case .nothing: break
    case .work: work()
    case .wake: loop.execute { if self.inbox.withLock({ $0.arrive() }) { self.work() } }
    }
  }

  /// Turns until nothing waits, or until what waits is better done by the core's thread.
  private func work() {
    var turns = 0
    var duty = CoreInbox.Duty.work
    while duty == .work {
      let pending = turn()
      turns += 1
      duty = finish(pending: pending, turns: turns)
    }
    attend(duty)
  }

  private func finish(pending: Int, turns: Int) -> CoreInbox.Duty {
    let (duty, isLast) = inbox.withLock { inbox in
      (inbox.finish(pending: pending, turns: turns), inbox.isClosed)
    }
    if isLast { lastTurn.open() }
    return duty
  }

  /// - Returns: requests under way after it.
  private func turn() -> Int {
    let events = inbox.withLock { $0.take() }
    var out = MemberOutput()
    let start = monotonicNanoseconds()
    let before = core.appliedIndex
    for event in events { core.handle(event, &out) }
    core.advance(&out)
    movement.turns.add(1, ordering: .relaxed)
    let took = monotonicNanoseconds() &- start
    if out.compactedRows > 0 || out.wantsCompaction || out.compacted != nil {
      compactions.note(out, took: took, metrics.requests)
    }
    verify(events, &out)
    // Nothing of the turn has left yet: to others none of it was done.
    Failpoint.hit(.beforeApplyOneConfChange, if: !out.memberChanges.isEmpty)
    Failpoint.hit(.beforeApplyOneEntryNormal, if: core.appliedIndex != before)
    carryOut(out)
    Failpoint.hit(.raftBeforeAdvance)
    if took > pace.slowTurn {
      warn(
        .nanoseconds(Int64(clamping: took)), events,
        applied: core.appliedIndex.rawValue &- before.rawValue)
    }
    if core.status.isDiskStuck != wasDiskStuck { tellDisk(isStuck: !wasDiskStuck) }
    if events.contains(where: { if case .snapshotSaved = $0 { true } else { false } }) {
      // The core has let go of the entries before the snapshot.
      storage.releaseFree()
    }
    return out.status.proposalsPending
  }

  private func tellDisk(isStuck: Bool) {
    wasDiskStuck = isStuck
    guard isStuck else { return logger.info("the log's disk moves again") }
    logger.error(
      "the log's disk has taken nothing for an election timeout; this member does not lead until it does",
      [LogField("local-member-id", .string(memberID.hex))])
  }

  /// Before anything leaves: what a broken member says is not to be trusted.
  private func verify(_ events: [MemberEvent], _ out: inout MemberOutput) {
    guard let verifier, out.fatal == nil else { return }
    if let problem = core.checkInvariants() {
      out.fatal = BrokenGuarantee.text(problem)
      return
    }
    let committed = events.contains { if case .committed = $0 { true } else { false } }
    verifier.turnEnded(committed: committed) { core.state }
  }

  /// - Source: etcd `warnOfExpensiveGenericRequest`, whose requests are ours of a turn.
  private func warn(_ took: Duration, _ events: [MemberEvent], applied: UInt64) {
    metrics.slowApplies.add()
    logger.warn(
      "apply request took too long",
      [
        LogField("took", .duration(took)),
        LogField("expected-duration", .duration(.nanoseconds(Int64(clamping: pace.slowTurn)))),
        LogField("prefix", ""),
        LogField("request", .string(TurnText.text(events, applied: applied))),
        LogField("response", ""),
      ])
  }

  private func carryOut(_ out: MemberOutput) {
    out.carryOut(core.membership, core.snapshot(), by: self)
  }

  /// Rewrites the backend without free pages. `done` is called on another thread.
  func defragment(_ done: @escaping @Sendable (Result<Void, StorageError>) -> Void) {
    storage.defragment(for: self, done)
  }

}

extension MemberHost: CoreEvents {
  func afterEvents(_ body: @escaping @Sendable () -> Void) { loop.execute(body) }
}

// MARK: Carrying out a turn

/// On the thread that works at the core.
extension MemberHost: TurnSink {
  func send(_ messages: [Raftpb.Message]) {
    if let late = heartbeats.note(messages, now: monotonicNanoseconds()) {
      metrics.requests.heartbeatFailures.add()
      logger.warn(
        "leader failed to send out heartbeat on time; took too long, leader is overloaded likely "
          + "from slow disk",
        [
          LogField("to", .string(late.to.hex)),
          LogField("heartbeat-interval", .duration(tickInterval)),
          LogField("expected-duration", .duration(tickInterval * 2)),
          LogField("exceeded-duration", .duration(.nanoseconds(Int64(clamping: late.exceeded)))),
        ])
    }
    delegate?.send(messages)
  }
  func send(_ snapshots: [SnapshotSend]) { delegate?.send(snapshots) }

  func write(_ appends: [LogAppend]) {
    log.write(appends, for: self)
  }

  func save(_ snapshot: Raftpb.Snapshot) {
    logger.info(
      "triggering snapshot",
      [LogField("local-member-snapshot-index", .uint(snapshot.metadata.index))])
    log.save(snapshot, for: self)
  }

  func commit(_ batch: FrozenBatch) { storage.commit(batch, for: self) }

  func publish(_ status: MemberStatus, _ membership: Membership?) {
    publishedPending.store(status.pendingBytes, ordering: .relaxed)
    published.withLock { published in
      published.status = status
      if let membership { published.membership = membership }
    }
  }

  func authChanged(_ store: AuthStore?, _ events: [TokenEvent]) {
    delegate?.authChanged(store, events)
  }

  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: Term) {
    delegate?.answer(replies, reads, term: term)
  }

  func tell(_ rows: NewRows, _ state: () -> StoreSnapshot) { delegate?.tell(rows, state) }

  func v2Changed(_ news: V2News) {
    metrics.v2.record(news.activity)
    if news.replacement != nil || !news.events.isEmpty { delegate?.v2Changed(news) }
  }

  func membershipChanged(_ changes: [Membership.Change]) { delegate?.membershipChanged(changes) }

  func announce(_ out: MemberOutput) {
    if out.leaderChanged { delegate?.leaderChanged(to: out.status.leader) }
    if !out.leases.isEmpty { metrics.leases.record(out.leases) }
    if let version = out.clusterVersion { delegate?.clusterVersionChanged(to: version) }
    if let downgrade = out.downgrade { delegate?.downgradeChanged(to: downgrade) }
    for compaction in out.compactionsBegun { delegate?.compactionBegan(compaction) }
    if let index = out.compactedLog {
      logger.info("compacted Raft logs", [LogField("compact-index", .uint(index.rawValue))])
    }
    if let revision = out.compacted {
      logger.info(
        "finished scheduled compaction", [LogField("compact-revision", .int(Int(revision)))])
    }
    if out.removedSelf { delegate?.removedFromCluster() }
  }

  func later(_ event: MemberEvent, after delay: TurnDelay) {
    let time: Duration
    switch delay {
    case .none: return post(event)
    case .compactionPause: time = pace.compaction
    case .commitInterval: time = pace.commit
    // The log's thread is at it as a rule: the loop would be woken only to wait.
    case .logPause: return log.later(pace.log) { self.post(event) }
    }
    loop.execute { self.loop.schedule(after: time) { self.post(event) } }
  }

  func fail(_ reason: String) { logger.halt(reason) }
}
