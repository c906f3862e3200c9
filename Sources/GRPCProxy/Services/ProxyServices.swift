import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import Protobuf

/// The methods that a proxy serves on one loop.
struct ProxyServices {
  let forwarder: Forwarder
  let counters: MethodCounters
  let membership: ProxyMembership
  let keys: KVProxy
  let watches: WatchProxy
  let leases: LeaseProxy

  /// All methods of the cluster's services, but for those of the health of gRPC, which are a member's own.
  static let methods =
    Etcdserverpb.KVService.methods + Etcdserverpb.WatchService.methods
    + Etcdserverpb.LeaseService.methods + Etcdserverpb.ClusterService.methods
    + Etcdserverpb.MaintenanceService.methods + Etcdserverpb.AuthService.methods
    + V3electionpb.ElectionService.methods + V3lockpb.LockService.methods

  func router() -> CallRouter {
    var router = CallRouter()
    for method in Self.methods { add(method, to: &router) }
    return router
  }

  private func add(_ method: MethodDescriptor, to router: inout CallRouter) {
    let counters = counters[method]
    switch method.path {
    case Etcdserverpb.KVService.rangeStream.path where !keys.names.prefix.isEmpty:
      // Its answers are cut anywhere.
      return
    case Etcdserverpb.WatchService.watch.path:
      return router.streaming(method.path, counters: counters) { [watches] in
        try await watches.serve($0)
      }
    case Etcdserverpb.LeaseService.leaseKeepAlive.path:
      return router.streaming(method.path, counters: counters) { [leases] in
        try await leases.keepAlive($0)
      }
    case Etcdserverpb.LeaseService.leaseTimeToLive.path:
      return router.unary(method.path, counters: counters) { [leases] in leases.timeToLive($0, $1) }
    default: break
    }
    if let handler = keys.handler(method) {
      return router.unary(method.path, counters: counters, handler)
    }
    if method.clientStreaming || method.serverStreaming {
      router.streaming(method.path, counters: counters) { [forwarder] in
        try await forwarder.forward($0)
      }
      return
    }
    if method.path == Etcdserverpb.ClusterService.memberList.path, let answer = membership.answer {
      return router.unary(method.path, counters: counters) { call, _ in
        call.respond(.bytes(answer()))
      }
    }
    router.unary(method.path, counters: counters) { [forwarder] call, request in
      forwarder.forward(call, request)
    }
  }
}

/// Counters of all methods, the same ones for all loops.
final class MethodCounters: Sendable {
  private let counters: [String: CallCounters]

  init(_ registry: MetricsRegistry) {
    counters = Dictionary(
      uniqueKeysWithValues: ProxyServices.methods.map { method in
        let type =
          switch (method.clientStreaming, method.serverStreaming) {
          case (false, false): "unary"
          case (true, false): "client_stream"
          case (false, true): "server_stream"
          case (true, true): "bidi_stream"
          }
        return (
          method.path,
          CallCounters(registry, type: type, service: method.service, method: method.name)
        )
      })
  }

  subscript(_ method: MethodDescriptor) -> CallCounters? { counters[method.path] }
}

/// Who the members are, for clients: the proxies, so that they stay with them.
///
/// - Source: etcd `grpcproxy/cluster.go`, `MemberList`.
struct ProxyMembership: Sendable {
  /// What clients reach this proxy by; empty for one that shows the cluster's members.
  let url: String
  let host: String
  /// `nil` where no proxy is registered.
  let others: ProxyMembers?

  /// Makes the answer; `nil` where it is the cluster's.
  var answer: (@Sendable () -> Bytes)? {
    guard !url.isEmpty else { return nil }
    return {
      let registered = others?.list ?? []
      let own = Etcdserverpb.Member(name: host, clientURLs: [url])
      return Etcdserverpb.MemberListResponse(members: registered.isEmpty ? [own] : registered)
        .encoded()
    }
  }
}
