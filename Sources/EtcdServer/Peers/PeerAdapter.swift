import Bolt
import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import GoText
import HTTP
import JSON
import Member
import MemberStorage
import Membership
import PeerTransport
import Platform
import Protobuf
import Raft
import Synchronization

/// Joins the peer transport to the member: messages one way, core output the other.
///
/// Confined to the peers' loop, on which nothing of a client's is done, so that no client delays a
/// heartbeat.
final class PeerAdapter: PeerTransportDelegate, @unchecked Sendable {
  // @unchecked: `round`, `asked` and `timer` are confined to `loop`; `known` has a lock; the rest is
  // immutable.

  private let config: ServerConfig
  private let host: MemberHost
  let loop: EventLoop
  private let snapDirectory: String
  private let logger: Logger
  private let disk: DiskMetrics
  /// Counts for the v2 API; `nil` when it is not served.
  private let stats: V2ServerStats?
  private let onRemoved: @Sendable () -> Void
  /// Reads and writes databases on their way between members; clients' work never waits here.
  private let worker = WorkerThread(name: "etcd-snapshot", isBackground: true)
  private let transport: PeerTransport
  private let client: HTTPClient
  private var timer: LoopTimer?
  /// What a member says about versions: its own, and that of its cluster.
  private struct Versions: Sendable {
    let server: String
    /// `nil` as long as it only came with a stream.
    let cluster: String?
  }
  /// Versions of the other members, as of their last stream or the last round of questions; of members alone.
  private let known = Mutex<[MemberID: Versions]>([:])
  var versions: [MemberID: String] { known.withLock { $0.mapValues(\.server) } }
  var clusterVersions: [MemberID: String] { known.withLock { $0.compactMapValues(\.cluster) } }

  /// Members that have not answered yet: a question more would cost them another handshake.
  private var asked: Set<MemberID> = []

  /// Between two rounds of questions for versions.
  private static let versionInterval: Duration = .milliseconds(500)
  /// Members whose version is known are asked again every so many rounds.
  private static let roundsForKnown = 8
  private var round = 0
  private static let versionBytesMax = 64 << 10
  /// For all URLs of a member together.
  private static let versionPatience: Duration = .seconds(2)

  /// On `loop`.
  /// - Parameter onRemoved: called when a peer says that this member was removed.
  init(
    _ host: MemberHost, _ config: ServerConfig, dial: @escaping HTTPClient.Dial, loop: EventLoop,
    logger: Logger, metrics: ServerMetrics, snapDirectory: String,
    stats: V2ServerStats?, onRemoved: @escaping @Sendable () -> Void
  ) {
    self.host = host
    self.stats = stats
    self.config = config
    self.loop = loop
    self.snapDirectory = snapDirectory
    self.logger = logger
    self.onRemoved = onRemoved
    disk = metrics.disk
    client = HTTPClient(loop: loop, dial: dial)
    var configuration = PeerTransportConfiguration(
      localID: host.memberID, clusterID: host.clusterID,
      peerURLs: config.initialAdvertisePeerURLs, serverVersion: ServerVersion.etcd, dial: dial)
    configuration.dialTimeout = .milliseconds(1000 + config.electionTimeout)
    configuration.readTimeout = config.raftReadTimeout
    configuration.writeTimeout = config.raftWriteTimeout
    configuration.worker = worker
    configuration.logger = logger
    configuration.metrics = metrics.registry
    transport = PeerTransport(configuration: configuration, loop: loop)
    transport.delegate = self
  }

  /// Connects to the members known at start, so that who dials before the log is applied is not turned away.
  /// - Parameters:
  ///   - others: members that a joining member was told of, or with whom the cluster is founded.
  ///   - opening: in which order a cluster's founders dial each other; `nil` for all at once.
  func start(_ others: [MemberInfo], opening: FirstElection.Opening?) {
    for info in host.membership.sorted + others where info.id != host.memberID {
      transport.addPeer(
        id: info.id, urls: info.peerURLs,
        delays: opening?.delays(from: host.memberID, to: info.id) ?? StreamDelays())
    }
    // Streams tell versions: they come first.
    let delay = Self.versionInterval + (opening?.delay ?? .zero)
    timer = loop.schedule(after: delay, repeating: Self.versionInterval) {
      [unowned self] in
      nextRound()
    }
  }

  func stop() {
    timer?.cancel()
    transport.stop()
    client.close()
  }

  /// Ends the worker; once the loop does nothing more.
  func stopWorker() { worker.stop() }

  // MARK: The way to the other members

  /// On the peers' loop.
  func send(_ messages: [Raftpb.Message]) {
    guard let stats else { return transport.send(messages) }
    let began = WallClock.nanoseconds
    transport.send(messages)
    stats.sent(messages, at: began, took: WallClock.nanoseconds &- began)
  }

  /// On the peers' loop.
  func send(_ snapshots: [SnapshotSend]) {
    for snapshot in snapshots {
      guard let rows = snapshot.state as? BoltRows else {
        preconditionFailure("a snapshot is sent from a database file")
      }
      transport.sendSnapshot(snapshot.message, source: DatabaseSource(rows.transaction))
    }
  }

  /// Adds the routes of raft; their requests must come on the peers' loop.
  func register(in router: inout HTTPRouter) { transport.register(in: &router) }

  /// Nanoseconds on the loops' clock since when a member is connected; `nil` when it is not. Any thread.
  func activeSince(_ id: MemberID) -> UInt64? { transport.activeSince(id) }

  /// Asks the leader to promote a learner; `done` is called on the loop of who asks. Any thread.
  /// - Source: etcd `promoteMemberHTTP`.
  func promote(
    _ id: MemberID, at leader: MemberInfo, answerOn asker: EventLoop,
    _ done: @escaping (Result<[MemberInfo], EtcdError>) -> Void
  ) {
    let answer = LoopConfined(done)
    loop.execute {
      self.promote(id, at: leader) { result in asker.execute { answer.value(result) } }
    }
  }

  private func promote(
    _ id: MemberID, at leader: MemberInfo,
    _ done: @escaping (Result<[MemberInfo], EtcdError>) -> Void
  ) {
    let urls = leader.peerURLs.compactMap { PeerURL($0) }
    guard !urls.isEmpty else { return done(.failure(.noLeader)) }
    ask(
      urls[...], "POST", "/members/promote/\(id)",
      until: loop.now &+ config.requestTimeout.nanoseconds
    ) { answer in
      guard let (head, body) = answer else { return done(.failure(.timeout)) }
      switch head.status {
      case 200:
        do { done(.success(try ExistingCluster.decode(body))) } catch {
          done(.failure(EtcdError(.unknown, "\(error)")))
        }
      case 404: done(.failure(.memberNotFound))
      case 408: done(.failure(.timeout))
      case 412:
        let isLearner = body.string.holds("in sync with leader")
        done(.failure(isLearner ? .learnerNotReady : .memberNotLearner))
      default: done(.failure(EtcdError(.unknown, "member promote: \(body.string)")))
      }
    }
  }

  /// Asks a member by one of its URLs after the other, until one answers.
  /// - Parameters:
  ///   - deadline: on the loop's clock; what hangs is waited for no longer, a connection 5 s at most.
  ///   - done: called once, on the loop; with `nil` when none answers.
  private func ask(
    _ urls: ArraySlice<PeerURL>, _ method: String, _ target: String, until deadline: UInt64,
    _ done: @escaping ((head: HTTPResponseHead, body: Bytes)?) -> Void
  ) {
    guard let url = urls.first, loop.now < deadline else { return done(nil) }
    var request = HTTPClientRequest(method, url.origin, target)
    let left = Duration.nanoseconds(Int64(clamping: deadline - loop.now))
    request.connectTimeout = min(request.connectTimeout, left)
    request.headTimeout = left
    client.send(request, limit: Self.versionBytesMax) { [weak self] result in
      if case .success(let answer) = result { return done(answer) }
      guard let self else { return done(nil) }
      ask(urls.dropFirst(), method, target, until: deadline, done)
    }
  }

  func apply(_ changes: [Membership.Change]) {
    for change in changes {
      switch change {
      case .add(let info):
        if info.id != host.memberID { transport.addPeer(id: info.id, urls: info.peerURLs) }
      case .update(let info):
        if info.id != host.memberID { transport.updatePeer(id: info.id, urls: info.peerURLs) }
      case .remove(let id):
        known.withLock { $0[id] = nil }
        if id != host.memberID { transport.removePeer(id: id) }
      case .promote: break
      }
    }
  }

  // MARK: PeerTransportDelegate

  /// What no member can apply must not get into the log: every member that has it ends, at each start.
  func received(_ messages: [Raftpb.Message]) {
    stats?.received(messages, at: WallClock.nanoseconds)
    var good = messages
    good.removeAll { message in
      guard let fault = EntryCheck.fault(message) else { return false }
      logger.warn(
        "dropped Raft message; its entries cannot be applied",
        [
          LogField("message-type", .string(message.type.protoName ?? "unknown")),
          LogField("from", .string(message.sender.hex)),
          LogField("error", .string(LogText.shortened(fault))),
        ])
      return true
    }
    if !good.isEmpty { host.post(.receive(good)) }
  }

  func reportUnreachable(_ id: MemberID) {
    stats?.failed(id)
    host.post(.unreachable(id))
  }

  func streamChanged(_ id: MemberID, isUp: Bool) { host.post(.linked(id, isUp: isUp)) }

  func reportSnapshot(_ id: MemberID, failed: Bool) {
    host.post(.snapshotSent(id, failed: failed))
  }

  func isRemoved(_ id: MemberID) -> Bool { host.membership.removed.contains(id) }
  func localMemberWasRemoved() { onRemoved() }

  func memberURLsSeen(_ id: MemberID, _ urls: [String]) {
    guard host.membership.members[id] == nil else { return }
    transport.addRemote(id: id, urls: urls)
  }

  func makeSnapshotSink(
    for message: Raftpb.Message, resume: @escaping @Sendable () -> Void
  ) throws(SnapshotError) -> any SnapshotSink {
    guard let snapshot = message.snapshot else {
      throw SnapshotError("message without a snapshot")
    }
    // It may name what stands in the snapshot, at any length.
    if let fault = EntryCheck.fault(snapshot) { throw SnapshotError(LogText.shortened(fault)) }
    let index = snapshot.metadata.index
    return try DatabaseSink(
      directory: snapDirectory, index: index, thread: worker, metrics: disk, resume: resume)
  }

  // MARK: Versions

  func serverVersionSeen(_ id: MemberID, _ version: String) {
    known.withLock { $0[id] = Versions(server: version, cluster: $0[id]?.cluster) }
  }

  /// Streams tell what a server is; who has none is asked. The leader asks all: it needs to know who is gone, and of
  /// which version a member takes its cluster to be.
  private func nextRound() {
    round += 1
    let leads = host.status.leader == host.memberID
    askVersions(ofClusters: leads, again: leads && round % Self.roundsForKnown == 0)
  }

  /// Asks every other member for its version; a member that does not answer has none. On `loop`.
  /// - Parameters:
  ///   - ofClusters: also those of which only the server's is known.
  ///   - again: also those that are known, which rarely change.
  private func askVersions(ofClusters: Bool, again: Bool) {
    for info in host.membership.sorted where info.id != host.memberID {
      let versions = known.withLock { $0[info.id] }
      let isKnown = versions != nil && (!ofClusters || versions?.cluster != nil)
      guard again || !isKnown, asked.insert(info.id).inserted else { continue }
      let urls = info.peerURLs.compactMap { PeerURL($0) }
      let deadline = loop.now &+ Self.versionPatience.nanoseconds
      ask(urls[...], "GET", "/version", until: deadline) { [weak self] answer in
        guard let self else { return }
        asked.remove(info.id)
        // It may have been removed meanwhile.
        guard host.membership.members[info.id] != nil else { return }
        var versions: Versions?
        if let answer, answer.head.status == 200 { versions = Self.versions(in: answer.body) }
        known.withLock { $0[info.id] = versions }
      }
    }
  }

  private static func versions(in body: Bytes) -> Versions? {
    guard let value = try? JSONValue.parse(body), let server = value["etcdserver"]?.string else {
      return nil
    }
    return Versions(server: server, cluster: value["etcdcluster"]?.string ?? "")
  }
}
