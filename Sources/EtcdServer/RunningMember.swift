import Auth
import Bytes
import EtcdAPI
import EtcdConfig
import GRPC
import HTTP
import MVCC
import Member
import MemberStorage
import Membership
import Protobuf
import Raft
import Runtime
import Synchronization

/// What the services of a member share: its core, its waiting requests, its identity.
final class RunningMember: MemberHostDelegate, @unchecked Sendable {
  // @unchecked: set up by one thread before anything runs; then immutable, or confined to `loop` as
  // `requests` asserts, or Sendable in itself.

  let config: ServerConfig
  let logger: Logger
  let metrics: ServerMetrics
  /// Client connections, answers and peers live on this loop.
  let loop: EventLoop
  /// Hashing and other work that would hold a loop up.
  let worker = WorkerThread(name: "etcd-worker")
  private(set) var host: MemberHost!
  private(set) var requests: RequestTable!
  /// Questions about leases, wherever the leader is.
  private(set) var leases: LeaseQuestions!
  /// Tokens and who holds them; on `loop`.
  let access: AccessControl
  /// Hashes and checks passwords.
  let passwords: PasswordWorkers
  /// Peers; set once they are known, on `loop`.
  var peers: (any PeerGateway)!
  /// Called on `loop` when the member was removed from its cluster.
  var onRemoved: (@Sendable () -> Void)?
  /// Called on `loop` when there is another leader or cluster version.
  var onClusterChange: (() -> Void)?
  /// Tells the log about cluster versions.
  let versionLog: ClusterVersionLog

  init(config: ServerConfig, logger: Logger, metrics: ServerMetrics, loop: EventLoop) {
    access = AccessControl(loop: loop)
    passwords = PasswordWorkers(loop: loop, cost: config.bcryptCost)
    self.config = config
    self.logger = logger
    versionLog = ClusterVersionLog(logger)
    self.metrics = metrics
    self.loop = loop
  }

  /// Takes the host and starts to answer its turns.
  /// - Parameter tokens: what `--auth-token` asks for.
  func attach(_ host: MemberHost, requestIDs: RequestID, tokens: TokenProvider) {
    loop.preconditionCurrent()
    self.host = host
    versionLog.begin(host)
    access.start(tokens, host.initialAuth)
    requests = RequestTable(loop: loop, host: host, ids: requestIDs)
    leases = LeaseQuestions(member: self)
  }

  // MARK: For services

  /// Header of a response; its revision is set by the answer.
  func header(term: UInt64, revision: Int64 = 0) -> Etcdserverpb.ResponseHeader {
    Etcdserverpb.ResponseHeader(
      clusterID: host.clusterID, memberID: host.memberID, revision: revision, raftTerm: term)
  }

  /// Header with what is current now.
  func header() -> Etcdserverpb.ResponseHeader {
    let status = host.status
    return header(term: status.term, revision: status.revision)
  }

  /// Reads a state; `done` is called on the loop.
  func read(linearizable: Bool, _ done: @escaping RequestTable.ReadHandler) {
    if linearizable { requests.read(done) } else { requests.readLocal(done) }
  }

  /// - Throws: when this member is a learner: it serves no linearizable requests.
  func refuseOnLearner() throws(EtcdError) {
    if host.status.isLearner { throw .notSupportedForLearner }
  }

  /// Refuses a request that would not fit, and raises the alarm for the cluster.
  /// - Parameter cost: bytes the backend may grow by.
  /// - Throws: `noSpace`.
  func reserve(_ cost: Int) throws(EtcdError) {
    guard let quota = config.quota, host.backend.sizes.total + cost >= quota else { return }
    raiseAlarm(.nospace)
    throw .noSpace
  }

  private func raiseAlarm(_ type: Etcdserverpb.AlarmType) {
    let own = Etcdserverpb.AlarmMember(memberID: host.memberID, alarm: type)
    guard !host.status.alarms.contains(own) else { return }
    let request = Etcdserverpb.AlarmRequest(
      action: .activate, memberID: host.memberID, alarm: type)
    let id = requests.makeID()
    logger.warn("alarm raised", [LogField("alarm", .string("\(type)"))])
    requests.propose(id: id, RaftRequest.encode(.alarm, request.encoded(), id: id)) { _, _ in }
  }

  /// Counters of a method.
  func counters(_ method: MethodDescriptor) -> GRPCMethodCounters {
    let type: String
    switch (method.clientStreaming, method.serverStreaming) {
    case (false, false): type = "unary"
    case (true, false): type = "client_stream"
    case (false, true): type = "server_stream"
    case (true, true): type = "bidi_stream"
    }
    return GRPCMethodCounters(
      metrics.registry, type: type, service: method.service, method: method.name,
      withSeconds: config.extensiveMetrics)
  }

  // MARK: MemberHostDelegate, by the thread that works at the core

  // In the order of the calls: what is written first leaves first.
  func send(_ messages: [Raftpb.Message]) { loop.execute { self.peers.send(messages) } }
  func send(_ snapshots: [SnapshotSend]) { peers.send(snapshots) }

  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: UInt64) {
    loop.execute { self.requests.answer(replies, reads, term: term) }
  }

  func authChanged(_ store: AuthStore?, _ events: [TokenEvent]) {
    loop.execute { self.access.update(store, events) }
  }

  func membershipChanged(_ changes: [Membership.Change]) {
    loop.execute { self.peers.apply(changes) }
  }

  func leaderChanged(to leader: UInt64) {
    let (own, leader) = (String(host.memberID, radix: 16), String(leader, radix: 16))
    // Go's line, which is one text without fields.
    logger.named("raft").info(
      leader == "0"
        ? "raft.node: \(own) lost leader at term \(host.status.term)"
        : "raft.node: \(own) elected leader \(leader) at term \(host.status.term)")
    loop.execute { self.onClusterChange?() }
  }

  func clusterVersionChanged(to version: String) {
    if let own = ServerVersion.clusterVersion(of: ServerVersion.etcd),
      ServerVersion.isOlder(own, than: version)
    {
      logger.fatal(
        "invalid downgrade; server version is lower than determined cluster version",
        [
          LogField("current-server-version", .string(ServerVersion.etcd)),
          LogField("determined-cluster-version", .string(version)),
        ])
    }
    versionLog.changed(to: version, host)
    loop.execute { self.onClusterChange?() }
  }

  func removedFromCluster() {
    logger.warn(
      "server error",
      [LogField("error", "the member has been permanently removed from the cluster")])
    logger.warn("data-dir used by this member must be removed")
    onRemoved?()
  }
}

/// The way to the other members.
protocol PeerGateway: AnyObject, Sendable {
  /// Any thread.
  func send(_ messages: [Raftpb.Message])
  /// Any thread.
  func send(_ snapshots: [SnapshotSend])
  /// Serves a request of a peer, on its connection's loop. - Returns: false when it is not one.
  func handle(_ exchange: HTTPExchange) -> Bool
  /// On the client loop.
  func apply(_ changes: [Membership.Change])
  /// Server versions of the other members that answered when they were asked; on the client loop.
  var versions: [UInt64: String] { get }
  /// Asks the leader to promote a learner; on the client loop.
  func promote(
    _ id: UInt64, at leader: MemberInfo,
    _ done: @escaping (Result<[MemberInfo], EtcdError>) -> Void)
  /// Closes every connection; on the client loop.
  func stop()
  /// Nanoseconds on the loop's clock since when a member is connected; `nil` when it is not.
  func activeSince(_ id: UInt64) -> UInt64?
}
