import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import Membership

/// Changes of the members. On the member's loop.
extension RunningMember {
  typealias MembersHandler = (Result<[MemberInfo], EtcdError>, _ term: Term) -> Void

  /// Time that a member must have been connected to count as healthy.
  /// - Source: etcd `HealthInterval`.
  private static let healthInterval: Duration = .seconds(5)

  /// Whether the member can be counted on; this one always.
  func isConnected(_ id: MemberID) -> Bool {
    if id == host.memberID { return true }
    guard let since = peers.activeSince(id) else { return false }
    return loop.now >= since &+ Self.healthInterval.nanoseconds
  }

  /// Runs a check unless the operator switched the checks off.
  func checkReconfiguration(
    _ body: (Reconfiguration) throws(EtcdError) -> Void
  ) throws(EtcdError) {
    guard config.strictReconfigCheck else { return }
    try body(Reconfiguration(membership: host.membership, localID: host.memberID))
  }

  /// Adds a member unless the cluster would lose its quorum by it.
  func addMember(_ info: MemberInfo, _ done: @escaping MembersHandler) {
    do throws(EtcdError) {
      try checkReconfiguration { (check) throws(EtcdError) in
        try check.checkAdd(isLearner: info.isLearner) { isConnected($0) }
      }
    } catch { return done(.failure(error), host.status.term) }
    change(
      Raftpb.ConfChange(
        type: info.isLearner ? .addLearnerNode : .addNode, nodeID: info.id.rawValue,
        context: info.json(isPromote: false)),
      done)
  }

  /// Removes a member unless the cluster would lose its quorum by it.
  func removeMember(_ id: MemberID, _ done: @escaping MembersHandler) {
    do throws(EtcdError) {
      try checkReconfiguration { (check) throws(EtcdError) in
        try check.checkRemove(id, isReachable: peers.activeSince(id) != nil) { isConnected($0) }
      }
    } catch { return done(.failure(error), host.status.term) }
    change(Raftpb.ConfChange(type: .removeNode, nodeID: id.rawValue), done)
  }

  /// Gives a member other peer URLs.
  func updateMember(_ id: MemberID, peerURLs: [String], _ done: @escaping MembersHandler) {
    // Go etcd leaves this out of its changes, and a learner becomes a voter by name only.
    let info = MemberInfo(
      id: id, peerURLs: peerURLs, isLearner: host.membership.members[id]?.isLearner ?? false)
    change(
      Raftpb.ConfChange(type: .updateNode, nodeID: info.id.rawValue, context: info.json()), done)
  }

  /// Puts a change into the log; `done` is called on the loop when it was applied or refused.
  func change(_ change: Raftpb.ConfChange, _ done: @escaping MembersHandler) {
    requests.change(change, done)
  }

  /// Makes a learner a voter. Only the leader knows whether it is ready; others ask the leader.
  func promote(_ id: MemberID, mayForward: Bool, _ done: @escaping MembersHandler) {
    guard host.status.leader == host.memberID else {
      let leader = host.status.leader
      guard mayForward, leader != .none, let info = host.membership.members[leader] else {
        return done(.failure(mayForward ? .noLeader : .notLeader), host.status.term)
      }
      return peers.promote(id, at: info, answerOn: loop) { result in
        done(result, self.host.status.term)
      }
    }
    let counted: MembersHandler = { [requests = metrics.requests] result, term in
      switch result {
      case .success: requests.learnersPromoted.add()
      case .failure(let error): requests.promotionFailed(error.message)
      }
      done(result, term)
    }
    requests.checkLearner(id) { result, term in
      if case .failure(let error) = result { return counted(.failure(error), term) }
      self.promoteReady(id, counted)
    }
  }

  private func promoteReady(_ id: MemberID, _ done: @escaping MembersHandler) {
    do throws(EtcdError) {
      try checkReconfiguration { (check) throws(EtcdError) in try check.checkPromote() }
    } catch { return done(.failure(error), host.status.term) }
    let info = MemberInfo(id: id, peerURLs: [])
    change(
      Raftpb.ConfChange(type: .addNode, nodeID: id.rawValue, context: info.json(isPromote: true)),
      done)
  }
}
