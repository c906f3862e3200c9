import EtcdAPI
import EventLoops
import Member
import Membership
import Raft

/// The first election of a new cluster. Nobody has led yet, so nobody is disturbed: the founder with the smallest id
/// campaigns as soon as a quorum can hear it, where raft alone would wait for a random timeout, and all founders for
/// each other's. The others' timeouts go on, should that founder be away.
///
/// Confined to the peers' loop.
final class FirstElection {
  private static let interval = Duration.milliseconds(5)
  /// After which raft's own timeouts have elected somebody, or nobody can be.
  private static let tries = 1_000

  private let host: MemberHost
  private let peers: PeerAdapter
  private var timer: LoopTimer?
  private var tried = 0

  init(_ host: MemberHost, _ peers: PeerAdapter) {
    self.host = host
    self.peers = peers
  }

  func start(on loop: EventLoop) {
    timer = loop.schedule(after: .zero, repeating: Self.interval) { [weak self] in self?.look() }
  }

  func stop() {
    timer?.cancel()
    timer = nil
  }

  private func look() {
    tried += 1
    let status = host.status
    guard status.leader == .none, status.role == .follower, tried < Self.tries else {
      return stop()
    }
    let voters = host.membership.voters
    guard let first = voters.first else { return }
    guard first.id == host.memberID else { return stop() }
    let reached = voters.count {
      $0.id == host.memberID || peers.activeSince($0.id) != nil
    }
    if reached > voters.count / 2 { host.post([.campaign]) }
  }
}
