import Bytes
import EtcdAPI
import EtcdConfig
import GRPC
import HTTP
import Member
import MemberStorage
import Membership
import Protobuf
import Runtime
import Synchronization

/// A running etcd member: listeners, services, core.
///
/// Life: `init`, `start` (listeners bound, log read, raft running), `stop`.
public final class EtcdServer: @unchecked Sendable {
  // @unchecked: started and stopped by one thread; what other threads use meanwhile (`fronts`) has a
  // lock.

  private let config: ServerConfig
  private let logger: Logger
  private let registry = MetricsRegistry()
  private let metrics: ServerMetrics
  /// Client connections are spread over these.
  private let clientLoops: [EventLoop]
  /// Peers, and nothing of a client's.
  private let peerLoop = EventLoop(name: "etcd-peer")
  private var listeners: [Listener] = []
  private var running: Running?
  /// What serves connections, a loop each; empty until the member can serve.
  private let fronts = Mutex<[Front]>([])

  /// Called once when the member was removed from its cluster and must end.
  public var onRemoved: (@Sendable () -> Void)?

  /// The parts of a member that was started.
  private struct Running {
    let shared: SharedMember
    let peers: PeerAdapter
    /// One a loop, the peers' loop first.
    let members: [RunningMember]
    /// Kept: the host does not own it.
    let router: TurnRouter
    let publisher: Publisher
    let compactor: Compactor?
  }

  /// Serves the connections of one loop.
  private struct Front: Sendable {
    let loop: EventLoop
    let peers: any PeerGateway
    let endpoints: HTTPEndpoints
    /// `nil` on the peers' loop: calls go to a client loop.
    let grpc: GRPCServer?
  }

  public init(config: ServerConfig, logger: Logger) {
    self.config = config
    self.logger = logger
    metrics = ServerMetrics(registry)
    clientLoops = (0..<Self.clientLoopCount).map { number in
      EventLoop(name: number == 0 ? "etcd-client" : "etcd-client-\(number)")
    }
  }

  /// Core, log, peers and storage keep two processors; of the rest every second gets a client loop.
  private static var clientLoopCount: Int {
    min(max((processorCount - 2) / 2, 1), clientLoopsMax)
  }

  /// Ids tell so many lanes apart: one is the core's, one the peers'.
  private static let clientLoopsMax = 8

  private var loops: [EventLoop] { clientLoops + [peerLoop] }

  /// Binds the listeners, reads the disk, starts raft and serves.
  /// - Parameter milliseconds: time since 1970.
  /// - Throws: `StartError` with etcd's words; nothing is left running.
  public func start(milliseconds: UInt64, seed: UInt64) throws(StartError) {
    let tokens = try TokenProvider(config, logger)
    for loop in loops { loop.start() }
    do {
      let bound = try bind()
      let boot = try Bootstrap.start(
        config, loop: peerLoop, logger: logger, milliseconds: milliseconds, seed: seed)
      logIdentity(boot)
      let running = assemble(boot, tokens, milliseconds: milliseconds)
      self.running = running
      running.shared.host.start(
        delegate: running.router, skipTicks: skipTicks(boot), skipTicksAlone: skipTicksAlone)
      serve(bound, running)
    } catch {
      closeListeners()
      for loop in loops { loop.stop() }
      throw StartError("\(error)")
    }
  }

  /// Puts the parts together; the peers are dialled, and nothing else moves yet.
  private func assemble(
    _ boot: Bootstrap.Result, _ tokens: TokenProvider, milliseconds: UInt64
  ) -> Running {
    let host = MemberHost(
      core: boot.core, opened: boot.opened, tickInterval: .milliseconds(config.heartbeatInterval),
      logger: logger, metrics: metrics)
    metrics.register(host: host, config: config)
    let onRemoved: @Sendable () -> Void = { [weak self] in self?.wasRemoved() }
    let peers = peerLoop.run {
      PeerAdapter(
        host, self.config, loop: self.peerLoop, logger: self.logger, registry: self.registry,
        snapDirectory: boot.snapDirectory, onRemoved: onRemoved)
    }
    let shared = SharedMember(
      config: config, logger: logger, metrics: metrics, host: host,
      access: AccessControl(tokens, host.initialAuth), peers: peers)
    let members = ([peerLoop] + clientLoops).enumerated().map { number, loop in
      loop.run {
        RunningMember(shared, loop: loop, lane: number + 1, milliseconds: milliseconds)
      }
    }
    let router = TurnRouter(shared, members, peerLoop: peerLoop, onRemoved: onRemoved)
    peerLoop.run { peers.start(boot.others) }
    let first = members[1]
    return Running(
      shared: shared, peers: peers, members: members, router: router,
      publisher: Publisher(member: first),
      compactor: config.autoCompaction.map { Compactor(member: first, mode: $0) })
  }

  /// The log says so, or a peer that knows it from its own.
  private func wasRemoved() {
    logger.warn(
      "server error",
      [LogField("error", "the member has been permanently removed from the cluster")])
    logger.warn("data-dir used by this member must be removed")
    onRemoved?()
  }

  /// Ticks to skip so that an election can start soon: all but one timeout for a member that runs
  /// alone, and of others only when they knew their cluster before.
  private func skipTicks(_ boot: Bootstrap.Result) -> Int {
    let election = config.electionTimeout / config.heartbeatInterval
    guard config.initialElectionTickAdvance else { return 0 }
    return boot.core.membership.members.count > 1 ? 0 : election - 1
  }

  /// A random election timeout is always below twice the configured one.
  private var skipTicksAlone: Int {
    config.initialElectionTickAdvance ? 2 * config.electionTimeout / config.heartbeatInterval : 0
  }

  private func logIdentity(_ boot: Bootstrap.Result) {
    logger.info(
      boot.isNew ? "starting local member" : "restarting local member",
      [
        LogField("cluster-id", .string(String(boot.opened.clusterID, radix: 16))),
        LogField("local-member-id", .string(String(boot.opened.memberID, radix: 16))),
        LogField("consistent-index", .uint(boot.opened.consistentIndex)),
      ])
  }

  // MARK: Listeners

  private enum Audience { case client, peer, metrics }

  /// Accepted connections before the server is ready wait in the kernel: binding comes first, so
  /// that a port in use is found before the disk is touched.
  private func bind() throws(StartError) -> [(Listener, Audience)] {
    var bound: [(Listener, Audience)] = []
    let wanted: [([ListenURL], Audience)] = [
      (config.listenPeerURLs, .peer), (config.listenClientURLs, .client),
      (config.listenMetricsURLs, .metrics),
    ]
    for (urls, audience) in wanted {
      let loop = audience == .peer ? peerLoop : clientLoops[0]
      let targets = audience == .client ? clientLoops : [loop]
      for url in urls {
        let listener = try bind(url, audience, loop, targets)
        listeners.append(listener)
        bound.append((listener, audience))
      }
    }
    return bound
  }

  private func bind(
    _ url: ListenURL, _ audience: Audience, _ loop: EventLoop, _ targets: [EventLoop]
  ) throws(StartError) -> Listener {
    let endpoint: Listener.Endpoint
    switch url.scheme {
    case .http: endpoint = .tcp(host: url.host, port: url.port)
    case .unix: endpoint = .unix(path: url.host)
    case .https, .unixs:
      throw StartError("cannot listen on \(url): TLS is not supported by this version yet")
    }
    do {
      return try loop.run {
        try Listener(loop: loop, endpoint: endpoint, targets: targets) { [weak self] connection in
          self?.accepted(connection, audience)
        }
      }
    } catch { throw StartError("\(error)") }
  }

  private func closeListeners() {
    for listener in listeners { listener.loop.run { listener.close() } }
    listeners.removeAll()
  }

  private func serve(_ bound: [(Listener, Audience)], _ running: Running) {
    let fronts = running.members.map { member in
      Front(
        loop: member.loop, peers: running.peers, endpoints: HTTPEndpoints(member: member),
        grpc: member.loop === peerLoop ? nil : makeGRPC(member))
    }
    self.fronts.withLock { $0 = fronts }
    clientLoops[0].run {
      running.publisher.start()
      running.compactor?.start()
    }
    for (listener, audience) in bound {
      logger.info(
        "serving \(audience == .peer ? "peer" : audience == .client ? "client" : "metrics") traffic",
        [LogField("address", .string("\(listener.address)"))])
    }
    logger.info("ready to serve client requests")
  }

  private func makeGRPC(_ member: RunningMember) -> GRPCServer {
    var router = GRPCRouter()
    KVService(member: member).register(in: &router)
    LeaseService(member: member).register(in: &router)
    MaintenanceService(member: member).register(in: &router)
    ClusterService(member: member).register(in: &router)
    AuthService(member: member).register(in: &router)
    HealthService(member: member).register(in: &router)
    return GRPCServer(router, grpcConfiguration)
  }

  private var grpcConfiguration: GRPCServerConfiguration {
    var configuration = GRPCServerConfiguration()
    configuration.maxConcurrentStreams = config.maxConcurrentStreams
    // etcd lets a message be larger than a request, so that the refusal is etcd's own.
    configuration.receivedMessageBytesMax = config.maxRequestBytes + 512 * 1024
    configuration.keepaliveMinTime = .milliseconds(config.keepaliveMinTime)
    configuration.keepaliveInterval = .milliseconds(config.keepaliveInterval)
    configuration.keepaliveTimeout = .milliseconds(config.keepaliveTimeout)
    return configuration
  }

  private func front(on loop: EventLoop) -> Front? {
    fronts.withLock { $0.first { $0.loop === loop } }
  }

  private func accepted(_ connection: Connection, _ audience: Audience) {
    guard let front = front(on: connection.loop) else { return connection.abort() }
    let sniffer = ProtocolSniffer(channel: connection) { isHTTP2, initial in
      if isHTTP2, audience != .metrics {
        self.serveCalls(connection, front, initial)
        return
      }
      let http = HTTP1ServerConnection(channel: connection) { exchange in
        switch audience {
        case .client: front.endpoints.client(exchange)
        case .metrics: front.endpoints.metricsOnly(exchange)
        case .peer: if !front.peers.handle(exchange) { front.endpoints.peer(exchange) }
        }
      }
      if !initial.isEmpty { http.channelRead(initial) }
    }
    // The connection holds it as its handler.
    _ = sniffer
    connection.start()
  }

  /// Serves gRPC. Calls that come by the peer listener go to a client loop: the peers' loop is raft's.
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

  // MARK: End

  /// Hands leadership over, lets running calls end, stops raft and closes the files.
  public func stop() async {
    logger.info("closing etcd server", [LogField("name", .string(config.name))])
    closeListeners()
    guard let running else { return }
    self.running = nil
    let first = running.members[1]
    clientLoops[0].run {
      running.publisher.stop()
      running.compactor?.stop()
    }
    await transferLeadership(running.shared)
    await withTaskGroup { group in
      for grpc in fronts.withLock({ $0 }).compactMap(\.grpc) {
        group.addTask { await grpc.shutDown(grace: .seconds(2)) }
      }
    }
    // Tools that read the database next find what clients were told.
    await first.flushBackend(within: .seconds(5))
    for member in running.members { member.loop.run { member.leases.stop() } }
    peerLoop.run { running.peers.stop() }
    running.shared.host.stop()
    for member in running.members { member.loop.run { member.requests.failAll(.stopped) } }
    running.shared.worker.stop()
    running.shared.passwords.stop()
    for loop in loops { loop.stop() }
    running.peers.stopWorker()
    logger.info("closed etcd server", [LogField("name", .string(config.name))])
  }

  /// A leader of several members names a successor, so that writes go on without an election.
  private func transferLeadership(_ shared: SharedMember) async {
    let host = shared.host
    guard host.status.leader == host.memberID else { return }
    // The member connected longest is the least likely to be busy catching up.
    let best = host.membership.voters.filter { $0.id != host.memberID }
      .compactMap { info in shared.peers.activeSince(info.id).map { (since: $0, id: info.id) } }
      .min { $0.since < $1.since }
    guard let best else { return }
    host.post(.transferLeader(best.id))
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      let rounds = config.electionTimeout / config.heartbeatInterval + 1
      clientLoops[0].execute { self.awaitTransfer(host, rounds, done) }
    }
  }

  private func awaitTransfer(
    _ host: MemberHost, _ rounds: Int, _ done: CheckedContinuation<Void, Never>
  ) {
    guard rounds > 0, host.status.leader == host.memberID else { return done.resume() }
    clientLoops[0].schedule(after: .milliseconds(config.heartbeatInterval)) {
      self.awaitTransfer(host, rounds - 1, done)
    }
  }
}

/// Why a member could not start: one line for the log.
public struct StartError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
