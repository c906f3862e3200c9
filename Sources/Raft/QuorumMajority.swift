/// What a vote came to so far.
public enum VoteResult: Sendable, Hashable, CustomStringConvertible {
  /// Neither side has a quorum yet.
  case pending
  /// A quorum can no longer be reached.
  case lost
  /// A quorum agreed.
  case won

  public var description: String {
    switch self {
    case .pending: "VotePending"
    case .lost: "VoteLost"
    case .won: "VoteWon"
    }
  }
}

/// Decisions by the majority of a set of members. The empty set agrees to everything, which makes a
/// joint quorum with an empty half behave as its other half.
///
/// - Source: Raft thesis §3.3; etcd-io/raft `quorum.MajorityConfig`.
extension NodeSet {
  /// How many members make a majority.
  var majority: Int { count / 2 + 1 }

  /// The highest index that a majority acknowledged; `UInt64.max` for the empty set.
  ///
  /// - Parameter acknowledged: a member's index, `nil` when nothing was heard of it.
  /// - Complexity: O(n²) for n members, without an allocation.
  func committedIndex(_ acknowledged: (UInt64) -> UInt64?) -> UInt64 {
    guard !isEmpty else { return .max }
    // A scratch buffer on the stack: this runs for every acknowledgement a leader receives.
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count) { sorted in
      for filled in 0..<count {
        let value = acknowledged(self[filled]) ?? 0
        var at = filled
        while at > 0 && sorted[at - 1] < value {
          sorted.initializeElement(at: at, to: sorted[at - 1])
          at -= 1
        }
        sorted.initializeElement(at: at, to: value)
      }
      return sorted[majority - 1]
    }
  }

  /// What votes came to; a member without an entry has not voted.
  func voteResult(_ vote: (UInt64) -> Bool?) -> VoteResult {
    guard !isEmpty else { return .won }
    var granted = 0
    var missing = 0
    for id in self {
      switch vote(id) {
      case true?: granted += 1
      case false?: break
      case nil: missing += 1
      }
    }
    if granted >= majority { return .won }
    return granted + missing >= majority ? .pending : .lost
  }
}
