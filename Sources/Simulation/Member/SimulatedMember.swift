import Auth
import Bolt
import Bytes
import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Raft
import Snap
import Watch

/// Why a simulated member cannot go on.
public struct MemberFailure: Error, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// A member with its disk, whose threads run when the simulation says so.
///
/// Carries out what the core wants through the same code as a server (`MemberOutput.carryOut`): events
/// wait in a `CoreInbox`, which says which thread does the turn, the log thread works through a
/// `LogQueue`, and what is for clients and peers goes to their loop through `TurnQueue`s.
public final class SimulatedMember {
  /// Settings of a member.
  public struct Options: Sendable {
    /// Length of a tick, which is `--heartbeat-interval` too.
    public var tickMilliseconds = 100
    public var electionTicks = 10
    public var preVote = true
    public var snapshotCount: UInt64 = 20
    public var catchUpEntries: UInt64 = 5
    public var segmentBytes = 8 << 10
    public var segmentsKept = 2
    public var snapshotsKept = 2
    public var compactionStepKeys = 3
    /// Rows at which the backend is committed before its interval is over.
    public var commitRows = 10_000
    /// Milliseconds between two checkpoints of a lease; `nil` = none.
    public var leaseCheckpointInterval: Int?
    public var leaseCheckpointPersist = false
    /// Reports appends as durable before they are written: a fault that the checks must find.
    public var acknowledgesEarly = false
    /// Gives each part of a turn to the loop by itself, so that what the loop's own turns give is seen
    /// before what waits of other threads: a fault that the checks must find.
    public var overtakesTurns = false
    /// Hears how long requests took to apply.
    public var applyObserver: (any ApplyObserver)?

    public init() {}
  }

  private enum StorageJob {
    case commit(FrozenBatch)
    case install(LogAppend)
    case defragment
    case finishDefragmentation(BackendStore.Defragmentation)
  }

  /// Who does a turn of the core.
  private enum Worker {
    /// The core's thread was called.
    case called
    /// A thread that left events does it itself.
    case holds(MemberThread)
  }

  public let fileSystem: SimulatedFileSystem
  public let snapDirectory: String
  public private(set) var core: MemberCore
  public var isLeader: Bool { core.isLeader }
  /// Index that the backend held at the start; entries up to it are replayed.
  public let consistentIndex: LogIndex
  /// Repairs made at the start.
  public let notes: [String]
  private let options: Options
  private let log: LogStore
  private let backend: BackendStore
  private var requestIDs: RequestIDs
  private var inbox = CoreInbox()
  /// Who is to do the next turn.
  private var worker: Worker? = .holds(.core)
  /// Turns that it did in a row.
  private var turnsInRow = 0
  /// Turns since the start.
  private var turns = 0
  private var loop = SimulatedLoop()
  private var view: ClientView
  /// The watchers of its clients; confined to the loop.
  var hub: WatchHub
  private var logQueue = LogQueue()
  private var storageJobs: [StorageJob] = []
  private var failure: MemberFailure?
  /// Whether the core waits for the end of the interval of its backend's commits.
  private var wantsCommit = false

  /// Opens the member, or founds it when the disk holds none.
  /// - Parameters:
  ///   - founders: the first members of the cluster.
  ///   - joins: whether it is none of them, and begins with an empty log.
  /// - Throws: `StorageError` or `MemberFailure`.
  public init(
    _ fileSystem: SimulatedFileSystem, founders: [MemberInfo], own: MemberInfo,
    joins: Bool = false, options: Options, firstRequest: UInt64, seed: UInt64
  ) throws {
    self.fileSystem = fileSystem
    self.options = options
    var directory = MemberDirectory(fileSystem, dataDirectory: "data")
    directory.segmentBytes = options.segmentBytes
    directory.segmentsKept = options.segmentsKept
    directory.snapshotsKept = options.snapshotsKept
    directory.bolt.mapBytes = SimulatedMemory.reservedBytes
    directory.bolt.verifiesPages = true
    snapDirectory = directory.snapDirectory
    let isNew = try !directory.holdsMember()
    let opened =
      isNew
      ? try directory.create(
        memberID: own.id, clusterID: Identity.clusterID(members: founders.map(\.id)))
      : try directory.open()
    guard opened.memberID == own.id else {
      throw MemberFailure("the disk holds member \(opened.memberID), not \(own.id)")
    }
    var raft = RaftConfig(id: own.id.rawValue)
    raft.electionTicks = options.electionTicks
    raft.maxSizePerMessage = 1 << 12
    raft.maxInflightMessages = 16
    raft.checkQuorum = true
    raft.preVote = options.preVote
    raft.random = SplitMix64(seed: seed)
    var config = MemberCore.Config(raft: raft)
    // As in a server (`Bootstrap`).
    config.tickMilliseconds = options.tickMilliseconds
    config.requestTicks = 5_000 / options.tickMilliseconds + 2 * options.electionTicks
    config.readRetryTicks = max(500 / options.tickMilliseconds, 1)
    config.snapshotCount = options.snapshotCount
    config.catchUpEntries = options.catchUpEntries
    config.compactionStepKeys = options.compactionStepKeys
    config.commitRows = options.commitRows
    config.compactionBatchRows = 2
    // So small that deletions of a few keys take several turns.
    config.applyStepKeys = 1
    config.leaseCheckpoint = options.leaseCheckpointInterval != nil
    config.leaseCheckpointInterval = options.leaseCheckpointInterval ?? 0
    config.leaseCheckpointPersist = options.leaseCheckpointPersist
    config.applyObserver = options.applyObserver
    requestIDs = RequestIDs(member: own.id, start: firstRequest)
    core = try MemberCore(
      config, storage: opened.storage, snapshot: opened.snapshot, store: opened.store,
      rows: opened.rows, consistentIndex: opened.consistentIndex, requestIDs: requestIDs)
    // As in a server: a lane for the core, and one for whoever asks.
    requestIDs = RequestIDs(member: own.id, lane: 1, start: firstRequest)
    if opened.isEmpty, !joins { try core.bootstrap(founders) }
    view = ClientView(core.auth)
    var limits = WatchHub.Limits(fragmentBytes: 1 << 20)
    // So small that every bound is met.
    limits.streamBytes = 400
    limits.scanWatchers = 2
    limits.scanBytes = 200
    limits.scanRows = 8
    limits.recentBytes = 500
    limits.messages = 4
    hub = WatchHub(limits: limits, seed: seed)
    log = opened.log
    backend = opened.backend
    consistentIndex = opened.consistentIndex
    notes = opened.notes
  }

  // MARK: Events

  /// Whether a turn of the core is to be done.
  public var hasEvents: Bool { worker != nil }
  public var hasLogWork: Bool { logQueue.hasWork }
  public var hasStorageWork: Bool { !storageJobs.isEmpty }
  public var hasLoopWork: Bool { loop.hasWork }

  /// Whether the loop is busy with a turn of the core.
  public var loopHoldsTurn: Bool { if case .holds(.loop) = worker { true } else { false } }

  /// Leaves an event for the core. The start counts as a turn of the core's own thread.
  public func post(_ event: MemberEvent, by thread: MemberThread = .loop) {
    attend(inbox.leave([event]), thread)
  }

  /// One interval of both clocks passes: that of ticks, and that of the backend's commits when the core
  /// waits for it.
  public func tick() {
    post(.tick)
    if takeCommitRequest() { post(.commit) }
  }

  /// Whether the core asked for a `commit` since the last call: whoever has the clock leaves one later.
  public func takeCommitRequest() -> Bool {
    defer { wantsCommit = false }
    return wantsCommit
  }

  private func attend(_ duty: CoreInbox.Duty, _ thread: MemberThread) {
    switch duty {
    case .nothing: break
    case .work: worker = .holds(thread)
    case .wake: worker = .called
    }
  }

  /// Leaves a defragmentation for the storage thread.
  public func defragment() { storageJobs.append(.defragment) }

  public func makeRequestID() -> RequestID { requestIDs.next() }

  /// The thread at work; the core's, which owns the clock, when none is.
  private var thread: MemberThread {
    if case .holds(let thread) = worker { thread } else { .core }
  }

  /// Handles everything that waits as one batch, on the thread whose turn it is.
  /// - Returns: what the turn gave; what is for clients and peers is on its way to their loop.
  /// - Throws: `MemberFailure` when the core cannot go on.
  public func turn() throws -> MemberOutput {
    var out = MemberOutput()
    guard let worker else { return out }
    if case .called = worker {
      guard inbox.arrive() else { throw MemberFailure("two threads work at the core") }
      self.worker = .holds(.core)
      turnsInRow = 0
    }
    let thread = self.thread
    for event in inbox.take() { core.handle(event, &out) }
    core.advance(&out)
    turns += 1
    turnsInRow += 1
    out.carryOut(core.membership, core.snapshot(), by: self)
    if let failure { throw failure }
    self.worker = nil
    attend(inbox.finish(pending: out.status.proposalsPending, turns: turnsInRow), thread)
    if self.worker == nil { turnsInRow = 0 }
    return out
  }

  // MARK: Loop of clients and peers

  /// What clients check against: users and roles as their server knows them.
  public var clientAuth: AuthStore { view.auth }

  /// What clients or peers saw and should not have seen.
  public var viewProblem: String? {
    if let problem = view.problem { return problem }
    guard !hasEvents, !hasLoopWork, view.auth != core.auth else { return nil }
    let (seen, own) = (view.auth.revision, core.auth.revision)
    return "users and roles stay those of revision \(seen), the core's are of revision \(own)"
  }

  /// Lets the loop do what waits.
  /// - Returns: what clients and peers see, in order.
  public func runLoop() -> [TurnNews] {
    var seen: [TurnNews] = []
    for work in loop.take() {
      let pieces: [SimulatedLoop.Piece]
      switch work {
      case .drainAnswers: pieces = loop.drainAnswers()
      case .drainPeers: pieces = loop.drainPeers()
      case .drainRows: pieces = loop.drainRows()
      case .direct(let piece): pieces = [piece]
      case .auth(let turn, let change):
        view.update(change, turn: turn)
        continue
      }
      for piece in pieces {
        view.see(piece)
        seen.append(piece.news)
      }
    }
    return seen
  }

  private func handOver(_ news: TurnNews) {
    let piece = SimulatedLoop.Piece(turn: turns, news: news)
    if options.overtakesTurns {
      loop.execute(.direct(piece), by: thread)
    } else {
      loop.handOver(piece, by: thread)
    }
  }

  // MARK: Log thread

  /// Does the next piece of the log thread's work.
  public func runLog() throws {
    switch logQueue.next() {
    case .write(let batch):
      try log.write(batch)
      let (events, append) = logQueue.written(batch)
      if !options.acknowledgesEarly { for event in events { post(event, by: .log) } }
      if let append { storageJobs.append(.install(append)) }
    case .save(let snapshot):
      try log.save(snapshot)
      post(.snapshotSaved(LogIndex(snapshot.metadata.index)), by: .log)
    case nil: break
    }
  }

  // MARK: Storage thread

  /// Does the next piece of the storage thread's work.
  public func runStorage() throws {
    switch storageJobs.removeFirst() {
    case .commit(let batch): post(.committed(try backend.commit(batch)), by: .storage)
    case .defragment:
      // One copy at a time, as on the copying thread of a member.
      let isCopying = storageJobs.contains {
        if case .finishDefragmentation = $0 { true } else { false }
      }
      if isCopying {
        storageJobs.append(.defragment)
      } else if let copy = try defragmenting({ try backend.copy() }) {
        storageJobs.append(.finishDefragmentation(copy))
      }
    case .finishDefragmentation(let copy):
      // Commits and installations that came to wait meanwhile were done before.
      if try defragmenting({ try backend.complete(copy) }) ?? false {
        post(.replacedBackend(try backend.replace(by: copy)), by: .storage)
      }
      backend.releaseReplaced()
    case .install(let append):
      guard let snapshot = append.snapshot else { return }
      let path = log.snapshotter.databasePath(index: snapshot.metadata.index)
      let rows = try backend.install(databaseAt: path)
      post(.installed(append, store: try MVCCStore.restore(from: rows)), by: .storage)
      logQueue.installed()
    }
  }

  /// A defragmentation that fails is told to who asked for it; the database is as it was.
  private func defragmenting<T>(_ step: () throws -> T) throws -> T? {
    do { return try step() } catch {
      guard fileSystem.takeFailure() != nil else { throw error }
      return nil
    }
  }

  /// The database as it is now, for a backup.
  public func databaseState() throws -> BoltRows { try backend.state() }

  /// Ends the process in order: what waits is written.
  public func close() throws {
    try log.close()
    backend.close()
  }
}

/// Disk work and news are queued for the simulation to run.
extension SimulatedMember: TurnSink {
  public func write(_ appends: [LogAppend]) {
    if options.acknowledgesEarly {
      for append in appends where append.snapshot == nil { post(.appended(append), by: thread) }
    }
    logQueue.add(appends)
  }
  public func save(_ snapshot: Raftpb.Snapshot) { logQueue.add(snapshot) }
  public func commit(_ batch: FrozenBatch) { storageJobs.append(.commit(batch)) }
  public func later(_ event: MemberEvent, after delay: TurnDelay) {
    if case .commitInterval = delay { wantsCommit = true } else { post(event, by: thread) }
  }
  public func fail(_ reason: String) { failure = MemberFailure(reason) }

  public func send(_ messages: [Raftpb.Message]) { handOver(.messages(messages)) }
  public func send(_ snapshots: [SnapshotSend]) { handOver(.snapshots(snapshots)) }
  /// Nobody watches the v2 store here.
  public func v2Changed(_ news: V2News) {}
  public func membershipChanged(_ changes: [Membership.Change]) { handOver(.membership(changes)) }
  public func answer(_ replies: [Reply], _ reads: [ReadBatch], term: Term) {
    handOver(.answers(replies, reads))
  }

  /// At once, for all loops, as in a server.
  public func authChanged(_ store: AuthStore?, _ events: [TokenEvent]) {
    let change = AuthChange(store: store, events: events)
    if options.overtakesTurns {
      loop.execute(.auth(turn: turns, change), by: thread)
    } else {
      view.update(change, turn: turns)
    }
  }

  public func tell(_ rows: NewRows, _ state: () -> StoreSnapshot) {
    handOver(.rows(rows, state()))
  }
  public func publish(_ status: MemberStatus, _ membership: Membership?) {}
  public func announce(_ out: MemberOutput) {}
}

extension SimulatedMember {
  /// Lets core and threads run until nothing is left to do, and gathers answers.
  /// - Returns: replies and reads of all turns.
  public func settle() throws -> (replies: [Reply], reads: [ReadBatch]) {
    var replies: [Reply] = []
    var reads: [ReadBatch] = []
    repeat {
      while hasEvents {
        _ = try turn()
        for case .answers(let newReplies, let newReads) in runLoop() {
          replies += newReplies
          reads += newReads
        }
      }
      if hasLogWork { try runLog() } else if hasStorageWork { try runStorage() }
    } while hasEvents || hasLogWork || hasStorageWork
    return (replies, reads)
  }

  /// The hash of all history that is not compacted.
  public func hash() throws -> StoreSnapshot.Hash { try core.snapshot().hash(at: 0) }
}
