import EtcdAPI

/// Computes the configuration that follows from a change, and refuses unsafe ones.
///
/// - Source: Raft thesis §4.3; etcd-io/raft `confchange.Changer`.
struct ConfChanger {
  typealias Changes = [Raftpb.ConfChangeSingle]
  typealias Result = (config: MemberConfig, progress: ProgressMap)

  private(set) var config: MemberConfig
  private(set) var progress: ProgressMap
  /// Where probing of an added member starts.
  let lastIndex: UInt64
  let emptyInflights: Inflights

  init(_ tracker: ProgressTracker, lastIndex: UInt64) {
    config = tracker.config
    progress = tracker.progress
    self.lastIndex = lastIndex
    emptyInflights = tracker.emptyInflights
  }

  /// Makes the voters the outgoing half of a joint configuration and applies the changes to the
  /// incoming half: `(1 2 3)` becomes `(changed)&&(1 2 3)`.
  mutating func enterJoint(autoLeave: Bool, _ changes: Changes) throws(ConfChangeError) -> Result {
    try checkInvariants()
    if config.voters.isJoint { throw ConfChangeError("config is already joint") }
    if config.voters.incoming.isEmpty {
      throw ConfChangeError("can't make a zero-voter config joint")
    }
    config.voters.outgoing = config.voters.incoming
    try apply(changes)
    config.autoLeave = autoLeave
    return try checked()
  }

  /// Drops the outgoing half; staged learners become learners, and members in neither half go.
  mutating func leaveJoint() throws(ConfChangeError) -> Result {
    try checkInvariants()
    if !config.voters.isJoint { throw ConfChangeError("can't leave a non-joint config") }
    for id in config.learnersNext {
      config.learners.insert(id)
      progress[id]?.isLearner = true
    }
    config.learnersNext = NodeSet()
    for id in config.voters.outgoing
    where !config.voters.incoming.contains(id) && !config.learners.contains(id) {
      progress[id] = nil
    }
    config.voters.outgoing = NodeSet()
    config.autoLeave = false
    return try checked()
  }

  /// Applies changes that together alter at most one voter; any two majorities then overlap.
  mutating func simple(_ changes: Changes) throws(ConfChangeError) -> Result {
    try checkInvariants()
    if config.voters.isJoint {
      throw ConfChangeError("can't apply simple config change in joint config")
    }
    let before = config.voters.incoming
    try apply(changes)
    let after = config.voters.incoming
    let changed =
      before.count { !after.contains($0) } + after.count { !before.contains($0) }
    if changed > 1 {
      throw ConfChangeError("more than one voter changed without entering joint config")
    }
    return try checked()
  }

  /// Applies a change of any kind.
  mutating func apply(_ change: Raftpb.ConfChangeV2) throws(ConfChangeError) -> Result {
    if change.leavesJoint { return try leaveJoint() }
    switch try change.jointAutoLeave() {
    case let autoLeave?: return try enterJoint(autoLeave: autoLeave, change.changes)
    case nil: return try simple(change.changes)
    }
  }

  private mutating func apply(_ changes: Changes) throws(ConfChangeError) {
    // A change without a member is one the application decided not to apply.
    for change in changes where change.nodeID != 0 {
      switch change.type {
      case .addNode: makeVoter(change.nodeID)
      case .addLearnerNode: makeLearner(change.nodeID)
      case .removeNode: remove(change.nodeID)
      case .updateNode: break
      case .unrecognized(let value): throw ConfChangeError("unexpected conf type \(value)")
      }
    }
    if config.voters.incoming.isEmpty { throw ConfChangeError("removed all voters") }
  }

  private mutating func makeVoter(_ id: UInt64) {
    guard progress[id] != nil else {
      config.voters.incoming.insert(id)
      track(id, isLearner: false)
      return
    }
    progress[id]?.isLearner = false
    config.learners.remove(id)
    config.learnersNext.remove(id)
    config.voters.incoming.insert(id)
  }

  /// Adds a learner, or demotes a voter. An outgoing voter is only staged: it must not be voter and
  /// learner at once.
  private mutating func makeLearner(_ id: UInt64) {
    guard let present = progress[id] else {
      config.learners.insert(id)
      track(id, isLearner: true)
      return
    }
    if present.isLearner { return }
    remove(id)
    progress[id] = present
    if config.voters.outgoing.contains(id) {
      config.learnersNext.insert(id)
    } else {
      progress[id]?.isLearner = true
      config.learners.insert(id)
    }
  }

  private mutating func remove(_ id: UInt64) {
    guard progress[id] != nil else { return }
    config.voters.incoming.remove(id)
    config.learners.remove(id)
    config.learnersNext.remove(id)
    if !config.voters.outgoing.contains(id) { progress[id] = nil }
  }

  /// A new member counts as active, or the next quorum check might fail before it could speak.
  private mutating func track(_ id: UInt64, isLearner: Bool) {
    progress[id] = Progress(
      next: max(lastIndex, 1), inflights: emptyInflights, isLearner: isLearner, recentActive: true)
  }

  private func checked() throws(ConfChangeError) -> Result {
    try checkInvariants()
    return (config, progress)
  }

  private func checkInvariants() throws(ConfChangeError) {
    for ids in [config.voters.ids, config.learners, config.learnersNext] {
      for id in ids where progress[id] == nil { throw ConfChangeError("no progress for \(id)") }
    }
    for id in config.learnersNext {
      if !config.voters.outgoing.contains(id) {
        throw ConfChangeError("\(id) is in LearnersNext, but not Voters[1]")
      }
      if progress[id]?.isLearner == true {
        throw ConfChangeError("\(id) is in LearnersNext, but is already marked as learner")
      }
    }
    for id in config.learners {
      if config.voters.outgoing.contains(id) {
        throw ConfChangeError("\(id) is in Learners and Voters[1]")
      }
      if config.voters.incoming.contains(id) {
        throw ConfChangeError("\(id) is in Learners and Voters[0]")
      }
      if progress[id]?.isLearner != true {
        throw ConfChangeError("\(id) is in Learners, but is not marked as learner")
      }
    }
    if config.voters.isJoint { return }
    if !config.learnersNext.isEmpty {
      throw ConfChangeError("cfg.LearnersNext must be nil when not joint")
    }
    if config.autoLeave { throw ConfChangeError("AutoLeave must be false when not joint") }
  }
}
