import EventLoops
import HTTP

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
