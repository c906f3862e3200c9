import EtcdConfig
import EventLoops
import Synchronization

/// What all loops of a member share. Each part may be used from any thread.
final class SharedMember: Sendable {
  let config: ServerConfig
  /// How peers are reached.
  let policies: ServerPolicies
  let logger: Logger
  let metrics: ServerMetrics
  let host: MemberHost
  /// Users, roles and tokens as of the newest turn of the core.
  let access: AccessControl
  /// Hashes and checks passwords.
  let passwords: PasswordWorkers
  /// Who watches the v2 store; `nil` when it is not served.
  let v2: V2Hub?
  /// The other members.
  let peers: PeerAdapter
  /// Bytes that requests under way may add to the backend.
  let proposedBytes = Atomic(0)
  /// Whether the alarm that the quota is used up is on its way through the log.
  let isRaisingAlarm = Atomic(false)
  /// Tells the log about cluster versions.
  let versionLog: ClusterVersionLog
  /// Reads that take long.
  let readers = ReadWorkers()
  /// What clients ask for and takes longest: hashing, copying for downloads. Raft's own work never waits
  /// here.
  let worker = WorkerThread(name: "etcd-worker", isBackground: true)
  /// Reads history for watchers that are behind.
  let historyReader = WorkerThread(name: "etcd-watch")
  /// Hashes of this member's data.
  let hashes: HashStorage
  /// Defragmentations that were asked for and are not over.
  let defragmentations = Atomic(0)
  /// The metrics of all listeners.
  let metricsPage: MetricsPage
  /// What the gRPC health service says.
  let serving: ServingStatus

  init(
    config: ServerConfig, policies: ServerPolicies, logger: Logger, metrics: ServerMetrics,
    host: MemberHost, access: AccessControl, peers: PeerAdapter, v2: V2Hub? = nil
  ) {
    self.v2 = v2
    self.config = config
    self.policies = policies
    self.logger = logger
    self.metrics = metrics
    self.host = host
    self.access = access
    self.peers = peers
    versionLog = ClusterVersionLog(logger, metrics.registry)
    versionLog.begin(host)
    hashes = HashStorage(
      worker: worker, logger: logger, seconds: metrics.requests.hashAtRevision)
    metricsPage = MetricsPage(metrics.registry)
    serving = ServingStatus(stopsOnDefrag: config.stopGRPCOnDefrag, logger)
    passwords = PasswordWorkers(cost: config.bcryptCost)
  }
}
