import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import MVCC
import Member
import MemberStorage
import Membership
import Protobuf
import Raft
import Synchronization

/// What the services on one loop work with: the member's shared parts and the loop's own requests.
///
/// Every loop has one of its own (a lane), with request ids of its own, so that answers of the core
/// find the loop that asked.
final class RunningMember: @unchecked Sendable {
  // @unchecked: `requests` and `leases` are confined to `loop`, as they assert; the rest is immutable
  // and Sendable.

  let shared: SharedMember
  /// Connections whose calls are served here live on this loop.
  let loop: EventLoop
  /// Number of the lane in request ids.
  let lane: Int
  let requests: RequestTable
  /// Questions about leases, wherever the leader is.
  let leases: LeaseQuestions
  /// Who watches keys.
  let watches: WatchDesk

  var config: ServerConfig { shared.config }
  var logger: Logger { shared.logger }
  var metrics: ServerMetrics { shared.metrics }
  var host: MemberHost { shared.host }
  var access: AccessControl { shared.access }
  var passwords: PasswordWorkers { shared.passwords }
  var peers: PeerAdapter { shared.peers }
  var worker: WorkerThread { shared.worker }

  /// On `loop`.
  /// - Parameters:
  ///   - lane: 1 and up; 0 is the core's own.
  ///   - requests: where its request ids begin: a number drawn by chance.
  init(_ shared: SharedMember, loop: EventLoop, lane: Int, requests firstRequest: UInt64) {
    loop.preconditionCurrent()
    self.shared = shared
    self.loop = loop
    self.lane = lane
    requests = RequestTable(
      loop: loop, host: shared.host,
      ids: RequestIDs(member: shared.host.memberID, lane: lane, start: firstRequest))
    leases = LeaseQuestions(shared, requests)
    watches = WatchDesk(shared, requests)
  }

  // MARK: For services

  /// Header of a response; its revision is set by the answer.
  func header(term: Term, revision: Int64 = 0) -> Etcdserverpb.ResponseHeader {
    Etcdserverpb.ResponseHeader(
      clusterID: host.clusterID, memberID: host.memberID.rawValue, revision: revision,
      raftTerm: term.rawValue)
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

  /// Refuses a request that would not fit, and raises the alarm for the cluster. What is on its way into
  /// the backend counts: the quota bounds the file, not only what was written when somebody looked.
  /// - Parameter cost: bytes the backend may grow by; given back by `release` when the answer is there.
  /// - Throws: `noSpace`.
  func reserve(_ cost: Int) throws(EtcdError) {
    guard let quota = config.quota else { return }
    let sizes = host.backend.sizes
    let coming = host.pendingBytes + shared.proposedBytes.load(ordering: .relaxed)
    // Free pages take what comes first; with their use alone counted, all that comes counts.
    let growth =
      config.disarmsNoSpace ? coming : Swift.max(coming - (sizes.total - sizes.inUse), 0)
    guard usedSpace + cost < quota, usedSpace + growth + cost < quota else {
      raiseNoSpaceAlarm()
      throw .noSpace
    }
    shared.proposedBytes.add(cost, ordering: .relaxed)
  }

  /// Gives back what `reserve` took.
  func release(_ cost: Int) {
    if config.quota != nil { shared.proposedBytes.subtract(cost, ordering: .relaxed) }
  }

  /// One proposal is under way at a time, however many requests are refused meanwhile; the next refusal
  /// tries again when it failed.
  private func raiseNoSpaceAlarm() {
    let own = Etcdserverpb.AlarmMember(memberID: host.memberID.rawValue, alarm: .nospace)
    guard !host.status.alarms.contains(own) else { return }
    guard !shared.isRaisingAlarm.exchange(true, ordering: .relaxed) else { return }
    let request = Etcdserverpb.AlarmRequest(
      action: .activate, memberID: own.memberID, alarm: own.alarm)
    let id = requests.makeID()
    logger.warn("alarm raised", [LogField("alarm", .string("\(own.alarm)"))])
    requests.propose(id: id, RaftRequest.encode(.alarm, request.encoded(), id: id)) {
      [shared, logger] outcome, _ in
      shared.isRaisingAlarm.store(false, ordering: .relaxed)
      guard case .failed(let error) = outcome else { return }
      logger.warn("failed to raise the alarm NOSPACE", [LogField("error", .error(error))])
    }
  }

  /// Counters of a method.
  func counters(_ method: MethodDescriptor) -> CallCounters {
    let type: String
    switch (method.clientStreaming, method.serverStreaming) {
    case (false, false): type = "unary"
    case (true, false): type = "client_stream"
    case (false, true): type = "server_stream"
    case (true, true): type = "bidi_stream"
    }
    return CallCounters(
      metrics.registry, type: type, service: method.service, method: method.name,
      withSeconds: config.extensiveMetrics)
  }
}
