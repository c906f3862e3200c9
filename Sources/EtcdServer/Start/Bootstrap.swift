import Bolt
import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import FileSystem
import GoText
import MVCC
import Member
import MemberStorage
import Membership
import PeerTransport
import Platform
import Raft

/// Brings a member up from its directory, or founds it.
///
/// - Source: etcd `etcdserver/bootstrap.go`.
enum Bootstrap {
  /// Entries that one message to a peer holds at most, unless a single one is larger, and messages on their
  /// way to a peer.
  /// - Source: etcd `maxSizePerMsg`, `maxInflightMsgs`.
  static let raftMessageBytes: UInt64 = 1 << 20
  static let raftInflightMessages = 512

  struct Result: ~Copyable {
    let core: MemberCore
    let opened: MemberDirectory.Opened
    let isNew: Bool
    /// Members of the cluster that this one joins.
    let others: [MemberInfo]
    /// Members with whom the cluster is founded.
    let founders: [MemberInfo]
    let snapDirectory: String
  }

  /// Whether the directory holds no member yet.
  /// - Throws: `StorageError` when it cannot be looked at.
  static func isNew(_ config: ServerConfig) throws(StorageError) -> Bool {
    try !MemberDirectory(
      RealFileSystem(), dataDirectory: config.dataDirectory, walDirectory: config.walDirectory
    ).holdsMember()
  }

  /// - Parameter firstRequest: where request ids begin: a number drawn by chance.
  /// - Throws: `StorageError` with what was tried and why it failed.
  static func start(
    _ config: ServerConfig, _ dialler: ExistingCluster.Dialler, logger: Logger,
    metrics: ServerMetrics,
    firstRequest: UInt64,
    seed: UInt64
  ) throws(StorageError) -> Result {
    let directory = directory(config, metrics)
    if config.verifies { logger.info("checks of whole structures are on (ETCD_VERIFY=all)") }
    warnOfPermissions(config.dataDirectory, logger)
    try warnOfStrangers(directory, logger)
    try directory.ensureWritable()
    // Looked at again: others may have been waited for since.
    let isNew = try !directory.holdsMember()
    if isNew, let problem = config.bootstrapProblem(resolve: HostLookup.numeric) {
      if let advice = config.nameAdvice {
        logger.warn(
          "the initial cluster has no member of this name",
          [LogField("name", .string(config.name)), LogField("advice", .string(advice))])
      }
      throw StorageError(problem)
    }
    let start = ContinuousClock.now
    var origin =
      isNew
      ? try found(directory, config, dialler, logger)
      : try restart(directory, config, logger)
    logger.info(
      "opened backend db",
      [
        LogField("path", .string(directory.databasePath)),
        LogField("took", .duration(ContinuousClock.now - start)),
      ])
    for note in origin.opened.notes { logger.warn(note) }
    try defragment(&origin.opened, directory, config, logger)
    let core = try core(
      origin, config, logger: logger, metrics: metrics, firstRequest: firstRequest, seed: seed)
    return Result(
      core: core, opened: origin.opened, isNew: isNew,
      others: origin.others, founders: origin.founders,
      snapDirectory: directory.snapDirectory)
  }

  /// What a member begins with.
  private struct Origin {
    var opened: MemberDirectory.Opened
    /// Members with whom the cluster is founded; they belong into the log.
    var founders: [MemberInfo] = []
    /// Members of the cluster that is joined.
    var others: [MemberInfo] = []
  }

  private static func directory(
    _ config: ServerConfig, _ metrics: ServerMetrics
  ) -> MemberDirectory {
    var directory = MemberDirectory(
      MeasuredFileSystem(RealFileSystem(), metrics.disk), dataDirectory: config.dataDirectory,
      walDirectory: config.walDirectory)
    directory.noSync = config.unsafeNoFsync
    directory.snapshotsKept = config.maxSnapshots
    directory.segmentsKept = config.maxWALs
    directory.workers = .threads
    directory.bolt.verifiesPages = config.verifies
    return directory
  }

  /// A member that was here before.
  private static func restart(
    _ directory: MemberDirectory, _ config: ServerConfig, _ logger: Logger
  ) throws(StorageError) -> Origin {
    var origin = Origin(opened: try directory.open())
    try origin.opened.checkVersion(ServerVersion.etcd)
    if config.forceNewCluster { try forceNewCluster(&origin.opened, logger) }
    // A crash before the first write left a log without the founders. One that joined a cluster
    // gets its log from the leader; its cluster has another id.
    let named = founders(config)
    if origin.opened.isEmpty,
      origin.opened.clusterID == Identity.clusterID(members: named.map(\.id))
    {
      origin.founders = named
    }
    return origin
  }

  /// A member that is new, of a cluster that is founded or joined.
  private static func found(
    _ directory: MemberDirectory, _ config: ServerConfig, _ dialler: ExistingCluster.Dialler,
    _ logger: Logger
  ) throws(StorageError) -> Origin {
    if config.isNewCluster {
      let founders = founders(config)
      return Origin(
        opened: try directory.create(
          memberID: try own(founders, config).id,
          clusterID: Identity.clusterID(members: founders.map(\.id))),
        founders: founders)
    }
    let cluster = try ExistingCluster.fetch(from: remoteURLs(config), dialler, logger)
    let others = try cluster.matched(config.initialCluster)
    try ExistingCluster.checkCompatible(
      others.filter { $0.name != config.name }, dialler, logger)
    return Origin(
      opened: try directory.create(
        memberID: try own(others, config).id, clusterID: cluster.clusterID),
      others: others)
  }

  private static func core(
    _ origin: Origin, _ config: ServerConfig, logger: Logger, metrics: ServerMetrics,
    firstRequest: UInt64, seed: UInt64
  ) throws(StorageError) -> MemberCore {
    let opened = origin.opened
    var raft = RaftConfig(id: opened.memberID.rawValue)
    raft.electionTicks = config.electionTimeout / config.heartbeatInterval
    raft.heartbeatTicks = 1
    raft.maxSizePerMessage = raftMessageBytes
    raft.maxInflightMessages = raftInflightMessages
    raft.checkQuorum = true
    raft.preVote = config.preVote
    raft.random = SplitMix64(seed: seed)
    raft.logger = RaftLog(logger: logger.named("raft"))
    var coreConfig = self.coreConfig(config, raft)
    coreConfig.applyObserver = ApplyMetrics(metrics.registry)
    do throws(RaftError) {
      var core = try MemberCore(
        coreConfig, storage: opened.storage, snapshot: opened.snapshot, store: opened.store,
        rows: opened.rows, consistentIndex: opened.consistentIndex,
        requestIDs: RequestIDs(member: opened.memberID, start: firstRequest))
      if !origin.founders.isEmpty { try core.bootstrap(origin.founders) }
      return core
    } catch { throw StorageError("raft cannot start: \(error.description)") }
  }

  private static func coreConfig(
    _ config: ServerConfig, _ raft: RaftConfig
  ) -> MemberCore.Config {
    var core = MemberCore.Config(raft: raft)
    let tick = Swift.max(config.heartbeatInterval, 1)
    core.snapshotCount = config.snapshotCount
    core.catchUpEntries = config.snapshotCatchUpEntries
    core.requestTicks = (5000 + 2 * config.electionTimeout) / tick
    core.readRetryTicks = Swift.max(500 / tick, 1)
    core.tickMilliseconds = tick
    if config.backendBatchLimit > 0 { core.commitRows = config.backendBatchLimit }
    core.compactionBatchRows = Swift.max(config.compactionBatchLimit, 1)
    core.compactionStepKeys = Swift.min(core.compactionStepKeys, core.compactionBatchRows)
    core.learnersMax = config.maxLearners
    core.leaseCheckpoint = config.leaseCheckpoint
    core.leaseCheckpointPersist = config.leaseCheckpointPersist
    let cost = config.bcryptCost
    core.hashPassword = { PasswordHash.make($0, cost: cost) }
    return core
  }

  /// - Source: etcd `restartAsStandaloneNode`.
  private static func forceNewCluster(
    _ opened: inout MemberDirectory.Opened, _ logger: Logger
  ) throws(StorageError) {
    let commit = opened.storage.hardState.commit
    let discarded = try opened.becomeStandalone()
    if discarded > 0 {
      logger.info(
        "discarding uncommitted WAL entries",
        [
          LogField("entry-index", .uint(commit + 1)),
          LogField("commit-index-from-wal", .uint(commit)),
          LogField("number-of-discarded-entries", .int(discarded)),
        ])
    }
    logger.info(
      "forcing restart member",
      [
        LogField("cluster-id", .string(String(opened.clusterID, radix: 16))),
        LogField("local-member-id", .string(opened.memberID.hex)),
        LogField("commit-index", .uint(opened.storage.hardState.commit)),
      ])
  }

  private static func own(
    _ members: [MemberInfo], _ config: ServerConfig
  ) throws(StorageError) -> MemberInfo {
    guard let own = members.first(where: { $0.name == config.name }) else {
      throw StorageError(
        "couldn't find local name \"\(config.name)\" in the initial cluster configuration")
    }
    return own
  }

  /// Peer URLs of the other members, in order.
  private static func remoteURLs(_ config: ServerConfig) -> [String] {
    config.initialCluster.filter { $0.key != config.name }.flatMap(\.value).sorted()
  }

  /// The first members of a new cluster.
  private static func founders(_ config: ServerConfig) -> [MemberInfo] {
    config.initialCluster.map { name, urls in
      let sorted = urls.sorted()
      return MemberInfo(
        id: Identity.memberID(peerURLs: sorted, token: config.initialClusterToken),
        peerURLs: sorted, name: name)
    }.sorted { $0.id < $1.id }
  }
}

extension Workers {
  /// A thread for each processor, up to 8: more wait for memory.
  static let threads = Workers(width: Swift.min(Machine.processors, 8)) { count, body in
    inParallel(count, body)
  }
}

/// Raft's messages in the member's log.
struct RaftLog: RaftLogger {
  let logger: Logger

  private func level(_ level: RaftLogLevel) -> LogLevel {
    switch level {
    case .debug: .debug
    case .info: .info
    case .warning: .warn
    case .error: .error
    }
  }

  func isEnabled(_ level: RaftLogLevel) -> Bool { logger.isEnabled(self.level(level)) }
  func log(_ level: RaftLogLevel, _ message: String) { logger.log(self.level(level), message) }
}
