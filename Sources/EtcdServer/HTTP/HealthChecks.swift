import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import GoText
import HTTP
import Member

/// `/livez` and `/readyz`, and each of their checks below them.
///
/// - Source: etcd `etcdhttp/health.go`.
struct HealthChecks: Sendable {
  let member: RunningMember

  /// What is asked together.
  private enum Kind: String, CaseIterable {
    case livez, readyz

    var checks: [Check] {
      switch self {
      case .livez: [.serializableRead]
      case .readyz: Check.ofEtcd
      }
    }
  }

  private enum Check: String, CaseIterable {
    case dataCorruption = "data_corruption"
    case serializableRead = "serializable_read"
    case linearizableRead = "linearizable_read"
    case nonLearner = "non_learner"
    /// Not etcd's: shows only while it fails.
    case disk

    static let ofEtcd = [dataCorruption, serializableRead, linearizableRead, nonLearner]
  }

  private typealias Outcome = (check: Check, failure: String?)

  func register(in router: inout HTTPRouter) {
    for kind in Kind.allCases {
      router.add(nil, "/\(kind.rawValue)") { exchange, path in
        serve(exchange, path, kind, kind.checks, mayExclude: true)
      }
      for check in kind.checks {
        router.add(nil, "/\(kind.rawValue)/\(check.rawValue)") { exchange, path in
          serve(exchange, path, kind, [check], mayExclude: false)
        }
      }
    }
  }

  private func serve(
    _ exchange: HTTPExchange, _ path: String, _ kind: Kind, _ checks: [Check], mayExclude: Bool
  ) {
    guard exchange.requireMethod("GET") else {
      member.logger.warn(
        "Health request error",
        [LogField("path", .string(path)), LogField("status-code", 405)])
      return
    }
    let query = HTTPQuery(exchange.request.query)
    let excluded = mayExclude ? query.all("exclude") : []
    let unknown = excluded.subtracting(checks.map(\.rawValue))
    if !unknown.isEmpty {
      let names = unknown.sorted().map { GoQuote.text(LogText.shortened($0)) }
      member.logger.warn(
        "some health checks cannot be excluded",
        [LogField("missing-health-checks", .string(names.joined(separator: ",")))])
    }
    var asked = checks.filter { !excluded.contains($0.rawValue) }
    if mayExclude, kind == .readyz, member.host.status.isDiskStuck { asked.insert(.disk, at: 0) }
    run(asked[...], []) { outcomes in
      answer(exchange, path, kind, outcomes, isVerbose: query.has("verbose"))
    }
  }

  private func run(
    _ checks: ArraySlice<Check>, _ outcomes: [Outcome], _ done: @escaping ([Outcome]) -> Void
  ) {
    guard let check = checks.first else { return done(outcomes) }
    func next(_ failure: String?) {
      run(checks.dropFirst(), outcomes + [(check, failure)], done)
    }
    switch check {
    case .dataCorruption:
      let isCorrupt = member.host.status.alarms.contains { $0.alarm == .corrupt }
      next(isCorrupt ? "alarm activated: CORRUPT" : nil)
    case .disk:
      next("the log's disk has taken nothing for an election timeout")
    case .nonLearner: next(member.host.status.isLearner ? "not supported for learner" : nil)
    case .serializableRead, .linearizableRead:
      member.read(linearizable: check == .linearizableRead) { result, _ in
        if case .failure(let error) = result { next(error.message) } else { next(nil) }
      }
    }
  }

  private func answer(
    _ exchange: HTTPExchange, _ path: String, _ kind: Kind, _ outcomes: [Outcome],
    isVerbose: Bool
  ) {
    var report = ""
    for (check, failure) in outcomes {
      record(kind, check, isSuccess: failure == nil)
      report +=
        failure.map { "[-]\(check.rawValue) failed: \($0)\n" } ?? "[+]\(check.rawValue) ok\n"
    }
    guard outcomes.contains(where: { $0.failure != nil }) else {
      return exchange.respond(status: 200, text: (isVerbose ? report : "") + "ok\n")
    }
    member.logger.error(
      "Health check error",
      [
        LogField("path", .string(path)), LogField("reason", .string(report)),
        LogField("status-code", 503),
      ])
    exchange.refuse(503, report)
  }

  private func record(_ kind: Kind, _ check: Check, isSuccess: Bool) {
    let registry = member.metrics.registry
    registry.gauge(
      "etcd_server_healthcheck", "The result of each kind of healthcheck.",
      ["type": kind.rawValue, "name": check.rawValue]
    ).set(isSuccess ? 1 : 0)
    registry.counter(
      "etcd_server_healthchecks_total", "The total number of each kind of healthcheck.",
      [
        "type": kind.rawValue, "name": check.rawValue, "status": isSuccess ? "success" : "error",
      ]
    ).add()
  }
}
