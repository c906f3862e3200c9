import EtcdAPI

/// The state of a member without its view of others.
public struct BasicStatus: Sendable, Hashable {
  /// This member.
  public var id: UInt64
  /// Term, vote and commit index.
  public var hardState: Raftpb.HardState
  /// Leader and role.
  public var softState: SoftState
  /// Last applied index.
  public var applied: UInt64
  /// Last index of the log.
  public var lastIndex: UInt64
  /// Whom the leader is handing over to, or 0.
  public var leadTransferee: UInt64
  /// Whether this member has no vote.
  public var isLearner: Bool
}

/// The state of a member and, on a leader, what it knows of all members.
public struct Status: Sendable, Hashable {
  /// The part without members.
  public var basic: BasicStatus
  /// The configuration in force.
  public var config: MemberConfig
  /// Empty unless this member leads.
  public var progress: ProgressMap
}

extension RawNode {
  /// The state without members; copies no collection.
  public var basicStatus: BasicStatus {
    BasicStatus(
      id: core.id, hardState: core.hardState,
      softState: SoftState(lead: core.lead, role: core.role), applied: core.log.applied,
      lastIndex: core.log.lastIndex, leadTransferee: core.leadTransferee,
      isLearner: core.isLearner)
  }

  /// The whole state.
  public var status: Status {
    Status(
      basic: basicStatus, config: core.tracker.config,
      progress: core.role == .leader ? core.tracker.progress : ProgressMap())
  }
}
