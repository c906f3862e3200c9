import Bytes
import Calls
import EtcdConfig
import EventLoops
import HTTP
import JSON
import Membership
import Protobuf

/// Plain HTTP on client, peer and metrics listeners: which path is served where.
///
/// - Source: etcd `embed/{etcd,serve}.go`, `etcdhttp/{base,peer}.go`.
final class HTTPEndpoints: Sendable {
  private let clientRoutes: HTTPRouter
  private let metricsRoutes: HTTPRouter
  private let peerRoutes: HTTPRouter
  private let access: AccessController

  /// - Parameter services: what the JSON gateway serves; `nil` for none.
  init(member: RunningMember, services: CallRouter?) {
    let page = member.shared.metricsPage
    let health = HealthEndpoint(member: member)
    let checks = HealthChecks(member: member)
    let version: HTTPRouter.Handler = { exchange, _ in Self.version(exchange, member) }

    var metrics = HTTPRouter()
    metrics.add(nil, "/metrics") { exchange, _ in page.serve(exchange) }
    metrics.add(nil, "/health") { exchange, _ in health.serve(exchange) }
    checks.register(in: &metrics)
    metricsRoutes = metrics

    var client = metrics
    client.add(nil, "/version", version)
    let debug = DebugEndpoints(member: member)
    debug.registerVariables(in: &client)
    if Self.servesProfiles(member.shared) { debug.registerProfiles(in: &client) }
    if let services {
      let gateway = Gateway(member: member, services: services)
      client.add(nil, "/v3/") { gateway.serve($0, path: $1) }
    }
    if let hub = member.shared.v2 {
      V2Endpoints(member: member, hub: hub).register(in: &client)
    }
    clientRoutes = client

    var peer = HTTPRouter()
    member.shared.peers.register(in: &peer)
    peer.add(nil, "/version", version)
    MemberEndpoints(member: member).register(in: &peer)
    LeaseEndpoints(member: member).register(in: &peer)
    HashEndpoints(member: member).register(in: &peer)
    peerRoutes = peer

    access = AccessController(
      hosts: member.config.hostWhitelist, origins: member.config.corsOrigins,
      logger: member.logger,
      ignoresCertificate: { [access = member.shared.access, isServed = services != nil] exchange in
        isServed && access.isEnabled
          && exchange.channel?.peerCertificate?.commonName.isEmpty == false
          && ["/v3/", "/v3beta/"].contains(where: exchange.request.target.hasPrefix)
      })
  }

  /// A log for finding faults brings the profiles along.
  private static func servesProfiles(_ shared: SharedMember) -> Bool {
    shared.config.enablePprof || shared.logger.level == .debug
  }

  /// Writes to the log what the endpoints of all loops have in common. Once.
  static func announce(_ shared: SharedMember) {
    guard servesProfiles(shared) else { return }
    shared.logger.info(
      "pprof is enabled", [LogField("path", .string(DebugEndpoints.profilePath))])
  }

  /// Serves a request of a client listener.
  func client(_ exchange: HTTPExchange) {
    guard access.admits(exchange) else { return }
    clientRoutes.handle(exchange, rewritten: Self.current(exchange.request))
  }

  /// The first version of the gateway is served by the one of now.
  /// - Source: etcd `accessController.ServeHTTP`.
  private static func current(_ request: HTTPRequestHead) -> HTTPRequestHead {
    guard request.target.hasPrefix("/v3beta/") else { return request }
    var request = request
    request.target = "/v3/" + request.target.dropFirst("/v3beta/".count)
    return request
  }

  /// Serves a request of a metrics listener.
  func metricsOnly(_ exchange: HTTPExchange) { metricsRoutes.handle(exchange) }

  /// Serves a request of a peer listener.
  func peer(_ exchange: HTTPExchange) { peerRoutes.handle(exchange) }

  private static func version(_ exchange: HTTPExchange, _ member: RunningMember) {
    guard exchange.requireMethod("GET") else { return }
    let cluster = member.host.membership.clusterVersion ?? "not_decided"
    let body: JSONValue = [
      "etcdserver": .string(ServerVersion.etcd), "etcdcluster": .string(cluster),
    ]
    exchange.respond(
      status: 200, headers: ["Content-Type": "application/json"], body: body.encoded())
  }
}

extension HTTPExchange {
  /// Whether the request has one of these methods; else it is answered with 405. HEAD is no GET here, as in
  /// etcd.
  /// - Source: etcd `etcdhttp.allowMethod`.
  func requireMethod(_ methods: String...) -> Bool {
    if methods.contains(request.method) { return true }
    refuse(405, "Method Not Allowed", ["Allow": methods.joined(separator: ",")])
    return false
  }
}
