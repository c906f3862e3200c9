import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import Membership
import Raft

/// A leader that stops names a successor, so that writes go on without an election.
struct LeadershipTransfer {
  private let shared: SharedMember
  private let config: ServerConfig
  private let loop: EventLoop
  private let logger: Logger

  /// - Parameter loop: on which is looked whether it is done.
  init(_ shared: SharedMember, _ config: ServerConfig, on loop: EventLoop, _ logger: Logger) {
    self.shared = shared
    self.config = config
    self.loop = loop
    self.logger = logger
  }

  /// Does it, if this member leads and another is connected, and waits for an election timeout at most.
  func run() async {
    let host = shared.host
    let (own, leader) = (LogValue.string(host.memberID.hex), host.status.leader)
    let fields = [
      LogField("local-member-id", own),
      LogField("current-leader-member-id", .string(leader.hex)),
    ]
    guard leader == host.memberID else {
      return logger.info("skipped leadership transfer; local server is not leader", fields)
    }
    // The member connected longest is the least likely to be busy catching up.
    let best = host.membership.voters.filter { $0.id != host.memberID }
      .compactMap { info in shared.peers.activeSince(info.id).map { (since: $0, id: info.id) } }
      .min { $0.since < $1.since }
    guard let best else {
      return logger.info(
        host.membership.voters.count == 1
          ? "skipped leadership transfer for single voting member cluster"
          : "skipped leadership transfer; no other member is connected", fields)
    }
    let start = ContinuousClock.now
    let transferee = LogField("transferee-member-id", .string(best.id.hex))
    // checked: lists are joined
    logger.info("leadership transfer starting", fields + [transferee])
    host.post(.transferLeader(best.id))
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      // Looks ten times a heartbeat: a transfer takes a round trip or two.
      // checked: both are validated, at most 50,000 and above 0
      let rounds = 10 * (config.electionTimeout / config.heartbeatInterval + 1)
      loop.execute { look(host, rounds, done) }
    }
    let result = [
      LogField("local-member-id", own), transferee,
      LogField("took", .duration(ContinuousClock.now - start)),
    ]
    if host.status.leader == host.memberID {
      logger.warn("leadership transfer failed", result)
    } else {
      logger.info("leadership transfer finished", result)
    }
  }

  private func look(
    _ host: MemberHost, _ rounds: Int, _ done: CheckedContinuation<Void, Never>
  ) {
    let leader = host.status.leader
    guard rounds > 0, leader == host.memberID || leader == .none else { return done.resume() }
    loop.schedule(after: .milliseconds(config.heartbeatInterval) / 10) {
      look(host, rounds - 1, done)
    }
  }
}
