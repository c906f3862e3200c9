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
  // @unchecked: started and stopped by one thread; what runs in between is confined to `loop`.

  private let config: ServerConfig
  private let logger: Logger
  private let loop = EventLoop(name: "etcd-client")
  private let registry = MetricsRegistry()
  private let member: RunningMember
  private var grpc: GRPCServer?
  private var listeners: [Listener] = []
  private var publisher: Publisher?
  private var compactor: Compactor?

  /// Called once when the member was removed from its cluster and must end.
  public var onRemoved: (@Sendable () -> Void)?

  public init(config: ServerConfig, logger: Logger) {
    self.config = config
    self.logger = logger
    member = RunningMember(
      config: config, logger: logger, metrics: ServerMetrics(registry), loop: loop)
  }

  /// Binds the listeners, reads the disk, starts raft and serves.
  /// - Parameter milliseconds: time since 1970.
  /// - Throws: `StartError` with etcd's words; nothing is left running.
  public func start(milliseconds: UInt64, seed: UInt64) throws(StartError) {
    let tokens = try TokenProvider(config, logger)
    loop.start()
    do {
      let bound = try onLoop { try self.bind() }
      let boot = try Bootstrap.start(
        config, loop: loop, logger: logger, milliseconds: milliseconds, seed: seed)
      logIdentity(boot)
      let host = MemberHost(
        core: boot.core, opened: boot.opened,
        tickInterval: .milliseconds(config.heartbeatInterval), logger: logger,
        metrics: member.metrics, delegate: member)
      member.metrics.register(host: host, config: config)
      try onLoop {
        self.member.attach(
          host,
          requestIDs: RequestID(member: boot.opened.memberID, milliseconds: milliseconds &+ 1),
          tokens: tokens)
        let peers = PeerAdapter(member: self.member, snapDirectory: boot.snapDirectory)
        self.member.peers = peers
        peers.start(boot.others)
        self.member.onRemoved = { [weak self] in self?.onRemoved?() }
      }
      host.start(skipTicks: skipTicks(boot), skipTicksAlone: skipTicksAlone)
      try onLoop { self.serve(bound) }
    } catch {
      try? onLoop { for listener in self.listeners { listener.close() } }
      loop.stop()
      throw StartError("\(error)")
    }
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

  /// Descriptors that clients do not get: files and peers need them. As Go etcd.
  private static let reservedDescriptors = 150

  /// Counts the connections of clients and tells when there are as many as may be.
  /// - Throws: when the process may not even have the reserve.
  private func clientAdmission() throws(StartError) -> ConnectionAdmission? {
    guard let descriptors = descriptorLimit else { return nil }
    guard descriptors > Self.reservedDescriptors else {
      throw StartError(
        "file descriptor limit of etcd process is too low; please set higher "
          + "(limit \(descriptors), reserved \(Self.reservedDescriptors))")
    }
    return ConnectionAdmission(limit: descriptors - Self.reservedDescriptors) { [logger] limit in
      logger.warn(
        "clients have as many connections as they may; further ones wait",
        [LogField("limit", .int(limit)), LogField("file-descriptor-limit", .int(descriptors))])
    }
  }

  /// Accepted connections before the server is ready wait in the kernel: binding comes first, so
  /// that a port in use is found before the disk is touched.
  private func bind() throws(StartError) -> [(Listener, Audience)] {
    var bound: [(Listener, Audience)] = []
    let admission = try clientAdmission()
    let wanted: [([ListenURL], Audience)] = [
      (config.listenPeerURLs, .peer), (config.listenClientURLs, .client),
      (config.listenMetricsURLs, .metrics),
    ]
    for (urls, audience) in wanted {
      for url in urls {
        let counted = audience == .peer ? nil : admission
        bound.append((try bind(url, audience, counted), audience))
      }
    }
    return bound
  }

  private func bind(
    _ url: ListenURL, _ audience: Audience, _ admission: ConnectionAdmission?
  ) throws(StartError) -> Listener {
    let endpoint: Listener.Endpoint
    switch url.scheme {
    case .http: endpoint = .tcp(host: url.host, port: url.port)
    case .unix: endpoint = .unix(path: url.host)
    case .https, .unixs:
      throw StartError("cannot listen on \(url): TLS is not supported by this version yet")
    }
    do throws(ChannelError) {
      let listener = try Listener(loop: loop, endpoint: endpoint, admission: admission) {
        [weak self] connection in
        self?.accepted(connection, audience)
      }
      listeners.append(listener)
      return listener
    } catch {
      throw StartError("\(error)")
    }
  }

  private var endpoints: HTTPEndpoints?

  private func serve(_ bound: [(Listener, Audience)]) {
    endpoints = HTTPEndpoints(member: member)
    var router = GRPCRouter()
    KVService(member: member).register(in: &router)
    LeaseService(member: member).register(in: &router)
    MaintenanceService(member: member).register(in: &router)
    ClusterService(member: member).register(in: &router)
    AuthService(member: member).register(in: &router)
    HealthService(member: member).register(in: &router)
    grpc = GRPCServer(router, grpcConfiguration)
    FreeMemoryKeeper().start(on: loop) { [member] in member.worker.execute($0) }
    // Where it happens it happens often: a line every ten seconds says enough.
    var told: UInt64 = 0
    loop.onSlowTurn { [logger, loop] turn in
      guard told == 0 || loop.now > told &+ Duration.seconds(10).nanoseconds else { return }
      told = loop.now
      logger.warn(
        "the loop of clients and peers was held up",
        [LogField("took", .duration(turn.duration)), LogField("did", .string(turn.work))])
    }
    publisher = Publisher(member: member)
    publisher?.start()
    compactor = config.autoCompaction.map { Compactor(member: member, mode: $0) }
    compactor?.start()
    for (listener, audience) in bound {
      logger.info(
        "serving \(audience == .peer ? "peer" : audience == .client ? "client" : "metrics") traffic",
        [LogField("address", .string("\(listener.address)"))])
    }
    logger.info("ready to serve client requests")
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

  private func accepted(_ connection: Connection, _ audience: Audience) {
    guard let grpc, let endpoints else { return connection.abort() }
    let sniffer = ProtocolSniffer(channel: connection) { isHTTP2, initial in
      if isHTTP2, audience != .metrics {
        grpc.accept(connection, initial: initial)
        return
      }
      let http = HTTP1ServerConnection(channel: connection) { exchange in
        switch audience {
        case .client: endpoints.client(exchange)
        case .metrics: endpoints.metricsOnly(exchange)
        case .peer:
          if !self.member.peers.handle(exchange) { endpoints.peer(exchange) }
        }
      }
      if !initial.isEmpty { http.channelRead(initial) }
    }
    _ = sniffer
    connection.start()
  }

  // MARK: End

  /// Hands leadership over, lets running calls end, stops raft and closes the files.
  public func stop() async {
    logger.info("closing etcd server", [LogField("name", .string(config.name))])
    try? onLoop {
      self.publisher?.stop()
      self.compactor?.stop()
      for listener in self.listeners { listener.close() }
    }
    await transferLeadership()
    await grpc?.shutDown(grace: .seconds(2))
    // Tools that read the database next find what clients were told.
    if member.host != nil { await member.flushBackend(within: .seconds(5)) }
    try? onLoop {
      self.member.leases?.stop()
      self.member.peers?.stop()
    }
    member.host?.stop()
    try? onLoop { self.member.requests?.failAll(.stopped) }
    member.worker.stop()
    for thread in (try? onLoop { self.member.passwords.close() }) ?? [] { thread.stop() }
    loop.stop()
    logger.info("closed etcd server", [LogField("name", .string(config.name))])
  }

  /// A leader of several members names a successor, so that writes go on without an election.
  private func transferLeadership() async {
    guard let host = member.host, host.status.leader == host.memberID else { return }
    let others = host.membership.voters.filter { $0.id != host.memberID }
    let loop = loop
    let peers: any PeerGateway = member.peers
    let target: UInt64? = await withCheckedContinuation { done in
      loop.execute {
        // The member connected longest is the least likely to be busy catching up.
        let best = others.compactMap { info in peers.activeSince(info.id).map { ($0, info.id) } }
          .min { $0.0 < $1.0 }
        done.resume(returning: best?.1)
      }
    }
    guard let target else { return }
    host.post(.transferLeader(target))
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      let deadline = config.electionTimeout / config.heartbeatInterval + 1
      loop.execute { self.awaitTransfer(deadline, done) }
    }
  }

  private func awaitTransfer(_ rounds: Int, _ done: CheckedContinuation<Void, Never>) {
    guard rounds > 0, member.host.status.leader == member.host.memberID else {
      return done.resume()
    }
    loop.schedule(after: .milliseconds(config.heartbeatInterval)) {
      self.awaitTransfer(rounds - 1, done)
    }
  }

  /// Runs `body` on the client loop and waits for it.
  private func onLoop<R>(_ body: @escaping () throws -> R) throws -> R {
    let box = ResultBox<R>()
    let gate = Gate()
    let work = LoopWork { box.result = Result { try body() } }
    loop.execute {
      work.body()
      gate.open()
    }
    gate.wait()
    return try box.result!.get()
  }
}

/// Carries a result out of a loop; written before the gate opens, read after.
private final class ResultBox<R>: @unchecked Sendable {
  // @unchecked: the gate orders the one write before the one read.
  var result: Result<R, any Error>?
}

/// Carries a closure onto a loop.
private struct LoopWork: @unchecked Sendable {
  // @unchecked: made by a thread that waits until the loop has run it.
  let body: () -> Void
}

/// Why a member could not start: one line for the log.
public struct StartError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
