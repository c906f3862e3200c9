import EtcdAPI

extension RaftCore {
  /// Puts a committed configuration change in force.
  /// - Throws: `RaftError.confChange` when it does not fit the configuration; nothing has changed.
  mutating func apply(_ change: Raftpb.ConfChangeV2) throws(RaftError) -> Raftpb.ConfState {
    var changer = ConfChanger(tracker, lastIndex: log.lastIndex)
    let result: ConfChanger.Result
    do {
      result = try changer.apply(change)
    } catch {
      throw .confChange(error)
    }
    return switchConfig(result.config, result.progress)
  }

  /// Uses a new configuration and does what follows: step down, commit by the new quorum, probe new
  /// members, give up a transfer to somebody who left.
  @discardableResult
  mutating func switchConfig(
    _ config: MemberConfig, _ progress: ProgressMap
  ) -> Raftpb.ConfState {
    tracker.config = config
    tracker.progress = progress
    logger.info("\(hex(id)) switched to configuration \(config)")
    let state = config.confState
    let own = progress[id]
    isLearner = own?.isLearner ?? false
    guard role == .leader else { return state }
    if own == nil || isLearner {
      if self.config.stepDownOnRemoval { becomeFollower(term: term, lead: RaftNodeID.none) }
      return state
    }
    if config.voters.incoming.isEmpty { return state }
    if commitByQuorum() {
      broadcastAppend()
    } else {
      for slot in tracker.progress.values.indices where tracker.progress.ids[slot] != id {
        sendAppend(slot: slot, sendIfEmpty: false)
      }
    }
    if leadTransferee != RaftNodeID.none && !config.voters.contains(leadTransferee) {
      leadTransferee = RaftNodeID.none
    }
    return state
  }

  /// Checks a proposed configuration change; one that cannot be allowed becomes an empty entry.
  ///
  /// The check is best effort: what counts is the configuration in force when the entry is applied.
  /// - Parameter offset: place of the entry in the proposal.
  mutating func admitConfChange(
    _ entry: inout Raftpb.Entry, offset: Int
  ) throws(RaftError) {
    guard let change = try entry.confChange() else { return }
    let isJoint = tracker.config.voters.isJoint
    var refusal: String?
    if pendingConfIndex > log.applied {
      refusal =
        "possible unapplied conf change at index \(pendingConfIndex) "
        + "(applied to \(log.applied))"
    } else if isJoint && !change.changes.isEmpty {
      refusal = "must transition out of joint config first"
    } else if !isJoint && change.changes.isEmpty {
      refusal = "not in joint state; refusing empty conf change"
    }
    if let refusal, !config.disableConfChangeValidation {
      logger.info(
        "\(hex(id)) ignoring conf change \(RaftText.describe(change)) at config "
          + "\(tracker.config): \(refusal)")
      entry = Raftpb.Entry()
    } else {
      pendingConfIndex = log.lastIndex + UInt64(offset) + 1
    }
  }
}
