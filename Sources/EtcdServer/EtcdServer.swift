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
  private let listeners: ServerListeners
  private var publisher: Publisher?
  private var compactor: Compactor?

  /// Called once when the member was removed from its cluster and must end.
  public var onRemoved: (@Sendable () -> Void)?
  /// Called once when clients are served.
  public var onReady: (@Sendable () -> Void)?

  public init(config: ServerConfig, logger: Logger) {
    self.config = config
    self.logger = logger
    listeners = ServerListeners(loop: loop, config: config, logger: logger)
    member = RunningMember(
      config: config, logger: logger, metrics: ServerMetrics(registry), loop: loop)
  }

  /// Binds the listeners, reads the disk, starts raft and serves.
  /// - Parameter milliseconds: time since 1970.
  /// - Throws: `StartError` with etcd's words; nothing is left running.
  public func start(milliseconds: UInt64, seed: UInt64) throws(StartError) {
    let lines = StartLines(config: config, logger: logger)
    let tokens = try TokenProvider(config, logger)
    loop.start()
    do {
      try onLoop { try self.listeners.bind() }
      lines.settings()
      let boot = try Bootstrap.start(
        config, loop: loop, logger: logger, milliseconds: milliseconds, seed: seed)
      try checkV2Keys(boot)
      lines.identity(boot)
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
      try onLoop { self.serve() }
    } catch {
      try? onLoop { self.listeners.close() }
      loop.stop()
      throw StartError("\(error)")
    }
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

  // MARK: Services

  /// Serves peers and metrics at once, and clients when the member is known to its cluster.
  private func serve() {
    var router = GRPCRouter()
    KVService(member: member).register(in: &router)
    LeaseService(member: member).register(in: &router)
    MaintenanceService(member: member).register(in: &router)
    ClusterService(member: member).register(in: &router)
    AuthService(member: member).register(in: &router)
    HealthService(member: member).register(in: &router)
    watchLoop()
    let grpc = GRPCServer(router, grpcConfiguration)
    self.grpc = grpc
    let member = member
    listeners.open(
      ServerListeners.Services(grpc: grpc, endpoints: HTTPEndpoints(member: member)) {
        member.peers.handle($0)
      })
    let publisher = Publisher(member: member) { [listeners, onReady] in
      listeners.openForClients()
      onReady?()
    }
    self.publisher = publisher
    member.onClusterChange = { [weak publisher] in publisher?.clusterChanged() }
    publisher.start()
    compactor = config.autoCompaction.map { Compactor(member: member, mode: $0) }
    compactor?.start()
  }

  /// Gives memory back after floods, and tells when one turn of the loop took long.
  private func watchLoop() {
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
  }

  /// Bytes that a message of a client may have: more than a request, so that the refusal is etcd's
  /// own, and never more than protobuf allows.
  static func messageBytesMax(_ config: ServerConfig) -> Int {
    let (sum, overflowed) = config.maxRequestBytes.addingReportingOverflow(512 << 10)
    return overflowed ? Int(Int32.max) : min(sum, Int(Int32.max))
  }

  private var grpcConfiguration: GRPCServerConfiguration {
    var configuration = GRPCServerConfiguration()
    configuration.maxConcurrentStreams = config.maxConcurrentStreams
    configuration.receivedMessageBytesMax = Self.messageBytesMax(config)
    configuration.keepaliveMinTime = .milliseconds(config.keepaliveMinTime)
    configuration.keepaliveInterval = .milliseconds(config.keepaliveInterval)
    configuration.keepaliveTimeout = .milliseconds(config.keepaliveTimeout)
    return configuration
  }

  // MARK: End

  /// Hands leadership over, lets running calls end, stops raft and closes the files.
  public func stop() async {
    logger.info("closing etcd server", [LogField("name", .string(config.name))])
    try? onLoop {
      self.publisher?.stop()
      self.compactor?.stop()
      self.listeners.close()
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
    guard !others.isEmpty else {
      logger.info(
        "skipped leadership transfer for single voting member cluster",
        [
          LogField("local-member-id", .string(String(host.memberID, radix: 16))),
          LogField("current-leader-member-id", .string(String(host.status.leader, radix: 16))),
        ])
      return
    }
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
