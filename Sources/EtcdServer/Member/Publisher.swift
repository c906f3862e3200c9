import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import Failpoints
import JSON
import Member
import Membership
import Platform
import Protobuf

/// Tells the cluster what this member is called and where clients reach it, and, while it leads,
/// decides the cluster version and ends keys of the v2 store. Confined to the client loop.
///
/// - Source: etcd `publishV3`/`publish`, `monitorVersions`, `sync`.
final class Publisher: @unchecked Sendable {
  // @unchecked: confined to the member's loop.
  private let member: RunningMember
  private var timer: LoopTimer?
  private var isPublished = false
  /// Who led when the publication left, and in which term: who leads again has forgotten what it dropped.
  private var publishedBy = Leadership()
  /// Numbers publications: those before the newest are not repeated.
  private var publication = 0
  private var isStopped = false
  /// Cluster version that a proposal under way sets.
  private var proposedVersion: String?
  /// Called once when the member is known to its cluster and the cluster has a version: clients that
  /// are served from then on find a leader, and members can join.
  private var onReady: (() -> Void)?

  /// - Parameter onReady: called on the loop.
  init(member: RunningMember, onReady: @escaping () -> Void) {
    self.member = member
    self.onReady = onReady
  }

  private struct Leadership: Equatable {
    var leader = MemberID.none
    var term = Term(0)
  }

  private var leadership: Leadership {
    let status = member.host.status
    return Leadership(leader: status.leader, term: status.term)
  }

  func start() {
    publish()
    timer = member.loop.schedule(after: .milliseconds(100), repeating: .milliseconds(500)) {
      [unowned self] in
      decideVersion(mayAssume: true)
      expireV2Keys()
      announceReady()
    }
  }

  /// A leader was elected, or the cluster's version changed.
  func clusterChanged() {
    guard !isStopped else { return }
    let leadership = leadership
    if leadership.leader != .none, leadership != publishedBy, !isPublished {
      // What left before there was a leader waits for the first.
      if publishedBy.leader == .none { publishedBy = leadership } else { publish() }
    }
    decideVersion(mayAssume: false)
    hearVersions()
    announceReady()
  }

  /// Between looks at the versions of which the leader of a new cluster makes the cluster's.
  private static let hearingPause: Duration = .milliseconds(20)
  private var isHearing = false

  /// Who leads a new cluster may have been elected before it heard of all, and clients wait for a version: the timer is
  /// slow.
  private func hearVersions() {
    guard !isHearing, !isStopped, isLeader, proposedVersion == nil,
      member.host.membership.clusterVersion == nil
    else { return }
    isHearing = true
    member.loop.schedule(after: Self.hearingPause) { [weak self] in
      self?.isHearing = false
      self?.decideVersion(mayAssume: false)
      self?.hearVersions()
    }
  }

  private var isLeader: Bool { member.host.status.leader == member.host.memberID }

  private func announceReady() {
    guard isPublished, let onReady else { return }
    member.shared.versionLog.catchUp(member.host)
    guard member.shared.versionLog.isAnnounced else { return }
    self.onReady = nil
    onReady()
  }

  func stop() {
    isStopped = true
    onReady = nil
    timer?.cancel()
  }

  /// Between a publication that was refused and the next: an overloaded member refuses at once.
  private static let pause: Duration = .milliseconds(100)

  /// Repeats until the request was applied, and at each new leader: the one before may have dropped it without a
  /// word, and a member that joins would wait for a request's whole time.
  private func publish() {
    guard !isStopped, !isPublished else { return }
    Failpoint.hit(.beforePublishing)
    publishedBy = leadership
    publication += 1
    let number = publication
    let config = member.config
    let info = MemberInfo(
      id: member.host.memberID, peerURLs: [], name: config.name,
      clientURLs: config.advertiseClientURLs)
    let value = JSONValue.object(info.attributes).encoded(escapeHTML: true).string
    let id = member.requests.makeID()
    let data = RaftRequest.put(
      path: "/0/members/\(info.hexID)/attributes", value: value, id: id)
    member.requests.propose(id: id, data) { [weak self] outcome, _ in
      guard let self, !isPublished else { return }
      guard case .done = outcome else {
        guard number == publication else { return }
        member.loop.schedule(after: Self.pause) { [weak self] in
          guard self?.publication == number else { return }
          self?.publish()
        }
        return
      }
      isPublished = true
      member.logger.info(
        "published local member to cluster through raft",
        [
          LogField("local-member-id", .string(info.hexID)),
          LogField("local-member-attributes", .string(value)),
          LogField("request-path", .string("/0/members/\(info.hexID)/attributes")),
          LogField("cluster-id", .string(String(member.host.clusterID, radix: 16))),
          LogField("publish-timeout", .duration(config.requestTimeout)),
        ])
      announceReady()
    }
  }

  /// The leader's clock ends keys of the v2 store.
  private func expireV2Keys() {
    guard member.host.status.hasExpiringV2Keys, isLeader else { return }
    let id = member.requests.makeID()
    let data = RaftRequest.sync(now: WallClock.nanoseconds, id: id)
    member.requests.propose(id: id, data) { _, _ in }
  }

  /// The lowest version among the members becomes the cluster's; a member that cannot be asked holds
  /// a rise back.
  /// - Parameter mayAssume: whether the lowest version is taken while others were not heard yet.
  private func decideVersion(mayAssume: Bool) {
    guard !isStopped, isLeader, proposedVersion == nil else { return }
    var lowest = ServerVersion.etcd
    let known = member.peers.versions
    let current = member.host.membership.clusterVersion
    for info in member.host.membership.sorted where info.id != member.host.memberID {
      guard let version = known[info.id] else {
        // Nothing decided yet: the lowest possible lets the cluster work until all are heard.
        if current == nil, mayAssume { return propose(ServerVersion.minimumCluster) }
        return
      }
      if ServerVersion.isOlder(version, than: lowest) { lowest = version }
    }
    guard let decided = SemanticVersion(lowest)?.cluster else { return }
    if let current = current.flatMap({ SemanticVersion($0) }) {
      guard SemanticVersion.mayChange(current, to: decided) else { return }
    }
    propose(decided.description)
  }

  private func propose(_ version: String) {
    proposedVersion = version
    let id = member.requests.makeID()
    let data = RaftRequest.put(path: "/0/version", value: version, id: id)
    member.logger.info(
      "setting up initial cluster version", [LogField("cluster-version", .string(version))])
    member.requests.propose(id: id, data) { [weak self] _, _ in self?.proposedVersion = nil }
  }
}
