import Bytes
import EtcdConfig
import EventLoops
import GRPC
import GoText
import HTTP
import Synchronization
import TLS

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
  }

  /// Files and connections that the member needs for itself.
  /// - Source: etcd `embed.reservedInternalFDNum`.
  private static let reservedDescriptors = 150

  private struct Bound: Sendable {
    let listener: Listener
    let audience: Audience
    let traffic: Traffic
    let isSecure: Bool
    let isPlain: Bool

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
  func bind(
    _ policies: ServerPolicies, _ inherited: [InheritedSocket]
  ) throws(StartError) {
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
    for url in config.listenPeerURLs { try bind(url, .peer, .all, policies.peers) }
    logger.info(
      "configuring client listeners",
      [LogField("listen-client-urls", list(config.listenClientURLs))])
    let shared: Traffic = config.listenClientHTTPURLs.isEmpty ? .all : .grpc
    try bindClients(config.listenClientURLs, shared, policies)
    try bindClients(config.listenClientHTTPURLs, .http, policies)
    for url in config.listenMetricsURLs { try bind(url, .metrics, .http, policies.metrics) }
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

  /// URLs of one address share a listener, that tells TLS from plain text where there are both.
  private func bindClients(
    _ urls: [ListenURL], _ traffic: Traffic, _ policies: ServerPolicies
  ) throws(StartError) {
    for (at, url) in urls.enumerated() {
      func isSame(_ other: ListenURL) -> Bool {
        other.port != 0 && other.host == url.host && other.port == url.port
          && other.scheme.isUnix == url.scheme.isUnix
      }
      if urls[..<at].contains(where: isSame) { continue }
      let secure = urls.first { isSame($0) && $0.scheme.isTLS }
      guard let secure, urls.contains(where: { isSame($0) && !$0.scheme.isTLS }) else {
        try bind(url, .client, traffic, policies.clients)
        continue
      }
      try bind(secure, .client, traffic, policies.mixedClients, isPlainToo: true)
    }
  }

  private func list(_ urls: [ListenURL]) -> LogValue { .strings(urls.map(\.description)) }

  private func bind(
    _ url: ListenURL, _ audience: Audience, _ traffic: Traffic, _ secure: ChannelPolicy,
    isPlainToo: Bool = false
  ) throws(StartError) {
    let endpoint: Listener.Endpoint =
      url.scheme.isUnix ? .unix(path: url.host) : .tcp(host: url.host, port: url.port)
    let policy = url.scheme.isTLS ? secure : .plain
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
          loop: loop, endpoint: endpoint, policy: policy, targets: targets, isPaused: true,
          reusesPort: reusesPort, inherited: inherited, admission: admission
        ) { [weak self] connection in
          guard let self else { return connection.abort() }
          accepted(connection, audience, traffic)
        }
      }
      bound.withLock {
        $0.append(
          Bound(
            listener: listener, audience: audience, traffic: traffic, isSecure: url.scheme.isTLS,
            isPlain: isPlainToo || !url.scheme.isTLS))
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
      let fields = [
        LogField("traffic", .string(item.traffic.rawValue)),
        LogField("address", .string("\(item.listener.address)")),
      ]
      if item.isPlain {
        logger.info(
          "serving client traffic insecurely; this is strongly discouraged!", fields)
      }
      if item.isSecure { logger.info("serving client traffic securely", fields) }
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

  private func accepted(_ connection: any ByteChannel, _ audience: Audience, _ traffic: Traffic) {
    guard let front = front(on: connection.loop) else { return connection.abort() }
    ProtocolSniffer.begin(on: connection) { isHTTP2, initial in
      if !connection.isSecure, initial.starts(with: TLSLayer.opening) {
        return self.refuseTLS(connection, audience)
      }
      switch (isHTTP2, traffic) {
      case (true, .grpc), (true, .all): self.serveCalls(connection, front, initial)
      // A listener for gRPC alone has no words for anything else.
      case (false, .grpc): connection.abort()
      case (_, .http), (false, .all): self.serveRequests(connection, front, audience, initial)
      }
    }
    connection.start()
  }

  /// What Go's plain server answers to what is no request.
  private static let plainAnswer: Bytes =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"

  /// The client gets an answer in plain text, as from Go, and says that it is none of TLS; the log says why.
  private func refuseTLS(_ connection: any ByteChannel, _ audience: Audience) {
    logger.warn(
      "rejected connection on \(audience == .peer ? "peer" : "client") endpoint",
      [
        LogField("remote-addr", .string(connection.remoteAddress.map { "\($0)" } ?? "")),
        LogField("error", "client sent a TLS handshake to a port without TLS"),
      ])
    connection.write(Self.plainAnswer)
    connection.closeAfterFlush()
  }

  private func serveRequests(
    _ connection: any ByteChannel, _ front: Front, _ audience: Audience, _ initial: Bytes
  ) {
    switch audience {
    case .client: clientHTTP.serve(connection, initial: initial, handler: front.endpoints.client)
    case .metrics:
      clientHTTP.serve(connection, initial: initial, handler: front.endpoints.metricsOnly)
    case .peer: peerHTTP.serve(connection, initial: initial, handler: front.endpoints.peer)
    }
  }

  private func serveCalls(_ connection: any ByteChannel, _ front: Front, _ initial: Bytes) {
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
