import Bolt
import Bytes
import EtcdAPI
import EtcdConfig
import HTTP
import Member
import MemberStorage
import Membership
import PeerTransport
import Protobuf
import Raft
import Runtime

/// Joins the peer transport to the member: messages one way, core output the other.
///
/// Confined to the client loop, except the sends, which the transport takes from any thread.
final class PeerAdapter: PeerGateway, PeerTransportDelegate, @unchecked Sendable {
  // @unchecked: `versions`, `round` and `timer` are confined to `loop`; the rest is immutable.

  private let member: RunningMember
  private let host: MemberHost
  private let loop: EventLoop
  private let snapDirectory: String
  private var transport: PeerTransport!
  private let client: HTTPClient
  private var timer: LoopTimer?
  /// Server versions of the other members, as of the last round of questions.
  private(set) var versions: [UInt64: String] = [:]

  /// Between two rounds of questions for versions.
  private static let versionInterval: Duration = .milliseconds(500)
  /// Members whose version is known are asked again every so many rounds.
  private static let roundsForKnown = 8
  private var round = 0
  private static let versionBytesMax = 64 << 10

  init(member: RunningMember, snapDirectory: String) {
    self.member = member
    host = member.host
    loop = member.loop
    self.snapDirectory = snapDirectory
    client = HTTPClient(loop: member.loop)
    var configuration = PeerTransportConfiguration(
      localID: host.memberID, clusterID: host.clusterID,
      peerURLs: member.config.initialAdvertisePeerURLs, serverVersion: ServerVersion.etcd)
    configuration.dialTimeout = .milliseconds(1000 + member.config.electionTimeout)
    configuration.readTimeout = member.config.raftReadTimeout
    configuration.writeTimeout = member.config.raftWriteTimeout
    configuration.logger = member.logger
    configuration.metrics = member.metrics.registry
    transport = PeerTransport(configuration: configuration, loop: loop, delegate: self)
  }

  /// Connects to the members known at start.
  /// - Parameter others: members that a joining member was told of.
  func start(_ others: [MemberInfo]) {
    apply((host.membership.sorted + others).map { .add($0) })
    timer = loop.schedule(after: .zero, repeating: Self.versionInterval) { [unowned self] in
      askVersions()
    }
  }

  func stop() {
    timer?.cancel()
    transport.stop()
    client.close()
  }

  // MARK: PeerGateway

  func send(_ messages: [Raftpb.Message]) { transport.send(messages) }

  func send(_ snapshots: [SnapshotSend]) {
    for snapshot in snapshots {
      guard let rows = snapshot.state as? BoltRows else {
        preconditionFailure("a snapshot is sent from a database file")
      }
      transport.sendSnapshot(snapshot.message, source: DatabaseSource(rows.transaction))
    }
  }

  func handle(_ exchange: HTTPExchange) -> Bool { transport.handle(exchange) }

  func activeSince(_ id: UInt64) -> UInt64? { transport.activeSince(id) }

  /// - Source: etcd `promoteMemberHTTP`.
  func promote(
    _ id: UInt64, at leader: MemberInfo,
    _ done: @escaping (Result<[MemberInfo], EtcdError>) -> Void
  ) {
    guard let url = leader.peerURLs.lazy.compactMap({ PeerURL($0) }).first(where: { !$0.isSecure })
    else { return done(.failure(.noLeader)) }
    var request = HTTPClientRequest("POST", url.endpoint, "/members/promote/\(id)")
    request.headTimeout = member.config.requestTimeout
    client.send(request, limit: Self.versionBytesMax) { result in
      guard case .success(let (head, body)) = result else { return done(.failure(.timeout)) }
      switch head.status {
      case 200:
        do { done(.success(try ExistingCluster.decode(body))) } catch {
          done(.failure(EtcdError(.unknown, "\(error)")))
        }
      case 404: done(.failure(.memberNotFound))
      case 408: done(.failure(.timeout))
      case 412:
        let isLearner = body.string.contains("in sync with leader")
        done(.failure(isLearner ? .learnerNotReady : .memberNotLearner))
      default: done(.failure(EtcdError(.unknown, "member promote: \(body.string)")))
      }
    }
  }

  func apply(_ changes: [Membership.Change]) {
    for change in changes {
      switch change {
      case .add(let info):
        if info.id != host.memberID { transport.addPeer(id: info.id, urls: info.peerURLs) }
      case .update(let info):
        if info.id != host.memberID { transport.updatePeer(id: info.id, urls: info.peerURLs) }
      case .remove(let id): if id != host.memberID { transport.removePeer(id: id) }
      case .promote: break
      }
    }
  }

  // MARK: PeerTransportDelegate

  func received(_ messages: [Raftpb.Message]) { host.post(.receive(messages)) }
  func reportUnreachable(_ id: UInt64) { host.post(.unreachable(id)) }

  func reportSnapshot(_ id: UInt64, failed: Bool) {
    host.post(.snapshotSent(id, failed: failed))
  }

  func isRemoved(_ id: UInt64) -> Bool { host.membership.removed.contains(id) }
  func localMemberWasRemoved() { member.removedFromCluster() }

  func memberURLsSeen(_ id: UInt64, _ urls: [String]) {
    guard host.membership.members[id] == nil else { return }
    transport.addRemote(id: id, urls: urls)
  }

  func makeSnapshotSink(
    for message: Raftpb.Message, resume: @escaping @Sendable () -> Void
  ) throws(SnapshotError) -> any SnapshotSink {
    guard let index = message.snapshot?.metadata.index else {
      throw SnapshotError("message without a snapshot")
    }
    return try DatabaseSink(
      directory: snapDirectory, index: index, thread: member.worker, resume: resume)
  }

  // MARK: Versions

  /// Asks every other member for its version; a member that does not answer has none.
  private func askVersions() {
    round += 1
    for info in host.membership.sorted where info.id != host.memberID {
      // Those that are known rarely change.
      guard versions[info.id] == nil || round % Self.roundsForKnown == 0 else { continue }
      guard let url = info.peerURLs.lazy.compactMap({ PeerURL($0) }).first(where: { !$0.isSecure })
      else { continue }
      var request = HTTPClientRequest("GET", url.endpoint, "/version")
      request.headTimeout = .seconds(2)
      client.send(request, limit: Self.versionBytesMax) { [weak self] result in
        guard let self else { return }
        versions[info.id] = nil
        if case .success(let (head, body)) = result, head.status == 200 {
          versions[info.id] = Self.version(in: body)
        }
      }
    }
  }

  private static func version(in body: Bytes) -> String? {
    (try? JSONValue.parse(body))?["etcdserver"]?.string
  }
}
