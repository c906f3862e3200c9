import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EtcdServer
import EventLoops
import GRPC
import HTTP
import JSON
import Protobuf

/// What a proxy answers to plain HTTP, on one loop: its own metrics and health, and those of a member.
///
/// - Source: etcd `server/proxy/grpcproxy/{health,metrics}.go`.
final class ProxyPages: @unchecked Sendable {
  // @unchecked: confined to the loop of `upstream`, where requests come.

  private let upstream: Upstream
  private let http: HTTPClient
  private let security: ClientSecurity
  private let page: MetricsPage
  private let itself: SelfCheck?
  private let logger: Logger

  /// Bytes of a member's page of metrics.
  static let pageBytesMax = 16 << 20
  /// How long a member may take for its page.
  private static let pageTimeout = Duration.seconds(5)
  /// How long a member may take to say that it is well.
  /// - Source: etcd `grpcproxy.checkHealth`.
  private static let healthTimeout = Duration.seconds(1)

  init(
    _ upstream: Upstream, security: ClientSecurity, page: MetricsPage, itself: SelfCheck?,
    logger: Logger
  ) {
    self.upstream = upstream
    self.security = security
    self.page = page
    self.itself = itself
    self.logger = logger
    http = HTTPClient(loop: upstream.loop, dial: security.dial)
  }

  func close() { http.close() }

  /// - Parameter hasProfiles: whether the process tells of itself below `/debug/pprof/`.
  func router(hasProfiles: Bool) -> HTTPRouter {
    var router = HTTPRouter()
    router.add(nil, "/metrics") { [unowned self] exchange, _ in showMetrics(exchange) }
    router.add(nil, "/proxy/metrics") { [page] exchange, _ in page.serve(exchange) }
    router.add(nil, "/health") { [unowned self] exchange, _ in showHealth(exchange) }
    router.add(nil, "/proxy/health") { [unowned self] exchange, _ in showOwnHealth(exchange) }
    if hasProfiles { ProcessPages().register(in: &router) }
    return router
  }

  // MARK: metrics

  /// The page of any member: of the next one when one does not answer.
  private func showMetrics(_ exchange: HTTPExchange) {
    showMetrics(exchange, of: upstream.endpoints.shuffled()[...])
  }

  private func showMetrics(_ exchange: HTTPExchange, of endpoints: ArraySlice<String>) {
    guard let endpoint = endpoints.first else {
      return exchange.refuse(500, "Internal server error")
    }
    guard let origin = security.origin(endpoint) else {
      return showMetrics(exchange, of: endpoints.dropFirst())
    }
    var request = HTTPClientRequest("GET", origin, "/metrics")
    request.headTimeout = Self.pageTimeout
    request.idleTimeout = Self.pageTimeout
    http.send(request, limit: Self.pageBytesMax) { [weak self] result in
      switch result {
      case .success(let (_, body)):
        exchange.respond(
          status: 200, headers: ["Content-Type": "text/plain; version=0.0.4"], body: body)
      case .failure: self?.showMetrics(exchange, of: endpoints.dropFirst())
      }
    }
  }

  // MARK: health

  private func showHealth(_ exchange: HTTPExchange) {
    guard takes(exchange) else { return }
    let ask = UpstreamCall(
      upstream, Etcdserverpb.KVService.range.path,
      Etcdserverpb.RangeRequest(key: "a").encoded(), [:],
      deadline: upstream.loop.now &+ Self.healthTimeout.nanoseconds
    ) { [weak self] result in
      var reason = ""
      if case .failure(let status) = result, status.message != EtcdError.permissionDenied.message {
        reason = "GET ERROR:\(status.message)"
      }
      self?.answer(exchange, reason)
    }
    ask.start()
    exchange.onDisconnect = { ask.cancel() }
  }

  private func showOwnHealth(_ exchange: HTTPExchange) {
    guard takes(exchange) else { return }
    guard let itself else { return answer(exchange, "no connection to proxy") }
    let box = LoopConfined(exchange)
    Task(executorPreference: upstream.loop) { [weak self] in
      let reason = await itself.reason()
      self?.answer(box.value, reason)
    }
  }

  private func takes(_ exchange: HTTPExchange) -> Bool {
    if exchange.request.method == "GET" { return true }
    exchange.refuse(405, "Method Not Allowed", ["Allow": "GET"])
    return false
  }

  private func answer(_ exchange: HTTPExchange, _ reason: String) {
    exchange.onDisconnect = nil
    let body: JSONValue = [
      "health": .string(reason.isEmpty ? "true" : "false"), "reason": .string(reason),
    ]
    let encoded = body.encoded()
    guard !reason.isEmpty else {
      return exchange.respond(
        status: 200, headers: ["Content-Type": "text/plain; charset=utf-8"], body: encoded)
    }
    logger.warn(
      "\(exchange.request.path) error",
      [LogField("output", .string(encoded.string)), LogField("status-code", 503)])
    exchange.refuse(503, encoded.string)
  }
}
