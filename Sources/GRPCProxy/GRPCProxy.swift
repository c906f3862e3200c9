import Bytes
import Calls
import EtcdClient
import EtcdServer
import EventLoops
import GRPC
import GoText
import HTTP
import Platform
import Protobuf
import Proxies

/// A proxy for the v3 API of a cluster: it takes the calls of many clients to members over a few connections.
///
/// - Source: etcd `etcdmain/grpc_proxy.go`, `server/proxy/grpcproxy`.
package final class GRPCProxy: @unchecked Sendable {
  // @unchecked: `start` and `stop` are called by one thread, which alone uses `listeners`, `registration` and
  // `keeper`; the rest is immutable.

  let options: GRPCProxyOptions
  let logger: Logger
  let loops: [EventLoop]
  let policies: GRPCProxyPolicies
  private let settings: UpstreamSettings
  private let registry = MetricsRegistry()
  let connections = HTTPConnections()
  private let client: EtcdClient
  private let itself: SelfCheck?
  private let registrar: Registrar?
  private var fronts: [ProxyFront] = []
  var listeners: [Listener] = []
  private var tasks: [Task<Void, Never>] = []
  private var keeper: CertificateKeeper?
  private var shared: SharedParts?
  private var sync: EndpointSync?

  /// Loops, however many processors there are.
  static let loopsMax = 8
  private static let stopGrace = Duration.seconds(2)
  /// Descriptors that are no client's.
  private static let reservedDescriptors = 150

  /// - Parameter endpoints: the members.
  /// - Throws: what is wrong with files of TLS or endpoints.
  init(
    _ options: GRPCProxyOptions, endpoints: [String], policies: GRPCProxyPolicies, logger: Logger
  ) throws(GRPCProxyRefusal) {
    self.options = options
    self.policies = policies
    self.logger = logger
    var configuration = EtcdClientConfiguration(endpoints: endpoints, tls: policies.members)
    if options.dialKeepaliveTime > .zero {
      configuration.keepaliveInterval = options.dialKeepaliveTime
      configuration.keepaliveTimeout = options.dialKeepaliveTimeout
    }
    do {
      client = try EtcdClient(configuration)
      settings = UpstreamSettings(
        endpoints: endpoints, security: try ClientSecurity(configuration, for: .grpc),
        transport: Self.transport(options))
      itself =
        options.advertiseClientURL.isEmpty
        ? nil : try? SelfCheck(options.advertiseClientURL, policies.itself)
    } catch { throw GRPCProxyRefusal("\(error)") }
    registrar =
      options.resolverPrefix.isEmpty
      ? nil : Registrar(client, options, host: Machine.hostName, logger: logger)
    loops = (0..<min(Machine.processors, Self.loopsMax)).map { number in
      EventLoop(name: number == 0 ? "grpc-proxy" : "grpc-proxy-\(number)")
    }
  }

  private static func transport(_ options: GRPCProxyOptions) -> GRPCClientConfiguration {
    var transport = GRPCClientConfiguration()
    if options.sentBytesMax > 0 { transport.sentMessageBytesMax = options.sentBytesMax }
    if options.receivedBytesMax > 0 { transport.receivedMessageBytesMax = options.receivedBytesMax }
    if options.dialKeepaliveTime > .zero {
      // gRPC pings every ten seconds at most.
      transport.keepaliveInterval = max(options.dialKeepaliveTime, .seconds(10))
      if options.dialKeepaliveTimeout > .zero {
        transport.keepaliveTimeout = options.dialKeepaliveTimeout
      }
    }
    transport.keepaliveWithoutCalls = options.permitsPingsWithoutCalls
    return transport
  }

  private var serverConfiguration: GRPCServerConfiguration {
    var configuration = GRPCServerConfiguration()
    configuration.maxConcurrentStreams = options.streamsMax
    // As in Go, zero is its own default.
    configuration.keepaliveMinTime =
      options.keepaliveMinTime > .zero ? options.keepaliveMinTime : .seconds(300)
    configuration.keepaliveInterval =
      options.keepaliveInterval > .zero ? options.keepaliveInterval : .seconds(7_200)
    configuration.keepaliveTimeout =
      options.keepaliveTimeout > .zero ? options.keepaliveTimeout : .seconds(20)
    if options.logsCalls || options.isDebug { configuration.endedCallObserver = callLog }
    return configuration
  }

  /// Writes every call that is over to the log.
  private var callLog: @Sendable (FinishedCall) -> Void {
    let level: LogLevel = options.logsCalls ? .info : .debug
    return { [logger] call in
      logger.log(
        level, "finished call",
        [
          LogField("grpc.method", .string(call.path)),
          LogField("grpc.code", .string("\(call.status.code)")),
          LogField("grpc.message", .string(call.status.message)),
          LogField("peer.address", .string(call.remoteAddress.map { "\($0)" } ?? "")),
          LogField("grpc.time", .string(call.time.goDescription)),
          LogField("request-bytes", .int(call.requestBytes)),
          LogField("response-bytes", .int(call.responseBytes)),
        ])
    }
  }

  /// The members that it was begun with.
  var endpoints: [String] { settings.endpoints }

  // MARK: life

  /// Listens; connections wait in the kernel until `open`.
  /// - Throws: why an address cannot be listened on; nothing is left running.
  func start() throws(GRPCProxyRefusal) {
    for loop in loops { loop.start() }
    ProcessMetrics.register(in: registry)
    do throws(GRPCProxyRefusal) {
      try listen()
      makeFronts()
      try listenForMetrics()
    } catch {
      close()
      throw error
    }
  }

  /// What the process may have, but for a few: clients share the connections to members.
  lazy var admission: ConnectionAdmission? = descriptorLimit.map { limit in
    ConnectionAdmission(limit: max(limit - Self.reservedDescriptors, 1)) { [logger] count in
      logger.warn(
        "clients have as many connections as they may; further ones wait",
        [LogField("limit", .int(count)), LogField("file-descriptor-limit", .int(limit))])
    }
  }

  func front(on loop: EventLoop) -> ProxyFront? { fronts.first { $0.loop === loop } }

  private func makeFronts() {
    let counters = MethodCounters(registry)
    let page = MetricsPage(registry)
    let upstreams = loops.map { Upstream(settings, loop: $0, logger: logger) }
    let view = options.namespace.isEmpty ? client : client.namespace(Bytes(options.namespace))
    let shared = SharedParts(
      options, upstreams[0], registry,
      leasing: options.leasingPrefix.isEmpty
        ? nil : LeasingSession(view, prefix: options.leasingPrefix, logger: logger))
    self.shared = shared
    let membership = ProxyMembership(
      url: options.advertiseClientURL, host: Machine.hostName, others: registrar?.members)
    for upstream in upstreams {
      let services = shared.services(
        upstream, counters: counters, membership: membership,
        partBytes: settings.transport.sentMessageBytesMax)
      let pages = ProxyPages(
        upstream, security: settings.security, page: page, itself: itself, logger: logger)
      fronts.append(
        ProxyFront(
          upstream, services.router(), serverConfiguration, pages,
          hasProfiles: options.enablesProfiles))
    }
  }

  /// Serves from now on.
  package func open() {
    for front in fronts { front.loop.run { front.upstream.start() } }
    if let material = policies.listening {
      keeper = CertificateKeeper([("proxy", material)], logger, registry)
      loops[0].run { [self] in keeper?.start(on: loops[0]) }
    }
    beginTasks()
    if options.enablesProfiles {
      logger.info("gRPC proxy enabled pprof", [LogField("path", .string(ProcessPages.path))])
    }
    if listeners.count > 1 { logger.info("gRPC proxy server metrics URL serving") }
    logger.info("started gRPC proxy", [LogField("address", .string(options.listenAddress))])
  }

  private func beginTasks() {
    let (listeners, loop) = (listeners, loops[0])
    if let order = shared?.order {
      let recovery = OrderRecovery(client: client, order: order, logger: logger)
      tasks.append(
        Task {
          guard await recovery.run() else { return }
          loop.execute { for listener in listeners { listener.start() } }
        })
    } else {
      loop.run { for listener in listeners { listener.start() } }
    }
    if let leasing = shared?.leasing { tasks.append(Task { await leasing.run() }) }
    if let registrar { tasks.append(Task { await registrar.run() }) }
    if options.autoSyncInterval > .zero { loop.run { self.beginSync() } }
  }

  private func beginSync() {
    let sync = EndpointSync(fronts[0].upstream, logger: logger) { [fronts] endpoints in
      for front in fronts {
        front.loop.execute { front.upstream.setEndpoints(endpoints) }
      }
    }
    sync.start(options.autoSyncInterval)
    self.sync = sync
  }

  /// Lets calls end and closes. Once.
  package func stop() async {
    for listener in listeners { loops[0].run { listener.close() } }
    listeners = []
    logger.info(
      "stop listening gRPC proxy client requests",
      [LogField("address", .string(options.listenAddress))])
    for task in tasks { task.cancel() }
    for task in tasks { await task.value }
    let (fronts, connections) = (fronts, connections)
    await withTaskGroup { group in
      group.addTask { await connections.shutDown(grace: Self.stopGrace) }
      for front in fronts {
        group.addTask {
          await front.grpc.shutDown(
            grace: Self.stopGrace,
            endingStreams: GRPCStatus(.unavailable, "the proxy is shutting down"))
        }
      }
    }
    close()
  }

  private func close() {
    for listener in listeners { loops[0].run { listener.close() } }
    loops[0].run { [shared, sync] in
      sync?.stop()
      shared?.close()
    }
    for front in fronts {
      front.loop.run {
        front.upstream.close()
        front.pages.close()
      }
    }
    if let keeper { loops[0].run { keeper.stop() } }
    itself?.close()
    client.close()
    for loop in loops { loop.stop() }
    keeper?.stopWorker()
  }
}
