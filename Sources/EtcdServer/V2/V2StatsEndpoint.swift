import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import JSON
import Member
import Platform
import V2Store

/// `/v2/stats`: what the store, this member and its followers did.
///
/// - Source: etcd `v2http/client.go`.
struct V2StatsEndpoint: Sendable {
  let member: RunningMember
  let hub: V2Hub

  func register(in router: inout HTTPRouter) {
    router.add(nil, "/v2/stats/self") { exchange, _ in
      guard exchange.requireMethod("GET") else { return }
      respond(
        exchange,
        hub.stats.own(
          member.config.name, member.host.memberID, member.host.status, at: WallClock.nanoseconds))
    }
    router.add(nil, "/v2/stats/leader") { exchange, _ in
      guard exchange.requireMethod("GET") else { return }
      guard member.host.status.leader == member.host.memberID else {
        return exchange.refuseV2(403, "not current leader")
      }
      respond(exchange, hub.stats.followers(of: member.host.memberID))
    }
    router.add(nil, "/v2/stats/store") { exchange, _ in
      guard exchange.requireMethod("GET") else { return }
      store(exchange)
    }
  }

  private func store(_ exchange: HTTPExchange) {
    member.requests.askV2(.stats) { outcome, _ in
      guard case .v2(.stats(let stats)) = outcome else {
        return exchange.refuse(503, "Service Unavailable")
      }
      let answer = LoopConfined(exchange)
      hub.count(on: member.loop) { count in
        var stats = stats
        stats.watchers = UInt64(count)
        respond(answer.value, stats.json)
      }
    }
  }

  private func respond(_ exchange: HTTPExchange, _ value: JSONValue) {
    exchange.respond(
      status: 200, headers: ["Content-Type": "application/json"], body: value.encoded())
  }
}

extension V2Stats {
  fileprivate var json: JSONValue {
    .object(JSONObject(Self.fields.map { .init($0.name, .number("\(self[keyPath: $0.field])")) }))
  }
}
