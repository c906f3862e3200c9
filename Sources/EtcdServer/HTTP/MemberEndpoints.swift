import Bytes
import EtcdAPI
import EventLoops
import HTTP
import Member
import Membership
import PeerTransport

/// What members ask each other about their cluster: who belongs to it, and promotions.
///
/// - Source: etcd `etcdhttp/peer.go`.
struct MemberEndpoints: Sendable {
  private static let promotePrefix = "/members/promote/"
  let member: RunningMember

  func register(in router: inout HTTPRouter) {
    router.add(nil, "/members") { exchange, _ in
      guard exchange.requireMethod("GET") else { return }
      answer(exchange, member.host.membership.sorted)
    }
    router.add(nil, Self.promotePrefix) { exchange, path in promote(exchange, path) }
  }

  /// A follower passes a promotion on to this member, which leads.
  private func promote(_ exchange: HTTPExchange, _ path: String) {
    guard exchange.requireMethod("POST") else { return }
    let text = String(path.dropFirst(Self.promotePrefix.count))
    guard let id = UInt64(text).map({ MemberID($0) }) else {
      return refuse(exchange, 404, "member \(text) not found in cluster")
    }
    member.promote(id, mayForward: false) { result, _ in
      switch result {
      case .success(let members): answer(exchange, members)
      case .failure(.memberNotFound): refuse(exchange, 404, "membership: ID not found")
      case .failure(.memberNotLearner):
        refuse(exchange, 412, "membership: can only promote a learner member")
      case .failure(.learnerNotReady): refuse(exchange, 412, EtcdError.learnerNotReady.message)
      case .failure(.timeout): refuse(exchange, 408, EtcdError.timeout.message)
      case .failure(let error): refuse(exchange, 500, error.message)
      }
    }
  }

  private var clusterID: String { String(member.host.clusterID, radix: 16) }

  private func refuse(_ exchange: HTTPExchange, _ status: Int, _ text: String) {
    exchange.refuse(status, text, [PeerField.clusterID: clusterID])
  }

  private func answer(_ exchange: HTTPExchange, _ members: [MemberInfo]) {
    var writer = ByteWriter(capacity: 512)
    writer.append("[")
    for (position, info) in members.enumerated() {
      if position > 0 { writer.append(",") }
      writer.append(info.json())
    }
    writer.append("]\n")
    exchange.respond(
      status: 200,
      headers: ["Content-Type": "application/json", PeerField.clusterID: clusterID],
      body: writer.finish())
  }
}
