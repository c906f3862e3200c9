import Bytes
import EtcdAPI
import EventLoops
import HTTP
import JSON
import Member
import Protobuf

/// `/health`: alarms, then the leader, then a read. With `serializable=true` the member alone is
/// asked, not its cluster, so that a probe does not kill members that lost their quorum.
///
/// - Source: etcd `etcdhttp/health.go`.
struct HealthEndpoint: Sendable {
  private static let path = "/health"
  let member: RunningMember

  func serve(_ exchange: HTTPExchange) {
    guard exchange.requireMethod("GET") else {
      member.logger.warn("\(Self.path) error", [LogField("status-code", 405)])
      return
    }
    let query = HTTPQuery(exchange.request.query)
    let excluded = query.all("exclude")
    let isSerializable = query.first("serializable") == "true"
    let status = member.host.status
    for alarm in status.alarms where !excluded.contains(alarm.alarm.protoName ?? "") {
      return answer(exchange, reason: "ALARM \(Self.name(of: alarm.alarm))")
    }
    if !isSerializable && status.leader == .none {
      return answer(exchange, reason: "RAFT NO LEADER")
    }
    member.read(linearizable: !isSerializable) { result, _ in
      switch result {
      case .success: answer(exchange, reason: "")
      case .failure(let error): answer(exchange, reason: "RANGE ERROR:\(error.message)")
      }
    }
  }

  private static func name(of alarm: Etcdserverpb.AlarmType) -> String {
    switch alarm {
    case .nospace, .corrupt: alarm.protoName ?? "UNKNOWN"
    default: "UNKNOWN"
    }
  }

  private func answer(_ exchange: HTTPExchange, reason: String) {
    let isHealthy = reason.isEmpty
    (isHealthy ? member.metrics.healthSuccess : member.metrics.healthFailures).add()
    let body: JSONValue = [
      "health": .string(isHealthy ? "true" : "false"), "reason": .string(reason),
    ]
    let encoded = body.encoded()
    guard !isHealthy else {
      return exchange.respond(
        status: 200, headers: ["Content-Type": "text/plain; charset=utf-8"], body: encoded)
    }
    member.logger.warn(
      "\(Self.path) error",
      [LogField("output", .string(encoded.string)), LogField("status-code", 503)])
    exchange.refuse(503, encoded.string)
  }
}
