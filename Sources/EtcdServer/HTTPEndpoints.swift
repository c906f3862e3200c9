import Bytes
import EtcdAPI
import EtcdConfig
import HTTP
import MVCC
import Member
import Membership
import Protobuf
import Runtime

/// Plain HTTP on client, peer and metrics listeners: version, health, metrics, members.
///
/// - Source: etcd `embed/etcd.go`, `etcdhttp/{version,health,metrics,peer}.go`.
final class HTTPEndpoints: Sendable {
  private let member: RunningMember

  init(member: RunningMember) { self.member = member }

  /// Serves a request of a client listener.
  func client(_ exchange: HTTPExchange) {
    switch exchange.request.path {
    case "/version": version(exchange)
    case "/health": health(exchange)
    case "/metrics": metrics(exchange)
    default:
      if checks(exchange) { return }
      notFound(exchange)
    }
  }

  /// Serves a request of a metrics listener.
  func metricsOnly(_ exchange: HTTPExchange) {
    switch exchange.request.path {
    case "/health": health(exchange)
    case "/metrics": metrics(exchange)
    default:
      if checks(exchange) { return }
      notFound(exchange)
    }
  }

  /// Serves a request of a peer listener that is not the raft transport's.
  func peer(_ exchange: HTTPExchange) {
    switch exchange.request.path {
    case "/version": version(exchange)
    case "/members": members(exchange)
    default:
      if exchange.request.path.hasPrefix(Self.promotePrefix) { return promote(exchange) }
      if LeaseEndpoints(member: member).handle(exchange) { return }
      notFound(exchange)
    }
  }

  private static let promotePrefix = "/members/promote/"

  /// A follower passes a promotion on to this member, which leads.
  private func promote(_ exchange: HTTPExchange) {
    guard allows("POST", exchange) else { return }
    let text = String(exchange.request.path.dropFirst(Self.promotePrefix.count))
    guard let id = UInt64(text) else {
      return refuse(exchange, 404, "member \(text) not found in cluster")
    }
    member.promote(id, mayForward: false) { result, _ in
      switch result {
      case .success(let members): self.answer(exchange, members)
      case .failure(.memberNotFound): self.refuse(exchange, 404, "membership: ID not found")
      case .failure(.memberNotLearner):
        self.refuse(exchange, 412, "membership: can only promote a learner member")
      case .failure(.learnerNotReady):
        self.refuse(exchange, 412, EtcdError.learnerNotReady.message)
      case .failure(.timeout): self.refuse(exchange, 408, EtcdError.timeout.message)
      case .failure(let error): self.refuse(exchange, 500, error.message)
      }
    }
  }

  private func refuse(_ exchange: HTTPExchange, _ status: Int, _ text: String) {
    exchange.respond(
      status: status,
      headers: [
        "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff",
        "X-Etcd-Cluster-ID": String(member.host.clusterID, radix: 16),
      ], body: Bytes(text + "\n"))
  }

  private func notFound(_ exchange: HTTPExchange) {
    exchange.respond(
      status: 404,
      headers: [
        "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff",
      ], body: "404 page not found\n")
  }

  private func allowsGet(_ exchange: HTTPExchange) -> Bool { allows("GET", exchange) }

  private func allows(_ method: String, _ exchange: HTTPExchange) -> Bool {
    if exchange.request.method == method { return true }
    exchange.respond(
      status: 405,
      headers: [
        "Allow": method, "Content-Type": "text/plain; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
      ], body: "Method Not Allowed\n")
    return false
  }

  private func version(_ exchange: HTTPExchange) {
    guard allowsGet(exchange) else { return }
    let cluster = member.host.membership.clusterVersion ?? "not_decided"
    let body: JSONValue = [
      "etcdserver": .string(ServerVersion.etcd), "etcdcluster": .string(cluster),
    ]
    exchange.respond(
      status: 200, headers: ["Content-Type": "application/json"], body: body.encoded())
  }

  private func metrics(_ exchange: HTTPExchange) {
    guard allowsGet(exchange) else { return }
    exchange.respond(
      status: 200, headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"],
      body: member.metrics.registry.exposition())
  }

  private func members(_ exchange: HTTPExchange) {
    guard allowsGet(exchange) else { return }
    answer(exchange, member.host.membership.sorted)
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
      headers: [
        "Content-Type": "application/json",
        "X-Etcd-Cluster-ID": String(member.host.clusterID, radix: 16),
      ], body: writer.finish())
  }

  // MARK: Health

  /// `/health`: alarms, then the leader, then a read.
  private func health(_ exchange: HTTPExchange) {
    guard allowsGet(exchange) else { return }
    let query = HTTPQuery(exchange.request.query)
    let excluded = query.all("exclude")
    let status = member.host.status
    for alarm in status.alarms where !excluded.contains(alarm.alarm.protoName ?? "") {
      return answerHealth(exchange, reason: "ALARM \(alarm.alarm.protoName ?? "UNKNOWN")")
    }
    if status.leader == 0 { return answerHealth(exchange, reason: "RAFT NO LEADER") }
    member.read(linearizable: query.first("serializable") != "true") { result, _ in
      switch result {
      case .success: self.answerHealth(exchange, reason: "")
      case .failure(let error): self.answerHealth(exchange, reason: "RANGE ERROR:\(error.message)")
      }
    }
  }

  private func answerHealth(_ exchange: HTTPExchange, reason: String) {
    let isHealthy = reason.isEmpty
    (isHealthy ? member.metrics.healthSuccess : member.metrics.healthFailures).add()
    let body: JSONValue = [
      "health": .string(isHealthy ? "true" : "false"), "reason": .string(reason),
    ]
    var writer = ByteWriter(capacity: 64)
    writer.append(body.encoded())
    if !isHealthy { writer.append("\n") }
    exchange.respond(
      status: isHealthy ? 200 : 503, headers: ["Content-Type": "text/plain; charset=utf-8"],
      body: writer.finish())
  }

  // MARK: livez, readyz

  private enum Check: String, CaseIterable {
    case dataCorruption = "data_corruption"
    case serializableRead = "serializable_read"
    case linearizableRead = "linearizable_read"
    case nonLearner = "non_learner"
  }

  /// - Returns: false when the path is none of them.
  private func checks(_ exchange: HTTPExchange) -> Bool {
    let parts = exchange.request.path.split(separator: "/", omittingEmptySubsequences: true)
    guard let kind = parts.first, kind == "livez" || kind == "readyz", parts.count <= 2 else {
      return false
    }
    var wanted: [Check] = kind == "livez" ? [.serializableRead] : Check.allCases
    if parts.count == 2 {
      guard let one = Check(rawValue: String(parts[1])), wanted.contains(one) else { return false }
      wanted = [one]
    }
    guard allowsGet(exchange) else { return true }
    let query = HTTPQuery(exchange.request.query)
    let excluded = query.all("exclude")
    wanted.removeAll { excluded.contains($0.rawValue) }
    run(wanted[...], []) { results in
      self.answerChecks(exchange, String(kind), results, verbose: query.has("verbose"))
    }
    return true
  }

  private typealias CheckResult = (check: Check, failure: String?)

  private func run(
    _ checks: ArraySlice<Check>, _ results: [CheckResult],
    _ done: @escaping ([CheckResult]) -> Void
  ) {
    guard let check = checks.first else { return done(results) }
    func next(_ failure: String?) {
      run(checks.dropFirst(), results + [(check, failure)], done)
    }
    switch check {
    case .dataCorruption:
      let isCorrupt = member.host.status.alarms.contains { $0.alarm == .corrupt }
      next(isCorrupt ? "alarm activated: CORRUPT" : nil)
    case .nonLearner:
      next(member.host.status.isLearner ? "the member is a learner" : nil)
    case .serializableRead, .linearizableRead:
      member.read(linearizable: check == .linearizableRead) { result, _ in
        if case .failure(let error) = result {
          next("range error: \(error.message)")
        } else {
          next(nil)
        }
      }
    }
  }

  private func answerChecks(
    _ exchange: HTTPExchange, _ kind: String, _ results: [CheckResult], verbose: Bool
  ) {
    let failed = results.contains { $0.failure != nil }
    var text = ""
    if failed || verbose {
      for (check, failure) in results {
        text +=
          failure.map { "[-]\(check.rawValue) failed: \($0)\n" } ?? "[+]\(check.rawValue) ok\n"
      }
    }
    text += failed ? "\(kind) check failed\n" : "ok\n"
    exchange.respond(
      status: failed ? 503 : 200,
      headers: [
        "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff",
      ], body: Bytes(text))
  }
}

/// Parameters of a query string.
struct HTTPQuery {
  private let pairs: [(name: String, value: String)]

  init(_ text: String) {
    pairs = text.split(separator: "&").map { part in
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(sides[0]), sides.count > 1 ? String(sides[1]) : "")
    }
  }

  func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }
  func first(_ name: String) -> String? { pairs.first { $0.name == name }?.value }
  func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }
}
