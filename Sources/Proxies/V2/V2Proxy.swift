import Bytes
import EtcdConfig
import EtcdServer
import EventLoops
import FileSystem
import GoText
import HTTP
import JSON

/// A proxy for the v2 API of a cluster: HTTP requests go to a member, whoever that is, and answers come back as they
/// come.
///
/// - Source: etcd `etcdmain.startProxy`, `proxy/httpproxy`.
package final class V2Proxy: @unchecked Sendable {
  // @unchecked: `start` and `stop` are called by one thread; what changes between them is confined to `loop`.

  let loop = EventLoop(name: "etcd-proxy")
  let logger: Logger
  let metrics = ProxyMetrics()
  let client: HTTPClient
  let bodies = HTTPBodyBudget(bytesMax: bodiesBytesMax)
  /// `nil` for no limit, both.
  let readTimeout: Duration?
  let writeTimeout: Duration?
  let dialTimeout: Duration
  private(set) var director: ProxyDirector
  /// Bytes of bodies that may have to be sent again.
  private(set) var heldBytes = 0

  private let config: ServerConfig
  private let page: MetricsPage
  private let policies: ProxyPolicies
  private let listing: MemberListing
  private let peers: HTTPClient
  private let file: ClusterFile
  /// Writes the file.
  private let worker = WorkerThread(name: "etcd-storage")
  private let certificates: CertificateKeeper?
  private let connections = HTTPConnections()
  private var listeners: [Listener] = []
  private var peerURLs: [String]
  private var written: [String]?
  private var random = SystemRandomNumberGenerator()
  private var hasFound = false
  private var isStopped = false

  /// Bytes of one request's body: more than a form of the v2 API may have.
  static let bodyBytesMax = 16 << 20
  /// Of all bodies that come in, and of all that wait for an answer.
  static let bodiesBytesMax = 64 << 20
  /// Connections kept to each member.
  /// - Source: etcd `httpproxy.DefaultMaxIdleConnsPerHost`.
  private static let idlePerMemberMax = 128
  /// While no member was found, where the interval is not below that of etcd.
  private static let hurry = (interval: Duration.seconds(1), from: Duration.seconds(30))
  /// An interval of zero would ask without end.
  private static let leastInterval = Duration.milliseconds(100)
  /// Where etcd leaves it to the system, which gives up after two minutes.
  private static let longestDial = Duration.seconds(150)
  private static let stopGrace = Duration.seconds(2)
  /// Descriptors that are no connection's.
  private static let reservedDescriptors = 150

  /// - Parameters:
  ///   - peerURLs: of members, to begin with.
  ///   - file: where those are kept that were found.
  /// - Throws: `StartError` where certificates cannot be used.
  init(
    _ config: ServerConfig, peerURLs: [String], file: ClusterFile, logger: Logger
  ) throws(StartError) {
    self.config = config
    self.logger = logger
    self.peerURLs = peerURLs
    self.file = file
    let settings = config.proxy
    func limit(_ time: Duration) -> Duration? { time == .zero ? nil : time }
    readTimeout = limit(settings.readTimeout)
    writeTimeout = limit(settings.writeTimeout)
    dialTimeout = limit(settings.dialTimeout) ?? Self.longestDial
    director = ProxyDirector(failureWait: settings.failureWait.nanoseconds)
    policies = try ProxyPolicies(config, logger)
    client = HTTPClient(
      loop: loop, idlePerOriginMax: Self.idlePerMemberMax, dial: policies.dialMembers)
    peers = HTTPClient(loop: loop, dial: policies.dialPeers)
    listing = MemberListing(peers, dialTimeout: dialTimeout, logger)
    page = MetricsPage(metrics.registry)
    certificates = policies.keeper(logger, metrics.registry)
  }

  // MARK: life

  /// Binds, asks once who the members are, and serves.
  /// - Throws: `StartError` for the first URL that cannot be bound.
  func start() throws(StartError) {
    loop.start()
    do {
      for url in config.listenClientURLs {
        listeners.append(try loop.run { try self.listen(url) })
      }
    } catch {
      close()
      throw StartError("\(error)")
    }
    let gate = Gate()
    loop.run { [self] in
      certificates?.start(on: loop)
      refresh { gate.open() }
    }
    gate.wait()
    for (listener, url) in zip(listeners, config.listenClientURLs) {
      logger.info(
        "v2 proxy started listening on client requests",
        [LogField("host", .string("\(url)"))])
      loop.run { listener.start() }
    }
  }

  private func listen(_ url: ListenURL) throws(ChannelError) -> Listener {
    let router = router
    let isReadonly = config.proxy.mode == .readonly
    let connections = connections
    return try Listener(
      loop: loop,
      endpoint: url.scheme.isUnix ? .unix(path: url.host) : .tcp(host: url.host, port: url.port),
      policy: url.scheme.isTLS ? policies.clients : .plain, isPaused: true,
      reusesPort: config.socketReusePort, admission: admission
    ) { channel in
      connections.serve(channel) { exchange in
        guard !isReadonly || Self.isLocal(exchange.request) || exchange.request.method == "GET"
        else { return exchange.respond(status: 501) }
        router.handle(exchange)
      }
      channel.start()
    }
  }

  /// Half of what the process may have: each connection may need one to a member.
  private lazy var admission: ConnectionAdmission? = descriptorLimit.map { limit in
    // checked: a difference and a half of what fits
    ConnectionAdmission(limit: max((limit - Self.reservedDescriptors) / 2, 1)) { [logger] count in
      logger.warn(
        "clients have as many connections as they may; further ones wait",
        [LogField("limit", .int(count)), LogField("file-descriptor-limit", .int(limit))])
    }
  }

  /// Lets requests end and closes. Once.
  package func stop() async {
    for listener in listeners { loop.run { listener.close() } }
    await connections.shutDown(grace: Self.stopGrace)
    loop.run { [self] in
      isStopped = true
      certificates?.stop()
      client.close()
      peers.close()
    }
    close()
  }

  private func close() {
    loop.stop()
    worker.stop()
    certificates?.stopWorker()
  }

  // MARK: requests

  private static let metricsPath = "/metrics"
  private static func isLocal(_ request: HTTPRequestHead) -> Bool { request.path == metricsPath }

  /// As etcd's, the page of metrics is for everybody, whatever the rest allows.
  private var router: HTTPRouter {
    let origins = OriginPolicy(config.corsOrigins)
    var router = HTTPRouter()
    router.add(nil, Self.metricsPath) { [page] exchange, _ in page.serve(exchange) }
    router.add(nil, "/v2/config/local/proxy") { [unowned self] exchange, _ in
      if origins.admits(exchange) { showConfiguration(exchange) }
    }
    router.add(nil, "/") { [unowned self] exchange, _ in
      if origins.admits(exchange) { ProxyCall(exchange, self).begin() }
    }
    return router
  }

  private func showConfiguration(_ exchange: HTTPExchange) {
    guard exchange.request.method == "GET" else {
      return exchange.refuse(405, "Method Not Allowed", ["Allow": "GET"])
    }
    let urls = director.available(loop.now).map { JSONValue.string($0) }
    let object = JSONObject([.init("endpoints", .array(urls))])
    exchange.respond(
      status: 200, headers: ["Content-Type": "text/plain; charset=utf-8"],
      body: Bytes(JSONValue.object(object).encoded(escapeHTML: true).string + "\n"))
  }

  /// Answers with a reason in etcd's form.
  /// - Source: etcd `httptypes.HTTPError`.
  static func refuse(_ exchange: HTTPExchange, _ status: Int, _ message: String) {
    let object = JSONObject([.init("message", .string("httpproxy: " + message))])
    exchange.respond(
      status: status, headers: ["Content-Type": "application/json"],
      body: JSONValue.object(object).encoded(escapeHTML: true))
  }

  /// Keeps room for a body until `release`.
  /// - Returns: whether there is room.
  func hold(_ count: Int) -> Bool {
    // checked: one is at most `bodyBytesMax`, all are `bodiesBytesMax`
    guard heldBytes + count <= Self.bodiesBytesMax else { return false }
    heldBytes += count
    return true
  }

  func release(_ count: Int) {
    // checked: what was held
    heldBytes -= count
  }

  /// A member did not answer: it is left out for a while.
  func failed(_ url: String) {
    guard director.failed(url, loop.now) else { return }
    let endpoint = LogField("endpoint", .string(url))
    logger.info("marked endpoint unavailable", [endpoint])
    loop.schedule(after: config.proxy.failureWait) { [weak self] in
      self?.logger.info("marked endpoint available, to retest connectivity", [endpoint])
    }
  }

  // MARK: members

  /// Asks who the members are, now and again and again.
  private func refresh(_ done: @escaping () -> Void = {}) {
    listing.ask(peerURLs) { [weak self] result in
      guard let self, !isStopped else { return }
      switch result {
      case .success(let answer): take(answer)
      case .failure(let failure):
        logger.warn(
          "failed to get cluster from remote peers",
          [
            LogField("peer-urls", .strings(peerURLs)),
            LogField("error", .string(failure.description)),
          ])
      }
      var interval = max(config.proxy.refreshInterval, Self.leastInterval)
      if director.urls.isEmpty, interval >= Self.hurry.from { interval = Self.hurry.interval }
      loop.schedule(after: interval) { [weak self] in self?.refresh() }
      done()
    }
  }

  private func take(_ answer: MemberListing.Answer) {
    director.update(answer.clientURLs, using: &random)
    if !hasFound, !answer.clientURLs.isEmpty {
      hasFound = true
      logger.info("endpoints found", [LogField("endpoints", .strings(director.urls))])
    }
    if answer.peerURLs != peerURLs {
      logger.info(
        "proxy updated peer URLs",
        [
          LogField("from", .strings(peerURLs)), LogField("to", .strings(answer.peerURLs)),
        ])
      peerURLs = answer.peerURLs
    }
    guard written != peerURLs else { return }
    written = peerURLs
    worker.execute { [self, peerURLs] in
      do throws(FileError) { try file.write(peerURLs) } catch {
        logger.warn("proxy failed to write cluster file", [LogField("error", .error(error))])
        // The next answer tries again.
        loop.execute { self.written = nil }
      }
    }
  }
}
