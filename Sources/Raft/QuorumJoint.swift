/// Two majorities that must both agree while the membership changes; `outgoing` is empty otherwise.
///
/// - Source: Raft thesis §4.3; etcd-io/raft `quorum.JointConfig`.
public struct JointQuorum: Sendable, Hashable, CustomStringConvertible {
  /// The voters of the configuration being entered, or the only ones.
  public var incoming: NodeSet
  /// The voters of the configuration being left.
  public var outgoing: NodeSet

  /// A quorum of one or two majorities.
  public init(incoming: NodeSet = NodeSet(), outgoing: NodeSet = NodeSet()) {
    self.incoming = incoming
    self.outgoing = outgoing
  }

  /// All voters.
  public var ids: NodeSet { incoming.union(outgoing) }

  /// Whether two configurations are in force.
  public var isJoint: Bool { !outgoing.isEmpty }

  /// Whether the id votes in either half.
  public func contains(_ id: UInt64) -> Bool { incoming.contains(id) || outgoing.contains(id) }

  /// The highest index that both majorities acknowledged.
  func committedIndex(_ acknowledged: (UInt64) -> UInt64?) -> UInt64 {
    min(incoming.committedIndex(acknowledged), outgoing.committedIndex(acknowledged))
  }

  /// Won when both halves won, lost when either is lost.
  func voteResult(_ vote: (UInt64) -> Bool?) -> VoteResult {
    let (a, b) = (incoming.voteResult(vote), outgoing.voteResult(vote))
    if a == b { return a }
    return a == .lost || b == .lost ? .lost : .pending
  }

  public var description: String {
    isJoint ? "\(incoming)&&\(outgoing)" : incoming.description
  }
}
