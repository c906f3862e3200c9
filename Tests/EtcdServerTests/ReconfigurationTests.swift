import EtcdAPI
import Membership
import Testing

@testable import EtcdServer

/// Which changes of the members a cluster is kept from (`--strict-reconfig-check`), as by etcd 3.5.30.
@Suite struct ReconfigurationTests {
  /// Voters 1 and up that are started, then some that never were, and a learner with the last id.
  private func check(
    _ started: Int, unstarted: Int = 0, learner: Bool = false, local: MemberID = 1
  ) -> Reconfiguration {
    let count = started + unstarted
    var members = (0..<count).map { number in
      MemberInfo(
        id: MemberID(UInt64(number + 1)), peerURLs: ["http://10.0.0.\(number + 1):2380"],
        name: number < started ? "m\(number + 1)" : "")
    }
    if learner {
      members.append(
        MemberInfo(
          id: MemberID(UInt64(count + 1)), peerURLs: ["http://10.0.1.1:2380"], isLearner: true))
    }
    return Reconfiguration(membership: Membership(members: members), localID: local)
  }

  /// Members count as connected but for the last `down` voters.
  private func connected(_ voters: Int, down: Int) -> Reconfiguration.Connected {
    { $0.rawValue <= UInt64(voters - down) }
  }

  private func refusal(_ body: () throws(EtcdError) -> Void) -> EtcdError? {
    do throws(EtcdError) { try body() } catch { return error }
    return nil
  }

  /// A member that is down is no reason as long as those that work are a quorum of what is to be, in which
  /// the new one counts as not working. Learners add nothing to the quorum, and ask for the same.
  @Test(
    arguments: [
      (1, 0, nil), (2, 0, nil), (2, 1, .unhealthyCluster),
      (3, 0, nil), (3, 1, .unhealthyCluster), (3, 2, .unhealthyCluster),
      (4, 0, nil), (4, 1, nil), (4, 2, .unhealthyCluster),
      (5, 0, nil), (5, 1, nil), (5, 2, .unhealthyCluster),
      (6, 2, nil), (7, 2, nil), (7, 3, .unhealthyCluster),
    ] as [(Int, Int, EtcdError?)])
  func addingNeedsAQuorumOfWhatIsToBe(_ voters: Int, down: Int, _ expected: EtcdError?) {
    for isLearner in [false, true] {
      let found = refusal { () throws(EtcdError) in
        try check(voters).checkAdd(
          isLearner: isLearner, connected: connected(voters, down: down))
      }
      #expect(found == expected, "\(voters) with \(down) down, learner: \(isLearner)")
    }
  }

  /// Members that were added and never started count for the quorum to be and cannot help to reach it.
  @Test(
    arguments: [
      // A cluster that grows from one member, as after a restore.
      (1, 0, nil), (1, 1, .notEnoughStarted), (2, 0, nil), (2, 1, .notEnoughStarted), (3, 1, nil),
      (3, 2, .notEnoughStarted), (4, 1, nil), (4, 2, nil), (5, 2, nil),
    ] as [(Int, Int, EtcdError?)])
  func addingAVoterNeedsStartedMembers(_ started: Int, unstarted: Int, _ expected: EtcdError?) {
    let found = refusal { () throws(EtcdError) in
      try check(started, unstarted: unstarted).checkAdd(isLearner: false) { _ in true }
    }
    #expect(found == expected)
    let learner = refusal { () throws(EtcdError) in
      try check(started, unstarted: unstarted).checkAdd(isLearner: true) { _ in true }
    }
    #expect(learner == nil)
  }

  /// A learner in the cluster is no voter: that it is down or was never started changes nothing.
  @Test func learnersDoNotCount() {
    for (voters, down, expected) in [
      (3, 0, nil), (3, 1, .unhealthyCluster), (4, 1, nil),
    ] as [(Int, Int, EtcdError?)] {
      let found = refusal { () throws(EtcdError) in
        try check(voters, learner: true).checkAdd(
          isLearner: false, connected: connected(voters, down: down))
      }
      #expect(found == expected)
    }
  }

  /// Removing takes a member from those that work, unless it is down itself.
  /// - Parameter removed: id; those of members that are down are the last ones.
  @Test(
    arguments: [
      (1, 0, 1, .notEnoughStarted), (2, 0, 2, nil), (2, 1, 2, nil), (2, 1, 1, .unhealthyCluster),
      (3, 0, 3, nil), (3, 1, 3, nil), (3, 1, 2, .unhealthyCluster), (3, 1, 1, .unhealthyCluster),
      (4, 0, 4, nil), (4, 1, 4, nil), (4, 1, 2, nil), (4, 2, 4, nil), (4, 2, 2, .unhealthyCluster),
      (5, 0, 5, nil), (5, 1, 2, nil), (5, 2, 5, nil), (5, 2, 2, .unhealthyCluster),
    ] as [(Int, Int, UInt64, EtcdError?)])
  func removingLeavesAQuorum(_ voters: Int, down: Int, _ removed: UInt64, _ expected: EtcdError?) {
    let isConnected = connected(voters, down: down)
    let id = MemberID(removed)
    let found = refusal { () throws(EtcdError) in
      try check(voters).checkRemove(id, isReachable: isConnected(id), connected: isConnected)
    }
    #expect(found == expected, "\(removed) of \(voters) with \(down) down")
  }

  /// Who is connected since a moment ago is reachable and not yet counted on.
  @Test func whoHasJustConnectedMayGoWhereAQuorumStays() {
    let connected = connected(5, down: 1)
    #expect(
      refusal { () throws(EtcdError) in
        try check(5).checkRemove(5, isReachable: true, connected: connected)
      } == nil)
    #expect(
      refusal { () throws(EtcdError) in
        try check(3).checkRemove(3, isReachable: true, connected: self.connected(3, down: 1))
      } == .unhealthyCluster)
    // The local member cannot reach itself by the network.
    #expect(
      refusal { () throws(EtcdError) in
        try check(3).checkRemove(1, isReachable: false, connected: self.connected(3, down: 1))
      } == .unhealthyCluster)
  }

  @Test func membersThatNeverStartedMayGoAndLearnersAlways() {
    // The started ones are a quorum of what is left.
    #expect(
      refusal { () throws(EtcdError) in
        try check(2, unstarted: 1).checkRemove(3, isReachable: false) { $0.rawValue < 3 }
      } == nil)
    #expect(
      refusal { () throws(EtcdError) in
        try check(2, unstarted: 2).checkRemove(2, isReachable: true) { $0.rawValue < 3 }
      } == .notEnoughStarted)
    #expect(
      refusal { () throws(EtcdError) in
        try check(3, learner: true).checkRemove(4, isReachable: true) { $0 == 1 }
      } == nil)
  }

  /// The learner counts as a started voter of what is to be.
  @Test(
    arguments: [
      (1, 0, nil), (1, 1, nil), (1, 2, .notEnoughStarted), (2, 1, nil), (3, 0, nil), (2, 2, nil),
      (2, 3, .notEnoughStarted),
    ] as [(Int, Int, EtcdError?)])
  func promotingNeedsStartedMembers(_ started: Int, unstarted: Int, _ expected: EtcdError?) {
    let found = refusal { () throws(EtcdError) in
      try check(started, unstarted: unstarted, learner: true).checkPromote()
    }
    #expect(found == expected)
  }
}
