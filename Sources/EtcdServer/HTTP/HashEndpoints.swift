import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import Member
import Membership
import PeerTransport

/// What members ask each other about their data and their version: hashes, and whether a downgrade is
/// enabled. On the peer listener.
///
/// - Source: etcd `hashKVHandler`, `downgradeEnabledHandler`.
struct HashEndpoints: Sendable {
  static let downgradePath = "/downgrade/enabled"
  let member: RunningMember

  private var clusterID: String { String(member.host.clusterID, radix: 16) }

  func register(in router: inout HTTPRouter) {
    router.add(nil, HashKVMessage.path) { exchange, _ in hash(exchange) }
    router.add(nil, Self.downgradePath) { exchange, _ in downgrade(exchange) }
  }

  private func hash(_ exchange: HTTPExchange) {
    guard exchange.requireMethod("GET") else { return }
    let given = exchange.request.headers[PeerField.clusterID] ?? ""
    guard given.isEmpty || given == clusterID else {
      return exchange.refuse(412, HashKVMessage.clusterMismatch)
    }
    exchange.collectBody(limit: HashKVMessage.bytesMax) { result in
      guard case .success(let body) = result else {
        return exchange.refuse(400, "error reading body")
      }
      guard let revision = HashKVMessage.revision(in: body) else {
        member.logger.warn("failed to unmarshal request")
        return exchange.refuse(400, "error unmarshalling request")
      }
      member.hash(at: revision) { result, _ in answer(exchange, revision, result) }
    }
  }

  private func answer(
    _ exchange: HTTPExchange, _ revision: Int64, _ result: Result<MemberHash, EtcdError>
  ) {
    switch result {
    case .success(let hash):
      exchange.respond(
        status: 200,
        headers: [
          "Content-Type": "application/json", PeerField.clusterID: clusterID,
        ], body: HashKVMessage.answer(hash))
    case .failure(let error):
      let text: String
      switch error {
      case .compacted: text = HashKVMessage.compacted
      case .futureRevision: text = HashKVMessage.futureRevision
      default: text = error.message
      }
      member.logger.warn(
        "failed to get hashKV",
        [LogField("requested-revision", .int(Int(revision))), LogField("error", .string(text))])
      exchange.refuse(400, text)
    }
  }

  /// The answer is linearizable where a quorum is there: a member that joins asks whoever answers first.
  ///
  /// The second member of a cluster is itself needed for a quorum. Without an answer it would come too late:
  /// the leader gives up after an election timeout. What this member knows is better than no answer then, with
  /// which etcd's newcomers assume that no downgrade is enabled.
  private func downgrade(_ exchange: HTTPExchange) {
    guard exchange.requireMethod("GET") else { return }
    var isAnswered = false
    func answer(_ result: Result<Downgrade, EtcdError>) {
      guard !isAnswered else { return }
      isAnswered = true
      switch result {
      case .success(let downgrade):
        exchange.respond(
          status: 200,
          headers: ["Content-Type": "text/plain", PeerField.clusterID: clusterID],
          body: Bytes("\(downgrade.isEnabled)"))
      case .failure(let error):
        exchange.refuse(
          500, "failed linearized read: \(error.message)", [PeerField.clusterID: clusterID])
      }
    }
    // A leader that has its quorum hears from it every heartbeat.
    let patience = Duration.milliseconds(2 * member.config.heartbeatInterval)
    let timer = member.loop.schedule(after: patience) {
      answer(.success(member.host.status.downgrade))
    }
    DowngradeRequests(member: member).current { result in
      timer.cancel()
      answer(result)
    }
  }
}
