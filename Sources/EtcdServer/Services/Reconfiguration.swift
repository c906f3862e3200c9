import EtcdAPI
import Membership

/// Whether a change of the members would leave the cluster able to work. Pure.
///
/// - Source: etcd 3.5.30 `membership/cluster.go` IsReadyTo…, `server.go` mayAddMember and others.
struct Reconfiguration {
  /// Whether a member is connected long enough to count on it; the local member always is.
  typealias Connected = (MemberID) -> Bool

  let membership: Membership
  let localID: MemberID

  private var started: Int { membership.voters.count { !$0.name.isEmpty } }

  /// - Throws: `notEnoughStarted`, `unhealthyCluster`.
  func checkAdd(isLearner: Bool, connected: Connected) throws(EtcdError) {
    let voters = membership.voters
    if !isLearner {
      let after = voters.count + 1
      // A single started member may always grow: how a cluster is restored from one member.
      let grows = started == 1 && after == 2
      guard grows || started >= after / 2 + 1 else { throw .notEnoughStarted }
    }
    // A member that is down takes nothing away as long as those that work are a quorum of what is to
    // be; the new one counts as not working.
    guard voters.count > 1 else { return }
    let active = voters.count { connected($0.id) }
    guard active >= (voters.count + 1) / 2 + 1 else { throw .unhealthyCluster }
  }

  /// - Parameter isReachable: whether the member to remove is connected at all.
  func checkRemove(
    _ id: MemberID, isReachable: Bool, connected: Connected
  ) throws(EtcdError) {
    if membership.members[id]?.isLearner == true { return }
    let left = membership.voters.filter { $0.id != id }
    guard left.count(where: { !$0.name.isEmpty }) >= left.count / 2 + 1 else {
      throw .notEnoughStarted
    }
    // A member that is down takes nothing away from the active quorum.
    if id != localID, !isReachable { return }
    let voters = membership.voters
    let active = voters.count { connected($0.id) }
    guard active - 1 >= 1 + (voters.count - 1) / 2 else { throw .unhealthyCluster }
  }

  func checkPromote() throws(EtcdError) {
    // The learner counts as a started voter of the quorum to be.
    let after = membership.voters.count + 1
    guard started + 1 >= after / 2 + 1 else { throw .notEnoughStarted }
  }
}
