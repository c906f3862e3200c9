import EtcdAPI
import EventLoops
import Member
import Membership
import PeerTransport
import Raft

/// The first election of a new cluster. Nobody has led yet, so nobody is disturbed: the founder with the smallest id
/// campaigns as soon as all can hear it and their versions are known, of which the leader makes the cluster's, and a
/// moment after a quorum can. Raft alone would wait for a random timeout. The others' timeouts go on, should that
/// founder be away.
///
/// Confined to the peers' loop.
final class FirstElection {
  /// In which order founders dial each other: what the founder who campaigns needs to be elected comes at once, the rest
  /// a moment later. Seven members have 84 streams between them and are a cluster with 12.
  struct Opening {
    /// Who campaigns.
    let first: MemberID
    /// After which the others are dialled: before anybody's election timeout is over.
    let delay: Duration

    private static let usualDelay = 500

    /// - Returns: `nil` without founders.
    init?(_ founders: [MemberInfo], electionTimeout milliseconds: Int) {
      guard let first = founders.map(\.id).min() else { return nil }
      self.first = first
      delay = .milliseconds(min(milliseconds / 2, Self.usualDelay))
    }

    func delays(from local: MemberID, to peer: MemberID) -> StreamDelays {
      StreamDelays(msgApp: delay, message: local == first || peer == first ? .zero : delay)
    }
  }

  private static let interval = Duration.milliseconds(5)
  /// After which raft's own timeouts have elected somebody, or nobody can be.
  private static let tries = 1_000
  /// Behind the moment at which a quorum is there, for the others, in tries.
  private static let triesForAll = 60

  private let host: MemberHost
  private let peers: PeerAdapter
  private var timer: LoopTimer?
  private var tried = 0
  /// When a quorum was there, in tries.
  private var hadQuorum: Int?

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
    let others = voters.dropFirst().map(\.id)
    let reached = others.count { peers.activeSince($0) != nil }
    guard 1 + reached > voters.count / 2 else { return }
    let since = hadQuorum ?? tried
    hadQuorum = since
    let known = peers.versions
    let isEverythingKnown = others.allSatisfy { known[$0] != nil }
    // checked: both count the tries
    if isEverythingKnown || tried - since > Self.triesForAll { host.post([.campaign]) }
  }
}
