import Auth
import Bytes
import EtcdAPI
import MVCC
import Membership
import Raft
import V2Store

/// A member without threads, clock, disk and network: raft, the replicated state, and the requests
/// that wait for them. Events go in, `MemberOutput` comes out; the same events give the same output.
///
/// One owner calls `handle` for each event and then `advance` once a turn, so that everything that
/// came in one turn shares one log write, one read round and one reply batch.
public struct MemberCore: ~Copyable, Sendable {
  public struct Config: Sendable {
    public var raft: RaftConfig
    /// Applied entries between two raft snapshots.
    public var snapshotCount: UInt64 = 100_000
    /// Entries kept behind a snapshot for followers that lag a little.
    public var catchUpEntries: UInt64 = 5000
    /// Ticks after which a request that got no answer fails.
    public var requestTicks: Int
    /// Ticks after which an unanswered read round is asked again.
    public var readRetryTicks: Int = 5
    /// Length of a tick in milliseconds: the clock of leases.
    public var tickMilliseconds = 100
    /// Whether the leader records what is left of long leases, how often in milliseconds, and whether
    /// a restart remembers it.
    public var leaseCheckpoint = false
    public var leaseCheckpointInterval = 300_000
    public var leaseCheckpointPersist = false
    /// Keys that a deletion may take a turn; one that takes more is done in steps, between which
    /// messages and ticks are heard.
    public var applyStepKeys = 2000
    /// Keys visited a turn by a compaction under way.
    public var compactionStepKeys = 256
    /// Rows that a compaction removes from the backend in one commit: few, because fsyncs of the log wait
    /// for what a commit writes.
    /// - Source: etcd's default of `--experimental-compaction-batch-limit`.
    public var compactionBatchRows = 1_000
    /// Rows not in the backend at which it is committed before `commit` comes. The log holds everything
    /// meanwhile; each commit costs two fsyncs that the log's own have to wait for.
    public var commitRows = 10_000
    /// Bytes of rows after which the backend is committed.
    public var commitBytes = 32 << 20
    /// Keys and values not yet in the backend at which new proposals are refused.
    public var pendingBytesMax = 512 << 20
    /// Requests that may wait for their entry at a time, and as many reads for their index.
    public var waitingMax = 1 << 17
    /// Callers that may wait until an index is applied, who need not be known users, and as many until the
    /// backend holds it.
    public var appliedWaitsMax = 1024
    /// Learners that the cluster may have at a time: decides whether an entry is refused, so that every member must
    /// have the same.
    public var learnersMax = 1
    /// Hears how long requests took to apply.
    public var applyObserver: (any ApplyObserver)?
    /// For entries of etcd 3.4, which hold passwords in plain text.
    public var hashPassword: AuthStore.PasswordHash = { _ in nil }

    public init(raft: RaftConfig) {
      self.raft = raft
      self.raft.asyncStorageWrites = true
      requestTicks = 5 * 10 + 2 * raft.electionTicks
    }
  }

  /// A position in the log with everything that belongs to it.
  struct Position: Sendable {
    var index: LogIndex = 0
    var term: Term = 0
    var confState = Raftpb.ConfState()
    var membership = Membership()
    /// Holds the membership too, and what users of the v2 API wrote.
    var v2 = V2Store()
  }

  let config: Config
  var node: RawNode<MemoryStorage>
  var store: MVCCStore
  /// Last applied entry.
  var applied: Position
  var backend: BackendProgress
  /// Entries up to here are in the backend already and only change the configuration.
  var replayUntil: LogIndex
  var log = LogProgress()

  var ticks = 0
  var proposals = ProposalQueue()
  var forwarded = ForwardedProposals()
  var links = BrokenLinks()
  /// Changes of members that raft did not take yet.
  var parkedChanges: [Raftpb.ConfChange] = []
  var disk = DiskWatch()
  var isDiskStuck = false
  var reads = ReadQueue()
  var alarms: AlarmSet
  /// Whether the cluster is on its way to an older version.
  public internal(set) var downgrade: Downgrade
  /// Users and roles.
  public internal(set) var auth: AuthStore
  /// Callers that wait until an index is applied.
  var appliedWaits: [(id: RequestID, index: LogIndex)] = []
  /// Whether the next step of a compaction waits for its event.
  var compactionPause = false
  var physicalCompactions = PhysicalCompactions()
  var leaderWatch = LeaderWatch()
  var readContexts: RequestIDs
  var lessor: Lessor
  /// Renewals that wait for an entry about their lease.
  var parkedRenewals = ParkedRenewals()
  /// Callers that wait until the backend holds an index.
  var flushes: [(id: RequestID, index: LogIndex, withCompactions: Bool)] = []
  /// Committed entries on their way into the state.
  var applyQueue = ApplyQueue()
  /// When the entry being applied began, for the observer.
  var applyBegan: UInt64 = 0
  /// Keys that may still be deleted in this turn.
  var applyBudget = 0
  /// Snapshots for peers that wait for a backend that knows the receiver.
  var heldSnapshots: [Raftpb.Message] = []
  /// Revision through which those who watch were told of every row.
  var toldThrough: Int64 = 0
  /// A v2 store of which nobody has heard yet.
  var newV2Store: V2News.Replacement?
  /// The tick in which the removal of the leader was applied, until somebody is to follow it.
  var succession: Int?
  /// Why the member cannot go on. Nothing is taken or applied from then on.
  private(set) var failure: String?

  /// - Parameter storage: the log as read from disk.
  /// - Parameter snapshot: the raft snapshot the log begins with; empty for a new member.
  /// - Parameter consistentIndex: last index that the backend holds.
  /// - Throws: `RaftError.invalidConfig`; `MembershipError` as text in `invalidState`.
  public init(
    _ config: Config, storage: MemoryStorage, snapshot: Raftpb.Snapshot, store: MVCCStore,
    rows: any CommittedRows, consistentIndex: LogIndex, requestIDs: RequestIDs
  ) throws(RaftError) {
    var config = config
    config.raft.applied = snapshot.metadata.index
    let node = try RawNode(config.raft, storage: storage)
    let applied: Position
    do throws(V2SnapshotError) { applied = try Position(snapshot) } catch {
      throw .invalidState(error.description)
    }
    do throws(StoreError) {
      var alarms = AlarmSet()
      try alarms.restore(from: store)
      self.init(
        config, node, store, applied, requestIDs,
        backend: BackendProgress(applied, rows, snapshotIndex: LogIndex(snapshot.metadata.index)),
        replayUntil: consistentIndex, alarms: alarms, downgrade: try Self.downgrade(in: store),
        auth: try AuthStore(restoring: store))
    } catch { throw .invalidState("\(error)") }
  }

  /// A value that is not copied takes all it is made of at once, or is none.
  private init(
    _ config: Config, _ node: RawNode<MemoryStorage>, _ store: MVCCStore, _ applied: Position,
    _ requestIDs: RequestIDs, backend: BackendProgress, replayUntil: LogIndex, alarms: AlarmSet,
    downgrade: Downgrade, auth: AuthStore
  ) {
    self.config = config
    self.node = node
    self.store = store
    self.applied = applied
    self.backend = backend
    self.replayUntil = replayUntil
    self.alarms = alarms
    self.downgrade = downgrade
    self.auth = auth
    lessor = Lessor(config.lessor)
    newV2Store = V2News.Replacement(applied.v2)
    readContexts = requestIDs
  }

  /// Puts the first members into the log of a new cluster.
  /// - Throws: `cannotBootstrap`.
  public mutating func bootstrap(_ members: [MemberInfo]) throws(RaftError) {
    try node.bootstrap(
      members.sorted { $0.id < $1.id }.map { (id: $0.id.rawValue, context: $0.json()) })
  }

  public var id: MemberID { MemberID(node.id) }
  /// Index of the last applied entry.
  public var appliedIndex: LogIndex { applied.index }
  /// Keys that one step of a compaction visits.
  public var compactionStepKeys: Int { config.compactionStepKeys }
  public var membership: Membership { applied.membership }
  /// The configuration as of the last applied entry.
  public var confState: Raftpb.ConfState { applied.confState }
  /// Whether no other member votes, as far as the log is applied.
  public var isOnlyVoter: Bool {
    applied.confState.voters == [node.id] && applied.confState.votersOutgoing.isEmpty
  }
  public var isLeader: Bool { node.basicStatus.softState.role == .leader }

  /// The store as it is now: for reads that need not be linearizable.
  public func snapshot() -> StoreSnapshot { applyQueue.bulk?.before ?? store.snapshot() }

  public var status: MemberStatus {
    let basic = node.basicStatus
    var status = MemberStatus()
    status.leader = MemberID(basic.softState.lead)
    status.term = Term(basic.hardState.term)
    status.commitIndex = LogIndex(basic.hardState.commit)
    status.appliedIndex = applied.index
    status.revision = store.revision
    status.compactRevision = store.compactRevision
    status.keys = applyQueue.bulk?.before.liveKeys ?? store.liveKeys
    status.pendingBytes = store.pendingBytes
    status.role = basic.softState.role
    status.isLearner = basic.isLearner
    status.isDiskStuck = isDiskStuck
    status.alarms = alarms.all
    status.downgrade = downgrade
    status.leaderChanges = leaderWatch.changes
    status.proposalsPending = proposals.count
    status.proposalsFailed = proposals.failed
    status.slowReads = reads.slow
    status.failedReads = reads.failed
    status.putBytes = store.putBytes
    status.hasExpiringV2Keys = applied.v2.hasExpiringKeys
    status.authRevision = auth.revision
    return status
  }

  /// Asks for votes, unless there is a leader or votes are asked for already.
  mutating func campaign() {
    let state = node.basicStatus.softState
    if state.role == .follower, state.lead == 0 { node.campaign() }
  }

  /// The member cannot go on; the first reason counts.
  mutating func halt(_ reason: String) { failure = failure ?? reason }

  /// Takes one event.
  public mutating func handle(_ event: MemberEvent, _ out: inout MemberOutput) {
    guard failure == nil else { return }
    switch event {
    case .tick: tick(&out)
    case .propose(let proposals): propose(proposals, &out)
    case .read(let ids): read(ids, &out)
    case .readLocal(let ids): readLocal(ids, &out)
    case .askLeases(let questions): ask(questions, &out)
    case .askV2(let questions): ask(questions, &out)
    case .awaitApplied(let id, let index): awaitApplied(index, id: id, &out)
    case .flush(let id, let withCompactions): flush(id, withCompactions: withCompactions, &out)
    case .resume: break
    case .compact: compactionPause = false
    case .commit: backend.commitIntervalEnded(isBehind: isBackendBehind)
    case .writeNews:
      log.pauseEnded()
      writeNews(&out)
    case .receive(let messages): for message in messages { step(message) }
    case .appended(let append): didAppend(append)
    case .committed(let state): didCommit(state, &out)
    case .installed(let append, let store): didInstall(append, store, &out)
    case .snapshotSaved(let index): didSaveSnapshot(index, &out)
    case .unreachable(let id): node.reportUnreachable(id.rawValue)
    case .linked(let id, let isUp): links.changed(id, isUp: isUp, tick: ticks)
    case .snapshotSent(let id, let failed): node.reportSnapshot(id.rawValue, failed: failed)
    case .campaign: campaign()
    case .transferLeader(let id): node.transferLeader(to: id.rawValue)
    case .changeMembers(let id, let change): propose(change, id: id, &out)
    case .checkLearner(let id, let learner): checkLearner(learner, id: id, &out)
    case .replacedBackend(let state):
      store.replaceCommitted(state)
      backend.replaced(by: state)
    }
  }

  /// Lets raft and the state machine work until nothing is left that needs no event. Call it once a
  /// turn, after the events.
  ///
  /// The steps are in the order in which one needs what another gives.
  public mutating func advance(_ out: inout MemberOutput) {
    // 1. Answers that had to wait for the log: it reported in this turn's events.
    sendDelayed(&out)
    applyBudget = config.applyStepKeys
    applyOn(&out)
    // 2. Raft and apply. A round of reads asked here may be confirmed at once (a member alone), and
    //    reads let go may find entries that came with it.
    repeat {
      askForReads()
      work(&out)
      releaseReads(&out)
    } while node.hasReady && failure == nil
    // 3. Requests that had no leader, and what leases ask for: both add entries, so raft works again.
    proposeParked(&out)
    leaseWork(&out)
    work(&out)
    // 4. Storage responses of 2 and 3 that count at once may have given more to send.
    sendDelayed(&out)
    // 5. Compaction drops rows before the batch is frozen that writes them off.
    compactionStep(&out)
    // 6. Who waits for an index, or for the backend, is answered from what is applied and durable now.
    releaseAppliedWaits(&out)
    releaseFlushes(&out)
    // 7. Rows are told of before they leave for the backend.
    tellNewRows(&out)
    if let replacement = newV2Store {
      out.v2.replacement = replacement
      newV2Store = nil
    }
    out.v2.events = applied.v2.takeNews()
    out.v2.activity = applied.v2.takeActivity()
    // 8. The batch holds everything that was applied above; a raft snapshot is of what is durable.
    maybeFreeze(&out)
    askForCommit(&out)
    out.wantsNews = log.asksForPause()
    maybeSnapshot(&out)
    if applyQueue.bulk != nil { out.wantsMore = true }
    out.status = status
    out.fatal = failure
  }

  private mutating func tellNewRows(_ out: inout MemberOutput) {
    guard let rows = store.takeNewRows(after: toldThrough) else { return }
    precondition(out.newRows == nil, "two turns in one output")
    toldThrough = rows.through
    out.newRows = rows
  }

  /// Raft works until it has nothing more to say.
  private mutating func work(_ out: inout MemberOutput) {
    while node.hasReady && failure == nil { process(node.ready(), &out) }
  }

  private mutating func tick(_ out: inout MemberOutput) {
    ticks += 1
    watchDisk()
    succeedRemovedLeader()
    node.tick()
    writeNews(&out)
    expireWaiting(&out)
    tickLeases(&out)
    finish(reads.expire(tick: ticks, after: config.requestTicks), .failure(.timeout), &out)
    if reads.retry(tick: ticks, after: config.readRetryTicks) {
      node.readIndex(context: reads.context)
    }
  }
}
