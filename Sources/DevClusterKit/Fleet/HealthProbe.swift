import Bytes
import EventLoops
import JSON

/// Asks a member how it is, over the HTTP endpoints that every etcd from 3.4 on has. Confined to its loop.
struct HealthProbe {
  /// For each of two questions; a frozen member holds up nobody else.
  private static let timeout: Duration = .seconds(2)
  let api: MemberAPI

  /// - Parameter done: gets what it said; `nil` when it did not answer.
  func ask(_ member: MemberPlan, _ done: @escaping (Observation?) -> Void) {
    let status = FleetLife.MemberCall(path: "/v3/maintenance/status", body: [:])
    api.call(status, [member], timeout: Self.timeout) { result in
      if case .failure(let error) = result, error.description.hasSuffix(Self.noGateway) {
        return askWithoutGateway(member, done)
      }
      guard case .success(let json) = result, var seen = Observation(status: json) else {
        return done(nil)
      }
      // Without a leader nobody can read; a learner answers no linearizable reads at all.
      guard seen.leader != 0, !seen.isLearner else {
        seen.isHealthy = seen.leader != 0
        return done(seen)
      }
      api.get("/health", of: member, timeout: Self.timeout) { body in
        seen.isHealthy = body.map(Self.isHealthy) ?? false
        done(seen)
      }
    }
  }

  /// How the refusal of a member without a JSON gateway ends, as with `--enable-grpc-gateway=false`.
  private static let noGateway = ": status 404"

  /// What pages for monitoring tell: whether it serves, who it is, whether it leads.
  private func askWithoutGateway(
    _ member: MemberPlan, _ done: @escaping (Observation?) -> Void
  ) {
    api.get("/health", of: member, timeout: Self.timeout) { body in
      guard let body else { return done(nil) }
      api.get("/metrics", of: member, timeout: Self.timeout) { metrics in
        var seen = Observation(metrics: metrics ?? Bytes())
        seen.isHealthy = Self.isHealthy(body) && seen.leader != 0
        done(seen)
      }
    }
  }

  /// Whether `{"health":"true"}` says so; a boolean counts too.
  static func isHealthy(_ body: Bytes) -> Bool {
    guard let health = (try? JSONValue.parse(body))?["health"] else { return false }
    return health.string == "true" || health.bool == true
  }
}
