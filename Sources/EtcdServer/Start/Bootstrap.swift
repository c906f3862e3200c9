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

  struct Result {
    let core: MemberCore
    let opened: MemberDirectory.Opened
    let isNew: Bool
    /// Members of the cluster that this one joins.
    let others: [MemberInfo]
    let snapDirectory: String
  }

  /// - Parameter milliseconds: time since 1970, for request ids.
  /// - Throws: `StorageError` with what was tried and why it failed.
  static func start(
    _ config: ServerConfig, loop: EventLoop, logger: Logger, metrics: ServerMetrics,
    milliseconds: UInt64,
    seed: UInt64
  ) throws(StorageError) -> Result {
    var directory = MemberDirectory(
      MeasuredFileSystem(RealFileSystem(), metrics.disk), dataDirectory: config.dataDirectory,
      walDirectory: config.walDirectory)
    directory.noSync = config.unsafeNoFsync
    directory.snapshotsKept = config.maxSnapshots
    directory.segmentsKept = config.maxWALs
    directory.workers = .threads
    directory.bolt.verifiesPages = config.verifies
    if config.verifies { logger.info("checks of whole structures are on (ETCD_VERIFY=all)") }
    warnOfPermissions(config.dataDirectory, logger)
    try directory.ensureWritable()
    let isNew = try !directory.holdsMember()
    if isNew, let problem = config.bootstrapProblem(resolve: HostLookup.numeric) {
      throw StorageError(problem)
    }
    var opened: MemberDirectory.Opened
    var founders: [MemberInfo] = []
    var others: [MemberInfo] = []
    if !isNew {
      opened = try directory.open()
      try opened.checkVersion(ServerVersion.etcd)
      if config.forceNewCluster { try forceNewCluster(&opened, logger) }
      // A crash before the first write left a log without the founders. One that joined a cluster
      // gets its log from the leader; its cluster has another id.
      let named = self.founders(config)
      if opened.isEmpty, opened.clusterID == Identity.clusterID(members: named.map(\.id)) {
        founders = named
      }
    } else if config.isNewCluster {
      founders = self.founders(config)
      opened = try directory.create(
        memberID: try own(founders, config).id,
        clusterID: Identity.clusterID(members: founders.map(\.id)))
    } else {
      let cluster = try ExistingCluster.fetch(
        from: remoteURLs(config), loop: loop, logger: logger)
      others = try cluster.matched(config.initialCluster)
      try ExistingCluster.checkCompatible(
        others.filter { $0.name != config.name }, loop: loop, logger: logger)
      opened = try directory.create(
        memberID: try own(others, config).id, clusterID: cluster.clusterID)
    }
    for note in opened.notes { logger.warn(note) }
    try defragment(&opened, config, logger)
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
        requestIDs: RequestIDs(member: opened.memberID, milliseconds: milliseconds))
      if !founders.isEmpty { try core.bootstrap(founders) }
      return Result(
        core: core, opened: opened, isNew: isNew, others: others,
        snapDirectory: directory.snapDirectory)
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
    core.leaseCheckpoint = config.leaseCheckpoint
    core.leaseCheckpointPersist = config.leaseCheckpointPersist
    let cost = config.bcryptCost
    core.hashPassword = { PasswordHash.make($0, cost: cost) }
    return core
  }

  /// Rewrites the database when that gives back enough.
  /// - Source: etcd `maybeDefragBackend`.
  private static func defragment(
    _ opened: inout MemberDirectory.Opened, _ config: ServerConfig, _ logger: Logger
  ) throws(StorageError) {
    let megabytes = config.bootstrapDefragThresholdMegabytes
    guard megabytes > 0 else { return }
    let (product, overflowed) = megabytes.multipliedReportingOverflow(by: 1 << 20)
    let threshold = overflowed ? UInt64.max : product
    let sizes = try opened.databaseSizes()
    guard UInt64(sizes.total - sizes.inUse) >= threshold else {
      let (total, inUse) = (UInt64(sizes.total), UInt64(sizes.inUse))
      logger.info(
        "Skipping defragmentation",
        [
          LogField("current-db-size-bytes", .uint(total)),
          LogField("current-db-size", .string(HumanSize.text(total))),
          LogField("current-db-size-in-use-bytes", .uint(inUse)),
          LogField("current-db-size-in-use", .string(HumanSize.text(inUse))),
          LogField("experimental-bootstrap-defrag-threshold-bytes", .uint(threshold)),
          LogField("experimental-bootstrap-defrag-threshold", .string(HumanSize.text(threshold))),
        ])
      return
    }
    let start = ContinuousClock.now
    try opened.defragment()
    logger.info(
      "finished defragmenting directory",
      [
        LogField("path", .string("\(config.dataDirectory)/member/snap/db")),
        LogField("current-db-size-bytes-diff", .int(opened.backend.sizes.total - sizes.total)),
        LogField("current-db-size-bytes", .int(opened.backend.sizes.total)),
        LogField("took", .duration(ContinuousClock.now - start)),
      ])
  }

  /// - Source: etcd `fileutil.CheckDirPermission`.
  private static func warnOfPermissions(_ directory: String, _ logger: Logger) {
    guard let mode = RealFileSystem().modeText(directory), mode != "drwx------" else { return }
    logger.warn(
      "check file permission",
      [
        LogField(
          "error",
          .string(
            "directory \"\(directory)\" exist, but the permission is \"\(mode)\". The recommended "
              + "permission is \"-rwx------\" to prevent possible unprivileged access to the data"))
      ])
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
