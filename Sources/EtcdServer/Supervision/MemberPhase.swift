/// What a member is doing, in words for who supervises it.
public enum MemberPhase: Sendable, Equatable, CustomStringConvertible {
  /// Reading database and log.
  case reading
  /// Applying what the log holds, so many per cent of it.
  case replaying(Int)
  /// Waiting for a leader, and to be known to its cluster.
  case joining
  case leader
  /// So many entries are committed and not applied here yet.
  case follower(lag: UInt64)
  case learner(lag: UInt64)
  /// It served, and has lost its leader.
  case leaderless
  case stopping

  public var description: String {
    switch self {
    case .reading: "reading database and log"
    case .replaying(let percent): "replaying \(percent) %"
    case .joining: "joining"
    case .leader: "leader"
    case .follower(let lag): "follower at lag \(lag)"
    case .learner(let lag): "learner at lag \(lag)"
    case .leaderless: "without a leader"
    case .stopping: "stopping"
    }
  }
}

/// Finds the phase of a running member.
struct PhaseWatch: Sendable {
  /// Where the member was when it started, and what its log held: what lies between is replayed.
  let first: UInt64
  let last: UInt64

  /// - Parameters:
  ///   - isReady: whether clients are served.
  ///   - hasLeader: whether it knows one.
  func phase(
    applied: UInt64, committed: UInt64, isReady: Bool, hasLeader: Bool, isLeader: Bool,
    isLearner: Bool
  ) -> MemberPhase {
    if !isReady {
      guard applied < last, first < last else { return .joining }
      let done = Double(applied > first ? applied &- first : 0)
      return .replaying(Int(done * 100 / Double(last &- first)))  // checked: below 100, see above
    }
    guard hasLeader else { return .leaderless }
    if isLeader { return .leader }
    let lag = committed > applied ? committed &- applied : 0
    return isLearner ? .learner(lag: lag) : .follower(lag: lag)
  }
}
