import Bytes
import EventLoops
import HTTP
import JSON

/// Asks members how they are, over the HTTP endpoints that every etcd has. Confined to its loop.
final class HealthProbe {
  private static let timeout: Duration = .seconds(2)
  private static let metricsBytesMax = 8 << 20
  private let client: HTTPClient

  init(loop: EventLoop) { client = HTTPClient(loop: loop, dial: HTTPClient.dial(.plain)) }

  /// Completes the reports of members that may answer; the others are returned as they are.
  func complete(_ reports: [MemberReport], _ done: @escaping ([MemberReport]) -> Void) {
    let round = Round(reports, done)
    for (index, report) in reports.enumerated() where report.state == .unhealthy {
      get(report.plan.clientPort, "/health", round) { [self] body in
        guard Self.isHealthy(body) else { return }
        round.reports[index].state = .healthy
        // Only now: a member that is catching up may not know its cluster yet.
        get(report.plan.clientPort, "/metrics", round) { body in
          round.reports[index].isLeader = Self.saysLeader(body)
        }
        get(report.plan.peerPort, "/members", round) { body in
          round.reports[index].id = Self.id(of: report.plan.peerURL, in: body)
        }
      }
    }
    round.finishedOne()
  }

  /// Answers still missing; the first one stands for the round itself.
  private final class Round {
    var reports: [MemberReport]
    private var missing = 1
    private var done: (([MemberReport]) -> Void)?

    init(_ reports: [MemberReport], _ done: @escaping ([MemberReport]) -> Void) {
      self.reports = reports
      self.done = done
    }

    func began() { missing += 1 }

    func finishedOne() {
      missing -= 1
      guard missing == 0, let done else { return }
      self.done = nil
      done(reports)
    }
  }

  private func get(
    _ port: Int, _ target: String, _ round: Round, _ handle: @escaping (Bytes) -> Void
  ) {
    round.began()
    var request = HTTPClientRequest("GET", .tcp(host: "127.0.0.1", port: port), target)
    request.connectTimeout = Self.timeout
    request.headTimeout = Self.timeout
    request.idleTimeout = Self.timeout
    request.headers.add("Connection", "close")
    client.send(request, limit: Self.metricsBytesMax) { result in
      // No answer is an answer: the report stays as it is.
      if case .success(let response) = result, response.head.status == 200 {
        handle(response.body)
      }
      round.finishedOne()
    }
  }

  /// Whether `{"health":"true"}` says so; a boolean counts too.
  static func isHealthy(_ body: Bytes) -> Bool {
    guard let health = (try? JSONValue.parse(body))?["health"] else { return false }
    return health.string == "true" || health.bool == true
  }

  /// Whether the metrics say that this member leads.
  static func saysLeader(_ body: Bytes) -> Bool {
    let wanted = Array("etcd_server_is_leader 1".utf8)
    var line = LineSplitter()
    var found = false
    line.add(body) { if $0.elementsEqual(wanted) { found = true } }
    return found
  }

  /// The ID of the member with a peer URL in a list of members: its name is there only once it was published.
  static func id(of peerURL: String, in body: Bytes) -> UInt64? {
    let members = (try? JSONValue.parse(body))?.array ?? []
    return members.first { member in
      member["peerURLs"]?.array?.contains { $0.string == peerURL } ?? false
    }?["id"]?.integer(as: UInt64.self)
  }
}
