import EtcdAPI

extension ConfChanger {
  /// Builds the configuration that a `ConfState` describes, starting from an empty one.
  ///
  /// A joint state `(1 2 3)&&(1 2 4)` is reached by making 1, 2, 4 voters one by one and entering a
  /// joint configuration with changes that remove them and add 1, 2, 3.
  mutating func restore(_ state: Raftpb.ConfState) throws(ConfChangeError) -> Result {
    func change(
      _ type: Raftpb.ConfChangeType, _ ids: [UInt64]
    ) -> [Raftpb.ConfChangeSingle] {
      ids.map { Raftpb.ConfChangeSingle(type: type, nodeID: $0) }
    }
    let outgoing = change(.addNode, state.votersOutgoing)
    let incoming =
      change(.removeNode, state.votersOutgoing) + change(.addNode, state.voters)
      + change(.addLearnerNode, state.learners) + change(.addLearnerNode, state.learnersNext)
    for single in outgoing.isEmpty ? incoming : outgoing { _ = try simple([single]) }
    if !outgoing.isEmpty { _ = try enterJoint(autoLeave: state.autoLeave, incoming) }
    guard config.confState.isEquivalent(to: state) else {
      throw ConfChangeError(
        "ConfStates not equivalent after sorting: \(config.confState) and \(state)")
    }
    return (config, progress)
  }
}
