/// The active configuration with the leader's knowledge of each member, and the votes of an
/// election.
///
/// - Source: etcd-io/raft `tracker.ProgressTracker`.
struct ProgressTracker: Sendable {
  var config = MemberConfig()
  var progress = ProgressMap()
  private(set) var votes: [UInt64: Bool] = [:]
  /// The empty window each member starts with.
  let emptyInflights: Inflights

  init(maxInflight: Int, maxInflightBytes: UInt64) {
    emptyInflights = Inflights(limit: maxInflight, byteLimit: maxInflightBytes)
  }

  /// Whether the incoming majority is one member and nothing is joint.
  var isSingleton: Bool { config.voters.incoming.count == 1 && !config.voters.isJoint }

  /// The highest index on a quorum of logs.
  var committed: UInt64 {
    config.voters.committedIndex { id in
      progress.slot(of: id).map { progress.values[$0].match }
    }
  }

  /// Whether a quorum was heard of since the last check.
  var isQuorumActive: Bool {
    config.voters.voteResult { id in
      progress.slot(of: id).flatMap { slot in
        let member = progress.values[slot]
        return member.isLearner ? nil : member.recentActive
      }
    } == .won
  }

  mutating func resetVotes() { votes.removeAll(keepingCapacity: true) }

  /// Counts a member's first vote.
  mutating func recordVote(_ id: UInt64, granted: Bool) {
    if votes[id] == nil { votes[id] = granted }
  }

  /// Votes of present voters, and what they come to.
  func tally() -> (granted: Int, rejected: Int, result: VoteResult) {
    var granted = 0
    var rejected = 0
    for (id, member) in zip(progress.ids, progress.values) where !member.isLearner {
      switch votes[id] {
      case true?: granted += 1
      case false?: rejected += 1
      case nil: break
      }
    }
    return (granted, rejected, config.voters.voteResult { votes[$0] })
  }
}
