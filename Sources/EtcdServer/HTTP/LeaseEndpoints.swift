import Bytes
import EtcdAPI
import EventLoops
import Failpoints
import HTTP
import MVCC
import Member
import Protobuf

/// Answers members that ask this one, as the leader, about leases. On the peer listener.
///
/// - Source: etcd `leasehttp/http.go`.
struct LeaseEndpoints: Sendable {
  let member: RunningMember

  /// A request holds an id and a flag.
  private static let requestBytesMax = 64 << 10
  /// After which the asking member is told to try again.
  /// - Source: etcd `applyTimeout`.
  private static let patience: Duration = .seconds(1)

  func register(in router: inout HTTPRouter) {
    for path in [LeaseHTTP.renewPath, LeaseHTTP.timeToLivePath] {
      router.add(nil, path) { exchange, _ in serve(exchange, path) }
    }
  }

  private func serve(_ exchange: HTTPExchange, _ path: String) {
    guard exchange.request.method == "POST" else {
      return exchange.refuse(405, "Method Not Allowed")
    }
    exchange.collectBody(limit: Self.requestBytesMax) { result in
      switch result {
      case .failure: exchange.refuse(400, "error reading body")
      case .success(let body):
        guard let question = Self.question(path, body) else {
          return exchange.refuse(400, "error unmarshalling request")
        }
        ask(question, exchange)
      }
    }
  }

  private static func question(_ path: String, _ body: Bytes) -> LeaseQuestion.Kind? {
    if path == LeaseHTTP.renewPath {
      return (try? Etcdserverpb.LeaseKeepAliveRequest.decode(body)).map { .renew([LeaseID($0.id)]) }
    }
    guard
      let request = try? Leasepb.LeaseInternalRequest.decode(body).leaseTimeToLiveRequest
    else { return nil }
    return .timeToLive(LeaseID(request.id), keys: request.keys)
  }

  private func ask(_ question: LeaseQuestion.Kind, _ exchange: HTTPExchange) {
    if case .renew = question {
      Failpoint.hit(.beforeServeHTTPLeaseRenew)
    } else {
      Failpoint.hit(.beforeLookupWhenForwardLeaseTimeToLive)
    }
    var isAnswered = false
    let timer = member.loop.schedule(after: Self.patience) {
      guard !isAnswered else { return }
      isAnswered = true
      exchange.refuse(408, LeaseHTTP.timedOut)
    }
    member.requests.ask(question) { result in
      guard !isAnswered else { return }
      isAnswered = true
      timer.cancel()
      switch result {
      case .success(let answer): respond(exchange, question, answer)
      case .failure(.leaseNotFound): exchange.refuse(404, LeaseHTTP.notFound)
      case .failure(.notLeader):
        if case .renew = question { return exchange.refuse(400, LeaseHTTP.notPrimary) }
        exchange.refuse(500, LeaseHTTP.notPrimary)
      case .failure(.timeout): exchange.refuse(408, LeaseHTTP.timedOut)
      case .failure(let error): exchange.refuse(500, error.message)
      }
    }
  }

  private func respond(
    _ exchange: HTTPExchange, _ question: LeaseQuestion.Kind, _ answer: LeaseAnswer
  ) {
    switch (question, answer) {
    case (.renew(let leases), .renewed(let ttls)):
      guard ttls[0] > 0 else { return exchange.refuse(404, LeaseHTTP.notFound) }
      let answer = Etcdserverpb.LeaseKeepAliveResponse(id: leases[0].rawValue, ttl: ttls[0])
      send(exchange, answer.encoded())
    case (.timeToLive(let id, _), .timeToLive(let remaining, let granted, let keys)):
      let encode: @Sendable () -> Bytes = {
        LeaseHTTP.body(id: id, remaining: remaining, granted: granted, keys: keys)
      }
      if keys.count <= ReadWorkers.keysOnLoop { return send(exchange, encode()) }
      member.shared.readers.run(on: member.loop, encode) { result in
        switch result {
        case .success(let body): send(exchange, body)
        case .failure(let error): exchange.refuse(500, error.message)
        }
      }
    default: preconditionFailure("a lease question is answered in kind")
    }
  }

  private func send(_ exchange: HTTPExchange, _ body: Bytes) {
    exchange.respond(
      status: 200, headers: ["Content-Type": LeaseHTTP.contentType], body: body)
  }
}
