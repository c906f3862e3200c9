import Bytes
import EtcdConfig
import EventLoops
import GRPC
import GoText
import HTTP
import Synchronization

/// The sockets of a member, and which loop and protocol each of their connections gets.
///
/// All are bound first, so that a port in use is found before the disk is touched; connections wait in
/// the kernel until their listeners are opened: peers and metrics when the member runs, clients when it
/// is known to its cluster.
final class ServerListeners: @unchecked Sendable {
  // @unchecked: `admission` is written by `bind`, before anything is served; `bound` and `fronts` have
  // locks; the rest is immutable.

  /// Who a listener serves.
  enum Audience { case peer, client, metrics }

  /// What a client listener speaks.
  private enum Traffic: String {
    case all = "grpc+http"
    case grpc
    case http
  }

  /// What answers on one loop.
  struct Front: Sendable {
    let loop: EventLoop
    let endpoints: HTTPEndpoints
    /// `nil` on the peers' loop, which is raft's: calls go to a client loop.
    let grpc: GRPCServer?
    /// Whether a request is the raft transport's, and then served.
    let raft: @Sendable (HTTPExchange) -> Bool
  }

  /// Files and connections that the member needs for itself.
  /// - Source: etcd `embed.reservedInternalFDNum`.
  private static let reservedDescriptors = 150

  private struct Bound: Sendable {
    let listener: Listener
    let audience: Audience
    let traffic: Traffic

    func start() { listener.loop.execute { [listener] in listener.start() } }
  }

  private let clientLoops: [EventLoop]
  private let peerLoop: EventLoop
  private let config: ServerConfig
  private let logger: Logger
  /// Empty once closed, which may happen while a loop opens them for clients.
  private let bound = Mutex<[Bound]>([])
  private let fronts = Mutex<[Front]>([])
  /// Inherited sockets that have no URL yet.
  private let waiting = Mutex<[InheritedSocket]>([])
  /// Plain HTTP of clients and metrics, and that of peers, whose streams end with the transport.
  let clientHTTP = HTTPConnections()
  let peerHTTP = HTTPConnections()
  /// Counts the connections of clients, on all listeners but those for peers.
  private var admission: ConnectionAdmission?

  init(clientLoops: [EventLoop], peerLoop: EventLoop, config: ServerConfig, logger: Logger) {
    self.clientLoops = clientLoops
    self.peerLoop = peerLoop
    self.config = config
    self.logger = logger
  }

  /// Binds every URL, or takes the socket that is bound to its address already.
  /// - Throws: `StartError` for the first that cannot be bound.
  func bind(_ inherited: [InheritedSocket]) throws(StartError) {
    waiting.withLock { $0 = inherited }
    try reserveDescriptors()
    if config.listenClientHTTPURLs.isEmpty {
      logger.warn(
        "Running http and grpc server on single port. This is not recommended for production.")
    }
    if config.socketReusePort {
      logger.info("configuring socket options", [LogField("reuse-port", true)])
    }
    logger.info(
      "configuring peer listeners", [LogField("listen-peer-urls", list(config.listenPeerURLs))])
    for url in config.listenPeerURLs { try bind(url, .peer, .all) }
    logger.info(
      "configuring client listeners",
      [LogField("listen-client-urls", list(config.listenClientURLs))])
    let shared: Traffic = config.listenClientHTTPURLs.isEmpty ? .all : .grpc
    for url in config.listenClientURLs { try bind(url, .client, shared) }
    for url in config.listenClientHTTPURLs { try bind(url, .client, .http) }
    for url in config.listenMetricsURLs { try bind(url, .metrics, .http) }
    for socket in waiting.withLock({ exchange(&$0, with: []) }) {
      logger.warn(
        "a socket was handed over that no URL names; it is closed",
        [LogField("address", .string("\(socket.address)"))])
      socket.close()
    }
  }

  /// Leaves clients what the member does not need for itself.
  private func reserveDescriptors() throws(StartError) {
    guard let limit = descriptorLimit else { return }
    guard limit > Self.reservedDescriptors else {
      throw StartError(
        "file descriptor limit of etcd process is too low; please set higher "
          + "(limit \(limit), reserved \(Self.reservedDescriptors))")
    }
    let logger = logger
    admission = ConnectionAdmission(limit: limit - Self.reservedDescriptors) {
      logger.warn(
        "clients have as many connections as they may; further ones wait",
        [LogField("limit", .int($0)), LogField("file-descriptor-limit", .int(limit))])
    }
  }

  private func list(_ urls: [ListenURL]) -> LogValue { .strings(urls.map(\.description)) }

  private func bind(
    _ url: ListenURL, _ audience: Audience, _ traffic: Traffic
  ) throws(StartError) {
    let endpoint: Listener.Endpoint
    switch url.scheme {
    case .http: endpoint = .tcp(host: url.host, port: url.port)
    case .unix: endpoint = .unix(path: url.host)
    case .https, .unixs:
      throw StartError("cannot listen on \(url): TLS is not supported by this version yet")
    }
    let inherited = waiting.withLock { sockets in
      // checked: just found
      sockets.firstIndex { $0.serves(endpoint) }.map { sockets.remove(at: $0) }
    }
    let loop = audience == .peer ? peerLoop : clientLoops[0]
    let targets = audience == .client ? clientLoops : [loop]
    do throws(ChannelError) {
      let admission = audience == .peer ? nil : admission
      let listener = try loop.run { [reusesPort = config.socketReusePort] () throws(ChannelError) in
        try Listener(
          loop: loop, endpoint: endpoint, targets: targets, isPaused: true, reusesPort: reusesPort,
          inherited: inherited,
          admission: admission
        ) { [weak self] connection in
          guard let self else { return connection.abort() }
          accepted(connection, audience, traffic)
        }
      }
      bound.withLock {
        $0.append(Bound(listener: listener, audience: audience, traffic: traffic))
      }
    } catch {
      throw StartError("\(error)")
    }
  }

  /// Serves peers and metrics.
  /// - Parameter fronts: one a loop.
  func open(_ fronts: [Front]) {
    self.fronts.withLock { $0 = fronts }
    for item in bound.withLock({ $0 }) where item.audience != .client {
      let name = item.audience == .peer ? "serving peer traffic" : "serving metrics"
      logger.info(name, [LogField("address", .string("\(item.listener.address)"))])
      item.start()
    }
    logger.info(
      "now serving peer/client/metrics",
      [
        LogField("initial-advertise-peer-urls", .strings(config.initialAdvertisePeerURLs)),
        LogField("listen-peer-urls", list(config.listenPeerURLs)),
        LogField("advertise-client-urls", .strings(config.advertiseClientURLs)),
        LogField("listen-client-urls", list(config.listenClientURLs)),
        LogField("listen-metrics-urls", list(config.listenMetricsURLs)),
      ])
  }

  /// Serves clients. Any thread.
  func openForClients() {
    logger.info("ready to serve client requests")
    for item in bound.withLock({ $0 }) where item.audience == .client {
      logger.info(
        "serving client traffic insecurely; this is strongly discouraged!",
        [
          LogField("traffic", .string(item.traffic.rawValue)),
          LogField("address", .string("\(item.listener.address)")),
        ])
      item.start()
    }
  }

  /// Stops listening; connections that still wait are dropped.
  func close() {
    for item in bound.withLock({ exchange(&$0, with: []) }) {
      item.listener.loop.run { item.listener.close() }
    }
  }

  private func front(on loop: EventLoop) -> Front? {
    fronts.withLock { $0.first { $0.loop === loop } }
  }

  private func accepted(_ connection: Connection, _ audience: Audience, _ traffic: Traffic) {
    guard let front = front(on: connection.loop) else { return connection.abort() }
    ProtocolSniffer.begin(on: connection) { isHTTP2, initial in
      switch (isHTTP2, traffic) {
      case (true, .grpc), (true, .all): self.serveCalls(connection, front, initial)
      // A listener for gRPC alone has no words for anything else.
      case (false, .grpc): connection.abort()
      case (_, .http), (false, .all): self.serveRequests(connection, front, audience, initial)
      }
    }
    connection.start()
  }

  private func serveRequests(
    _ connection: Connection, _ front: Front, _ audience: Audience, _ initial: Bytes
  ) {
    switch audience {
    case .client: clientHTTP.serve(connection, initial: initial, handler: front.endpoints.client)
    case .metrics:
      clientHTTP.serve(connection, initial: initial, handler: front.endpoints.metricsOnly)
    case .peer:
      peerHTTP.serve(connection, initial: initial) { exchange in
        if !front.raft(exchange) { front.endpoints.peer(exchange) }
      }
    }
  }

  private func serveCalls(_ connection: Connection, _ front: Front, _ initial: Bytes) {
    if let grpc = front.grpc { return grpc.accept(connection, initial: initial) }
    guard let other = self.front(on: clientLoops[0]), let grpc = other.grpc else {
      return connection.abort()
    }
    connection.move(to: other.loop) { moved in
      grpc.accept(moved, initial: initial)
      moved.start()
    }
  }
}
