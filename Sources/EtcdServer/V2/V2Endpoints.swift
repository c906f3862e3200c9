import EventLoops
import HTTP
import JSON
import V2Store

/// The v2 API, as far as it is served on the client ports.
///
/// - Source: etcd `v2http.handleV2`.
struct V2Endpoints: Sendable {
  let member: RunningMember
  let hub: V2Hub

  func register(in router: inout HTTPRouter) {
    let access = V2Access(store: V2AuthStore(member: member, hub: hub))
    V2KeysEndpoint(member: member, hub: hub, access: access).register(in: &router)
    V2MembersEndpoint(member: member, access: access).register(in: &router)
    V2AuthEndpoint(access: access).register(in: &router)
    V2StatsEndpoint(member: member, hub: hub).register(in: &router)
  }
}

extension RunningMember {
  /// As answers of the v2 API name the cluster.
  var v2ClusterID: String { String(host.clusterID, radix: 16) }
}

extension HTTPExchange {
  /// Answers with a reason as an object.
  /// - Source: etcd `httptypes.HTTPError`.
  func refuseV2(_ status: Int, _ message: String) {
    let body: JSONValue = ["message": .string(message)]
    respond(
      status: status, headers: ["Content-Type": "application/json"],
      body: body.encoded(escapeHTML: true))
  }

  /// Answers with what the v2 store says.
  /// - Source: etcd `v2error.Error.WriteTo`.
  func refuse(_ error: V2Error) {
    respond(
      status: error.httpStatus,
      headers: ["Content-Type": "application/json", "X-Etcd-Index": "\(error.index)"],
      body: V2JSON.line(error))
  }
}
