import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import GRPC
import HTTP
import Member
import MemberStorage
import Membership
import PeerTransport
import Platform
import Protobuf
import Raft
import Synchronization

/// A running etcd member: listeners, services, core.
///
/// Life: `init`, `start` (listeners bound, log read, raft running), `stop`.
public final class EtcdServer: @unchecked Sendable {
  // @unchecked: started and stopped by one thread, which alone uses `running`; the rest is immutable.

  /// What the DNS or a discovery service says about the cluster comes in while the member starts.
  private var config: ServerConfig
  private let logger: Logger
  private let registry = MetricsRegistry()
  private let metrics: ServerMetrics
  /// Client connections are spread over these.
  private let clientLoops: [EventLoop]
  /// Peers, and nothing of a client's.
  private let peerLoop = EventLoop(name: "etcd-peer")
  private let listeners: ServerListeners
  private var running: Running?
  /// What supervisors ask of a running member, from any thread.
  let supervised = Mutex<Supervised?>(nil)
  /// Sockets that somebody else opened for this process.
  private let inherited: [InheritedSocket]
  /// The core and the peers may both find it out.
  private let isRemoved = Atomic(false)
  private let waitsForOthers = Atomic(false)
  /// Called once when the member was removed from its cluster and must end.
  public var onRemoved: (@Sendable () -> Void)?
  /// Called once when clients are served.
  public var onReady: (@Sendable () -> Void)?

  /// The parts of a member that was started.
  private struct Running {
    let shared: SharedMember
    let peers: PeerAdapter
    /// One a loop, the peers' loop first.
    let members: [RunningMember]
    /// Kept: the host does not own it.
    let router: TurnRouter
    let calls: [GRPCServer]
    let publisher: Publisher
    let compactor: Compactor?
    let space: SpaceMonitor?
    let corruption: CorruptionMonitor
    let downgrade: DowngradeMonitor
    /// `nil` without TLS.
    let certificates: CertificateKeeper?
    /// `nil` in a cluster that has been.
    let firstElection: FirstElection?
    /// `nil` without tracing.
    let traces: TraceExporter?
  }

  /// - Parameter inherited: sockets that listen already; each serves the URL with its address.
  public init(config: ServerConfig, logger: Logger, inherited: [InheritedSocket] = []) {
    self.config = config
    self.inherited = inherited
    self.logger = logger
    metrics = ServerMetrics(registry)
    clientLoops = (0..<Self.clientLoopCount(config)).map { number in
      EventLoop(name: number == 0 ? "etcd-client" : "etcd-client-\(number)")
    }
    listeners = ServerListeners(
      clientLoops: clientLoops, peerLoop: peerLoop, config: config, logger: logger)
  }

  /// Every second processor has a client loop. Of a put it does two thirds; core, log, storage and peers share the
  /// others (docs/SCALING.md).
  private static func clientLoopCount(_ config: ServerConfig) -> Int {
    let wanted = config.clientLoops > 0 ? config.clientLoops : Machine.processors / 2
    return min(max(wanted, 1), clientLoopsMax)
  }

  /// As `--experimental-client-loops` says; with the core's lane and the peers' fewer than
  /// `RequestIDs.lanesMax`.
  static let clientLoopsMax = 8

  private var loops: [EventLoop] { clientLoops + [peerLoop] }

  /// Binds the listeners, reads the disk, starts raft and serves.
  /// - Parameter firstRequest: where request ids begin: a number drawn by chance.
  /// - Throws: `StartError` with etcd's words; nothing is left running.
  public func start(firstRequest: UInt64, seed: UInt64) throws(StartError) {
    let lines = StartLines(config: config, logger: logger)
    let tokens = try TokenProvider(config, logger)
    for loop in loops { loop.start() }
    FaultyClock.followIfAsked(logger)
    do {
      let isNew = try Bootstrap.isNew(config)
      if isNew { try ServiceCluster.complete(&config, logger) }
      let policies = try ServerPolicies(config, logger)
      try listeners.bind(policies, inherited)
      if isNew { try discover() } else { DiscoveredCluster.tellIgnored(config, logger) }
      let dialler = ExistingCluster.Dialler(loop: peerLoop, dial: policies.dial)
      lines.settings()
      let boot = try Bootstrap.start(
        config, dialler, logger: logger, metrics: metrics, firstRequest: firstRequest, seed: seed)
      try checkV2Keys(boot)
      lines.identity(boot)
      VersionCheck.enforce(
        cluster: boot.core.membership.clusterVersion, boot.core.downgrade, logger)
      try InitialCheck.run(boot, config, dialler, logger)
      let replay = PhaseWatch(
        first: boot.core.appliedIndex.rawValue, last: boot.opened.storage.hardState.commit)
      let haste = ElectionHaste(config, boot)
      let running = assemble(boot, policies, tokens, haste, firstRequest: firstRequest)
      self.running = running
      supervised.withLock { $0 = Supervised(host: running.shared.host, replay: replay) }
      for loop in loops { LoopWatch.start(loop, logger, registry) }
      peerLoop.run {
        running.corruption.start()
        running.downgrade.start()
        running.certificates?.start(on: self.peerLoop)
      }
      running.shared.host.start(
        delegate: running.router, skipTicks: haste.ticks, skipTicksAlone: haste.ticksAlone)
      peerLoop.run { running.firstElection?.start(on: self.peerLoop) }
      clientLoops[0].run {
        running.publisher.start()
        running.compactor?.start()
        running.space?.start()
        running.traces?.start()
        FreeMemoryKeeper().start(on: self.clientLoops[0]) { running.shared.worker.execute($0) }
      }
      LoopWatch.start(running.shared.host.loop, logger, registry)
    } catch {
      listeners.close()
      for loop in loops { loop.stop() }
      throw error as? StartError ?? StartError("\(error)")
    }
  }

  /// Whether it waits for other members at a discovery service: nothing is lost by ending it then.
  public var isDiscovering: Bool { waitsForOthers.load(ordering: .relaxed) }

  private func discover() throws(StartError) {
    waitsForOthers.store(true, ordering: .relaxed)
    defer { waitsForOthers.store(false, ordering: .relaxed) }
    try DiscoveredCluster.complete(&config, logger)
  }

  /// Puts the parts together; the peers are dialled, and nothing else moves yet.
  private func assemble(
    _ boot: consuming Bootstrap.Result, _ policies: ServerPolicies, _ tokens: TokenProvider,
    _ haste: ElectionHaste, firstRequest: UInt64
  ) -> Running {
    let (snapDirectory, known) = (boot.snapDirectory, boot.others + boot.founders)
    let pace = MemberHost.Pace(config, boot.core)
    let opened = boot.opened
    let host = MemberHost(
      core: boot.core, opened: opened, tickInterval: .milliseconds(config.heartbeatInterval),
      logger: logger, metrics: metrics, pace: pace, verifies: config.verifies)
    metrics.register(host: host, config: config)
    let onRemoved: @Sendable () -> Void = { [weak self] in self?.wasRemoved() }
    let v2 = config.enableV2 ? V2Hub(loop: clientLoops[0], metrics: metrics.v2) : nil
    let peers = peerLoop.run {
      PeerAdapter(
        host, self.config, dial: policies.dial, loop: self.peerLoop, logger: self.logger,
        metrics: self.metrics,
        snapDirectory: snapDirectory, stats: v2?.stats, onRemoved: onRemoved)
    }
    let shared = SharedMember(
      config: config, policies: policies, logger: logger, metrics: metrics, host: host,
      access: AccessControl(tokens, host.initialAuth), peers: peers,
      v2: v2)
    let members = ([peerLoop] + clientLoops).enumerated().map { number, loop in
      loop.run {
        RunningMember(shared, loop: loop, lane: number + 1, requests: firstRequest)
      }
    }
    let first = members[1]
    let publisher = Publisher(member: first) { [weak self, listeners, onReady] in
      listeners.openForClients()
      self?.supervised.withLock { $0?.isReady = true }
      onReady?()
    }
    let router = TurnRouter(
      shared, members, peerLoop: peerLoop, onRemoved: onRemoved,
      onClusterChange: { [weak publisher, loop = first.loop] in
        loop.execute { [weak publisher] in publisher?.clusterChanged() }
      })
    HTTPEndpoints.announce(shared)
    let traces = TraceExporter(config, loop: clientLoops[0], logger: logger)
    var grpcConfiguration = grpcConfiguration
    if let traces { grpcConfiguration.endedCallObserver = { traces.ended($0) } }
    var calls: [GRPCServer] = []
    // Members that dial from now on are known.
    peerLoop.run { peers.start(known, opening: haste.opening) }
    listeners.open(
      members.map { member in
        let services = member.loop === peerLoop ? nil : Self.services(of: member)
        let grpc = services.map { GRPCServer($0, grpcConfiguration) }
        if let grpc { calls.append(grpc) }
        let endpoints = HTTPEndpoints(
          member: member, services: config.enableGateway ? services : nil)
        return ServerListeners.Front(loop: member.loop, endpoints: endpoints, grpc: grpc)
      })
    return Running(
      shared: shared, peers: peers, members: members, router: router, calls: calls,
      publisher: publisher,
      compactor: config.autoCompaction.map { Compactor(member: first, mode: $0) },
      space: SpaceMonitor(first),
      corruption: CorruptionMonitor(member: members[0]),
      downgrade: DowngradeMonitor(member: members[0]),
      certificates: CertificateKeeper(policies.materials, tokens, logger, registry),
      firstElection: haste.campaignsAtOnce ? FirstElection(host, peers) : nil,
      traces: traces)
  }

  /// The log says so, or a peer that knows it from its own; what comes first counts.
  private func wasRemoved() {
    guard !isRemoved.exchange(true, ordering: .relaxed) else { return }
    logger.warn(
      "server error",
      [LogField("error", "the member has been permanently removed from the cluster")])
    logger.warn("data-dir used by this member must be removed")
    onRemoved?()
  }

  /// Keys of the v2 API end the start where `--v2-deprecation` does not allow them any more.
  /// - Source: etcd `assertNoV2StoreContent`, which looks at the last snapshot, too.
  private func checkV2Keys(_ boot: borrowing Bootstrap.Result) throws(StartError) {
    guard boot.core.holdsV2Keys else { return }
    guard config.v2Deprecation < .writeOnly else {
      throw StartError(
        "detected disallowed custom content in v2store for stage"
          + " --v2-deprecation=\(config.v2Deprecation.rawValue)")
    }
    logger.warn(
      "detected custom v2store content. Etcd v3.5 is the last version allowing to access it using API"
        + " v2. Please remove the content.")
  }

  // MARK: Services

  /// Every method that a loop serves, whoever brings the calls.
  static func services(of member: RunningMember) -> CallRouter {
    var router = CallRouter { LeaderRequirement.refusal($0, member) }
    KVService(member: member).register(in: &router)
    LeaseService(member: member).register(in: &router)
    MaintenanceService(member: member).register(in: &router)
    ClusterService(member: member).register(in: &router)
    AuthService(member: member).register(in: &router)
    HealthService(member: member).register(in: &router)
    WatchService(member: member).register(in: &router)
    let calls = LocalCalls(router, on: member.loop)
    LockService(member: member, calls: calls).register(in: &router)
    ElectionService(member: member, calls: calls).register(in: &router)
    return router
  }

  /// The services on the first client loop; `nil` before the start. For calls from within the process.
  var firstMember: RunningMember? { running?.members[1] }

  /// Bytes that a message of a client may have: more than a request, so that the refusal is etcd's
  /// own, and never more than peers take, in streams or posted: an entry that no follower takes would
  /// stop the cluster for good.
  static func messageBytesMax(_ config: ServerConfig) -> Int {
    let most =
      min(StreamDecoder.messageLimit, PeerTransportConfiguration.postedBytesMax)
      - Int(Bootstrap.raftMessageBytes)
    let (sum, overflowed) = config.maxRequestBytes.addingReportingOverflow(512 << 10)
    return overflowed ? most : min(sum, most)
  }

  private var grpcConfiguration: GRPCServerConfiguration {
    var configuration = GRPCServerConfiguration()
    configuration.maxConcurrentStreams = config.maxConcurrentStreams
    configuration.callObserver = { [requests = metrics.requests] metadata, isUnary in
      requests.count(metadata, isUnary: isUnary)
    }
    let requestLog = RequestLog(logger: logger, slow: config.warningUnaryRequestDuration)
    configuration.slowCallTime = requestLog.threshold
    configuration.slowCallObserver = { requestLog.note($0) }
    configuration.receivedMessageBytesMax = Self.messageBytesMax(config)
    configuration.keepaliveMinTime = .milliseconds(config.keepaliveMinTime)
    configuration.keepaliveInterval = .milliseconds(config.keepaliveInterval)
    configuration.keepaliveTimeout = .milliseconds(config.keepaliveTimeout)
    return configuration
  }

  // MARK: End

  /// Time that calls and requests under way have to end, of clients and then of peers.
  /// - Source: the second is etcd's, `embed.Etcd.Close`.
  private static let clientGrace = Duration.seconds(2)
  private static let peerGrace = Duration.seconds(1)

  /// Hands leadership over, lets running calls end, stops raft and closes the files.
  public func stop() async {
    let start = ContinuousClock.now
    logger.info("closing etcd server", identity)
    listeners.close()
    guard let running else { return }
    self.running = nil
    supervised.withLock { $0 = nil }
    let first = running.members[1]
    clientLoops[0].run {
      running.publisher.stop()
      running.compactor?.stop()
      running.space?.stop()
      running.traces?.stop()
    }
    await LeadershipTransfer(running.shared, config, on: clientLoops[0], logger).run()
    await withTaskGroup { group in
      for grpc in running.calls {
        group.addTask {
          await grpc.shutDown(grace: Self.clientGrace, endingStreams: GRPCStatus(.stopped))
        }
      }
      group.addTask { await self.listeners.clientHTTP.shutDown(grace: Self.clientGrace) }
    }
    // Tools that read the database next find what clients were told.
    await first.flushBackend(within: .seconds(5))
    for member in running.members { member.loop.run { member.leases.stop() } }
    peerLoop.run {
      running.corruption.stop()
      running.downgrade.stop()
      running.certificates?.stop()
      running.firstElection?.stop()
      running.peers.stop()
    }
    await listeners.peerHTTP.shutDown(grace: Self.peerGrace)
    running.shared.host.stop()
    for member in running.members { member.loop.run { member.requests.failAll(.stopped) } }
    running.shared.worker.stop()
    running.shared.readers.stop()
    running.shared.historyReader.stop()
    running.shared.passwords.stop()
    for loop in loops { loop.stop() }
    running.peers.stopWorker()
    running.certificates?.stopWorker()
    // checked: lists are joined
    logger.info(
      "closed etcd server", identity + [LogField("took", .duration(ContinuousClock.now - start))])
  }

  /// - Source: etcd `embed.Etcd.Close`, the fields of its lines.
  private var identity: [LogField] {
    [
      LogField("name", .string(config.name)), LogField("data-dir", .string(config.dataDirectory)),
      LogField("advertise-peer-urls", .strings(config.initialAdvertisePeerURLs)),
      LogField("advertise-client-urls", .strings(config.advertiseClientURLs)),
    ]
  }
}
