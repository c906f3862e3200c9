import Bytes
import EtcdClient
import EventLoops
import GoText
import HTTP

/// Where a discovery service keeps its tokens.
protocol RegistryStore: Sendable {
  /// - Parameter url: that of a token.
  /// - Throws: the refusal that is the answer.
  func answer(
    _ request: RegistryRequest, url: (String) -> String
  ) async throws(RegistryRefusal) -> RegistryAnswer
  /// Ends what waits. Once.
  func close()
}

/// Serves the protocol by which new members find each other, over any etcd that speaks v3: for those who cannot, or do not
/// want to, use a public service. It keeps nothing itself; several may stand before one etcd.
///
/// - Source: etcd `api/v2discovery`, the service behind discovery.etcd.io.
package final class DiscoveryService: @unchecked Sendable {
  // @unchecked: `start` and `stop` are called by one thread; the rest is confined to `loop`.

  /// Where it listens, what it stands before, how long tokens live.
  package struct Options: Sendable {
    package var host = "127.0.0.1"
    package var port = 8087
    package var endpoints = ["http://127.0.0.1:2379"]
    /// What URLs of tokens begin with; empty for what clients call this service.
    package var url = ""
    /// Keys of tokens lie below it.
    package var prefix = RegistryToken.root
    /// Seconds; 0 for ever.
    package var life = RegistryToken.lifeByDefault
    package var clientTLS: EtcdClientConfiguration.TLS?
    /// Whether connections have TLS.
    package var isSecure = false
    package var credentials: EtcdClientConfiguration.Credentials?

    package init() {}

    /// Where it listens.
    var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  private static let bodyBytesMax = 16 << 10
  private static let bodiesBytesMax = 4 << 20
  private static let requestTimeout = Duration.seconds(5)
  /// Those who wait for the next member hold a stream each.
  private static let waitsMax = 1_000
  private static let methods = ["HEAD", "GET", "PUT", "POST", "DELETE"]
  private static let stopGrace = Duration.seconds(1)
  /// Descriptors that are no connection's.
  private static let reservedDescriptors = 150

  private let options: Options
  private let logger: Logger
  private let store: any RegistryStore
  private let loop = EventLoop(name: "etcd-discovery")
  private let connections = HTTPConnections()
  private let bodies = HTTPBodyBudget(bytesMax: bodiesBytesMax)
  private let policy: ChannelPolicy
  private var listener: Listener?
  private var waits = 0

  /// - Parameter policy: what connections have to be.
  /// - Throws: `EtcdClientError` for endpoints that are none.
  package convenience init(
    _ options: Options, policy: ChannelPolicy = .plain, logger: Logger
  ) throws(EtcdClientError) {
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: options.endpoints, tls: options.clientTLS, credentials: options.credentials,
        requestTimeout: Self.requestTimeout))
    self.init(
      options, store: RegistryKeys(client: client, root: options.prefix, life: options.life),
      policy: policy, logger: logger)
  }

  /// A service without an etcd behind it.
  /// - Parameter memory: keeps the tokens; of the options, endpoints, prefix and life are an etcd's alone.
  package convenience init(_ options: Options, memory: RegistryMemory, logger: Logger) {
    self.init(options, store: memory, policy: .plain, logger: logger)
  }

  private init(
    _ options: Options, store: any RegistryStore, policy: ChannelPolicy, logger: Logger
  ) {
    self.options = options
    self.store = store
    self.policy = policy
    self.logger = logger
  }

  /// Binds and serves.
  /// - Throws: `ChannelError` when the address cannot be had.
  package func start() throws(ChannelError) {
    loop.start()
    do throws(ChannelError) {
      listener = try loop.run { () throws(ChannelError) in try self.listen() }
    } catch {
      loop.stop()
      throw error
    }
    logger.info(
      "serving discovery requests",
      [
        LogField("address", .string(options.address)),
        LogField("endpoints", .strings(options.endpoints)),
      ])
  }

  private func listen() throws(ChannelError) -> Listener {
    let limit = descriptorLimit ?? 1024
    return try Listener(
      loop: loop, endpoint: .tcp(host: options.host, port: options.port),
      policy: policy,
      // checked: a half of what fits
      admission: ConnectionAdmission(limit: max(limit / 2 - Self.reservedDescriptors, 16)) {
        [logger] count in
        logger.warn(
          "clients have as many connections as they may; further ones wait",
          [LogField("limit", .int(count))])
      }
    ) { [unowned self] channel in
      connections.serve(channel) { [unowned self] exchange in serve(exchange) }
      channel.start()
    }
  }

  /// Ends what waits and closes. Once.
  package func stop() async {
    if let listener { loop.run { listener.close() } }
    await connections.shutDown(grace: Self.stopGrace)
    store.close()
    loop.stop()
  }

  // MARK: requests

  private func serve(_ exchange: HTTPExchange) {
    guard Self.methods.contains(exchange.request.method) else {
      return exchange.refuse(
        405, "Method Not Allowed", ["Allow": Self.methods.joined(separator: ",")])
    }
    do throws(HTTPForm.Failure) {
      guard try exchange.hasForm() else { return parse(exchange, nil) }
    } catch { return exchange.respond(status: 400, text: "\(error.message)\n") }
    exchange.collectBody(limit: Self.bodyBytesMax, budget: bodies) { [weak self] result in
      switch result {
      case .success(let body): self?.parse(exchange, body)
      case .failure(.tooLarge):
        exchange.respond(
          status: 413, text: "a form has \(Self.bodyBytesMax) bytes at most\n")
      case .failure(let error): exchange.respond(status: 400, text: "\(error)\n")
      }
    }
  }

  private func parse(_ exchange: HTTPExchange, _ body: Bytes?) {
    guard let path = URLCoding.decode(exchange.request.path[...], plusIsSpace: false)?.string else {
      return exchange.respond(status: 400, text: "the path is not encoded as URLs are\n")
    }
    if path == "/" || path == "/health" { return exchange.respond(status: 200, text: Self.usage) }
    let request: RegistryRequest
    do {
      request = try RegistryRequest(
        exchange.request.method == "HEAD" ? "GET" : exchange.request.method, path,
        HTTPForm(form: body, query: exchange.request.query))
    } catch let refusal as RegistryRefusal {
      return answer(exchange, RegistryAnswer(refusal))
    } catch let failure as HTTPForm.Failure {
      return exchange.respond(status: 400, text: failure.message + "\n")
    } catch { return exchange.respond(status: 400, text: "\(error)\n") }
    ask(exchange, request)
  }

  private static let usage = """
    etcd discovery: GET /new?size=3 gives the URL of a token; start each member with --discovery and that URL.

    """

  private func ask(_ exchange: HTTPExchange, _ request: RegistryRequest) {
    var isWait = false
    if case .wait = request { isWait = true }
    guard !isWait || waits < Self.waitsMax else {
      return exchange.respond(status: 503, text: "\(waits) members wait already; try again\n")
    }
    let base = options.url.isEmpty ? own(exchange) : options.url
    let confined = LoopConfined(exchange)
    let task = Task(executorPreference: loop) { [store] in
      let exchange = confined.value
      let answer: RegistryAnswer
      do throws(RegistryRefusal) {
        answer = try await store.answer(
          request, url: { "\(base)/\($0)" })
      } catch { answer = RegistryAnswer(error) }
      if isWait { self.waits -= 1 }
      self.answer(exchange, answer)
    }
    guard isWait else { return }
    waits += 1
    exchange.onDisconnect = { task.cancel() }
  }

  /// What the client calls this service.
  private func own(_ exchange: HTTPExchange) -> String {
    let scheme = options.isSecure ? "https" : "http"
    let host = exchange.request.headers["host"] ?? options.address
    let isHost = host.utf8.allSatisfy { $0 > 32 && $0 < 127 && !"/?#\\\"<>".utf8.contains($0) }
    return "\(scheme)://\(isHost ? host : options.address)"
  }

  private func answer(_ exchange: HTTPExchange, _ answer: RegistryAnswer) {
    if answer.status >= 500 {
      logger.warn(
        "a discovery request failed",
        [
          LogField("path", .string(LogText.shortened(exchange.request.path))),
          LogField("answer", .string(LogText.shortened(answer.body.string))),
        ])
    }
    var headers: HTTPHeaders = [
      "Content-Type": answer.isJSON ? "application/json" : "text/plain; charset=utf-8"
    ]
    if let index = answer.index { headers.set("X-Etcd-Index", "\(index)") }
    exchange.respond(status: answer.status, headers: headers, body: answer.body)
  }
}
