import EtcdAPI

/// Who takes part, and how.
///
/// - Shape: learners are disjoint from all voters; `learnersNext` are outgoing voters that become
///   learners when the joint configuration is left.
/// - Source: etcd-io/raft `tracker.Config`.
public struct MemberConfig: Sendable, Hashable, CustomStringConvertible {
  /// Who elects and commits.
  public var voters = JointQuorum()
  /// Whether the leader leaves a joint configuration by itself as soon as it is applied.
  public var autoLeave = false
  /// Who receives the log without a vote.
  public var learners = NodeSet()
  /// Outgoing voters that become learners when the joint configuration is left.
  public var learnersNext = NodeSet()

  /// Nobody.
  public init() {}

  /// The same as it is put into snapshots.
  public var confState: Raftpb.ConfState {
    Raftpb.ConfState(
      voters: voters.incoming.sorted, learners: learners.sorted,
      votersOutgoing: voters.outgoing.sorted, learnersNext: learnersNext.sorted,
      autoLeave: autoLeave)
  }

  public var description: String {
    var text = "voters=\(voters)"
    if !learners.isEmpty { text += " learners=\(learners)" }
    if !learnersNext.isEmpty { text += " learners_next=\(learnersNext)" }
    if autoLeave { text += " autoleave" }
    return text
  }
}

extension Raftpb.ConfState {
  /// Whether both name the same members, in whatever order.
  func isEquivalent(to other: Self) -> Bool {
    voters.sorted() == other.voters.sorted() && learners.sorted() == other.learners.sorted()
      && votersOutgoing.sorted() == other.votersOutgoing.sorted()
      && learnersNext.sorted() == other.learnersNext.sorted() && autoLeave == other.autoLeave
  }
}
