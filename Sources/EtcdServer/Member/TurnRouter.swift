import Auth
import EtcdAPI
import EtcdConfig
import EventLoops
import Failpoints
import MVCC
import Member
import Membership
import Platform
import Raft

/// Takes what turns of the core give and brings each part to the loop that it belongs to, in order.
final class TurnRouter: MemberHostDelegate {
  /// Answers of one turn for one loop.
  struct Answers: Sendable {
    let replies: [Reply]
    let reads: [ReadBatch]
    let term: Term
  }

  /// What a turn has for the peers' loop.
  enum PeerNews: Sendable {
    case messages([Raftpb.Message])
    case snapshots([SnapshotSend])
    case changes([Membership.Change])
  }

  private let shared: SharedMember
  /// By the lane of the ids that each loop gives to its requests; `nil` where there is none.
  private let lanes: [HandOver<Answers>?]
  /// Rows for those who watch: one a loop.
  private let watchers: [(desk: WatchDesk, handOver: HandOver<(NewRows, StoreSnapshot)>)]
  /// For those who watch the v2 store; `nil` when it is not served.
  private let v2: HandOver<V2News>?
  private let peers: HandOver<PeerNews>
  /// Called once the member was removed from its cluster.
  private let onRemoved: @Sendable () -> Void
  /// Called when there is another leader or cluster version.
  private let onClusterChange: @Sendable () -> Void

  /// - Parameter members: one a loop.
  init(
    _ shared: SharedMember, _ members: [RunningMember], peerLoop: EventLoop,
    onRemoved: @escaping @Sendable () -> Void, onClusterChange: @escaping @Sendable () -> Void
  ) {
    self.shared = shared
    self.onRemoved = onRemoved
    self.onClusterChange = onClusterChange
    var lanes: [HandOver<Answers>?] = Array(repeating: nil, count: RequestIDs.lanesMax)
    for member in members {
      lanes[member.lane] = HandOver(to: member.loop) { [requests = member.requests] in
        requests.answer($0.replies, $0.reads, term: $0.term)
      }
    }
    self.lanes = lanes
    watchers = members.map { member in
      (
        member.watches,
        HandOver(to: member.loop) { [desk = member.watches] in desk.take($0.0, $0.1) }
      )
    }
    v2 = shared.v2.map { hub in HandOver(to: hub.loop) { [hub] in hub.take($0) } }
    peers = HandOver(to: peerLoop) { [peers = shared.peers] news in
      switch news {
      case .messages(let messages): peers.send(messages)
      case .snapshots(let snapshots): peers.send(snapshots)
      case .changes(let changes): peers.apply(changes)
      }
    }
  }

  func send(_ messages: [Raftpb.Message]) {
    let leads = Failpoint.areThere && shared.host.status.role == .leader
    Failpoint.hit(leads ? .raftBeforeLeaderSend : .raftBeforeFollowerSend)
    peers.leave(.messages(messages))
  }
  func send(_ snapshots: [SnapshotSend]) { peers.leave(.snapshots(snapshots)) }
  func membershipChanged(_ changes: [Membership.Change]) { peers.leave(.changes(changes)) }

  func v2Changed(_ news: V2News) { v2?.leave(news) }

  /// Users and roles change at once, for all loops, before the answers of the turn leave.
  func authChanged(_ store: AuthStore?, _ events: [TokenEvent]) {
    shared.access.update(store, events)
  }

  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: Term) {
    guard let first = replies.first?.id ?? reads.first?.ids.first else { return }
    let lane = first.lane
    let isForOne =
      replies.allSatisfy { $0.id.lane == lane }
      && reads.allSatisfy { $0.ids.allSatisfy { $0.lane == lane } }
    if isForOne {
      lanes[lane]?.leave(Answers(replies: replies, reads: reads, term: term))
      return
    }
    for (lane, handOver) in lanes.enumerated() {
      guard let handOver else { continue }
      let replies = replies.filter { $0.id.lane == lane }
      let reads = reads.compactMap { batch in
        batch.part { $0.lane == lane }
      }
      if replies.isEmpty && reads.isEmpty { continue }
      handOver.leave(Answers(replies: replies, reads: reads, term: term))
    }
  }

  /// Only to loops on which somebody watches.
  func tell(_ rows: NewRows, _ state: () -> StoreSnapshot) {
    var made: StoreSnapshot?
    for watcher in watchers where watcher.desk.isWatching {
      let state = made ?? state()
      made = state
      watcher.handOver.leave((rows, state))
    }
  }

  func leaderChanged(to leader: MemberID) {
    shared.v2?.stats.leaderChanged(to: leader, at: WallClock.nanoseconds)
    let (own, term) = (shared.host.memberID.hex, shared.host.status.term)
    // Go's line, which is one text without fields.
    shared.logger.named("raft").info(
      leader == .none
        ? "raft.node: \(own) lost leader at term \(term)"
        : "raft.node: \(own) elected leader \(leader.hex) at term \(term)")
    onClusterChange()
  }

  func clusterVersionChanged(to version: String) {
    VersionCheck.enforce(cluster: version, shared.host.status.downgrade, shared.logger)
    shared.versionLog.changed(to: version, shared.host)
    onClusterChange()
  }

  func compactionBegan(_ compaction: UnhashedCompaction) { shared.hashes.add(compaction) }

  func downgradeChanged(to downgrade: Downgrade) {
    guard downgrade.isEnabled else { return }
    shared.logger.info(
      "The server is ready to downgrade",
      [
        LogField("target-version", .string(downgrade.target)),
        LogField("server-version", .string(ServerVersion.etcd)),
      ])
  }

  func removedFromCluster() { onRemoved() }
}
