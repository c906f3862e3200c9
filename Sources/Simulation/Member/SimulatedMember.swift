import Bolt
import Bytes
import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Raft
import Snap

/// Why a simulated member cannot go on.
public struct MemberFailure: Error, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// A member with its disk, whose threads run when the simulation says so.
///
/// Carries out what the core wants in the order in which the real shell does: one inbox whose events
/// are handled as one batch, a log thread that takes all waiting appends at once, and a storage thread.
public final class SimulatedMember {
  /// Settings of a member.
  public struct Options: Sendable {
    public var electionTicks = 10
    public var preVote = true
    public var snapshotCount: UInt64 = 20
    public var catchUpEntries: UInt64 = 5
    public var segmentBytes = 8 << 10
    public var segmentsKept = 2
    public var snapshotsKept = 2
    public var compactionStepKeys = 3
    /// Milliseconds between two checkpoints of a lease; `nil` = none.
    public var leaseCheckpointInterval: Int?
    public var leaseCheckpointPersist = false
    /// Reports appends as durable before they are written: a fault that the checks must find.
    public var acknowledgesEarly = false

    public init() {}
  }

  private enum LogJob {
    case write
    case save(Raftpb.Snapshot)
  }

  private enum StorageJob {
    case commit(FrozenBatch)
    case install(LogAppend)
    case defragment
    case finishDefragmentation(BackendStore.Defragmentation)
  }

  public let fileSystem: SimulatedFileSystem
  public let snapDirectory: String
  public private(set) var core: MemberCore
  /// Index that the backend held at the start; entries up to it are replayed.
  public let consistentIndex: UInt64
  /// Repairs made at the start.
  public let notes: [String]
  private let options: Options
  private let log: LogStore
  private let backend: BackendStore
  private var requestIDs: RequestID
  private var inbox: [MemberEvent] = []
  private var appends: [LogAppend] = []
  /// Taken by the log thread and waiting behind an installation.
  private var taken: [LogAppend] = []
  private var isInstalling = false
  private var logJobs: [LogJob] = []
  private var storageJobs: [StorageJob] = []

  /// Opens the member, or founds it when the disk holds none.
  /// - Parameter founders: the first members of the cluster.
  /// - Throws: `StorageError` or `MemberFailure`.
  public init(
    _ fileSystem: SimulatedFileSystem, founders: [MemberInfo], own: MemberInfo,
    options: Options, milliseconds: UInt64, seed: UInt64
  ) throws {
    self.fileSystem = fileSystem
    self.options = options
    var directory = MemberDirectory(fileSystem, dataDirectory: "data")
    directory.segmentBytes = options.segmentBytes
    directory.segmentsKept = options.segmentsKept
    directory.snapshotsKept = options.snapshotsKept
    directory.bolt.mapBytes = SimulatedMemory.reservedBytes
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
    var raft = RaftConfig(id: own.id)
    raft.electionTicks = options.electionTicks
    raft.maxSizePerMessage = 1 << 12
    raft.maxInflightMessages = 16
    raft.checkQuorum = true
    raft.preVote = options.preVote
    raft.random = SplitMix64(seed: seed)
    var config = MemberCore.Config(raft: raft)
    config.snapshotCount = options.snapshotCount
    // Runs are short: a commit at every tick makes them meet more states of the backend.
    config.commitTicks = 1
    config.catchUpEntries = options.catchUpEntries
    config.compactionStepKeys = options.compactionStepKeys
    config.compactionBatchRows = 2
    config.leaseCheckpoint = options.leaseCheckpointInterval != nil
    config.leaseCheckpointInterval = options.leaseCheckpointInterval ?? 0
    config.leaseCheckpointPersist = options.leaseCheckpointPersist
    requestIDs = RequestID(member: own.id, milliseconds: milliseconds)
    core = try MemberCore(
      config, storage: opened.storage, snapshot: opened.snapshot, store: opened.store,
      rows: opened.rows, consistentIndex: opened.consistentIndex, requestIDs: requestIDs)
    // The core's own ids go on from the same start: those of requests begin a second later.
    requestIDs = RequestID(member: own.id, milliseconds: milliseconds + 1000)
    if opened.isEmpty { try core.bootstrap(founders) }
    log = opened.log
    backend = opened.backend
    consistentIndex = opened.consistentIndex
    notes = opened.notes
  }

  // MARK: Events

  public var hasEvents: Bool { !inbox.isEmpty }
  public var hasLogWork: Bool { !isInstalling && (!taken.isEmpty || !logJobs.isEmpty) }
  public var hasStorageWork: Bool { !storageJobs.isEmpty }

  public func post(_ event: MemberEvent) { inbox.append(event) }

  /// Leaves a defragmentation for the storage thread.
  public func defragment() { storageJobs.append(.defragment) }

  public func makeRequestID() -> UInt64 { requestIDs.next() }

  /// Handles everything that waits as one batch.
  /// - Returns: what concerns peers and clients.
  /// - Throws: `MemberFailure` when the core cannot go on.
  public func turn() throws -> MemberOutput {
    let events = inbox
    inbox.removeAll()
    var out = MemberOutput()
    for event in events { core.handle(event, &out) }
    core.advance(&out)
    if let reason = out.fatal { throw MemberFailure(reason) }
    if !out.appends.isEmpty {
      if options.acknowledgesEarly {
        for append in out.appends where append.snapshot == nil { post(.appended(append)) }
      }
      appends += out.appends
      logJobs.append(.write)
    }
    if let batch = out.freeze { storageJobs.append(.commit(batch)) }
    if let snapshot = out.saveSnapshot { logJobs.append(.save(snapshot)) }
    if out.wantsMore { post(.resume) }
    if out.wantsCompaction { post(.compact) }
    return out
  }

  // MARK: Log thread

  /// Does the next piece of the log thread's work.
  public func runLog() throws {
    if !taken.isEmpty { return try writeTaken() }
    switch logJobs.removeFirst() {
    case .write:
      taken = appends
      appends.removeAll()
      try writeTaken()
    case .save(let snapshot):
      try log.save(snapshot)
      post(.snapshotSaved(snapshot.metadata.index))
    }
  }

  /// Writes what was taken up to a snapshot, whose installation the log then waits for.
  private func writeTaken() throws {
    guard !taken.isEmpty else { return }
    let end = taken.firstIndex { $0.snapshot != nil }.map { $0 + 1 } ?? taken.count
    let batch = Array(taken[..<end])
    taken.removeFirst(end)
    try log.write(batch)
    for append in batch where append.snapshot == nil && !options.acknowledgesEarly {
      post(.appended(append))
    }
    if let last = batch.last, last.snapshot != nil {
      isInstalling = true
      storageJobs.append(.install(last))
    }
  }

  // MARK: Storage thread

  /// Does the next piece of the storage thread's work.
  public func runStorage() throws {
    switch storageJobs.removeFirst() {
    case .commit(let batch): post(.committed(try backend.commit(batch)))
    case .defragment:
      // One copy at a time, as on the copying thread of a member.
      let isCopying = storageJobs.contains {
        if case .finishDefragmentation = $0 { true } else { false }
      }
      storageJobs.append(isCopying ? .defragment : .finishDefragmentation(try backend.copy()))
    case .finishDefragmentation(let copy):
      // Commits and installations that came to wait meanwhile were done before.
      if let rows = try backend.finish(copy) { post(.replacedBackend(rows)) }
      backend.releaseReplaced()
    case .install(let append):
      guard let snapshot = append.snapshot else { return }
      let path = log.snapshotter.databasePath(index: snapshot.metadata.index)
      let rows = try backend.install(databaseAt: path)
      post(.installed(append, store: try MVCCStore.restore(from: rows)))
      isInstalling = false
    }
  }

  /// Ends the process in order: what waits is written.
  public func close() throws {
    try log.close()
    backend.close()
  }
}

extension SimulatedMember {
  /// Lets core and threads run until nothing is left to do, and gathers answers.
  /// - Returns: replies and reads of all turns.
  public func settle() throws -> (replies: [Reply], reads: [ReadBatch]) {
    var replies: [Reply] = []
    var reads: [ReadBatch] = []
    repeat {
      while hasEvents {
        let out = try turn()
        replies += out.replies
        reads += out.reads
      }
      if hasLogWork { try runLog() } else if hasStorageWork { try runStorage() }
    } while hasEvents || hasLogWork || hasStorageWork
    return (replies, reads)
  }

  /// The hash of all history that is not compacted.
  public func hash() throws -> StoreSnapshot.Hash { try core.snapshot().hash(at: 0) }
}
