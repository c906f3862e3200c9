import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import Membership

/// While its member leads, ends a downgrade that all members have made. Confined to the peers' loop.
///
/// - Source: etcd `monitorDowngrade`.
final class DowngradeMonitor: @unchecked Sendable {
  // @unchecked: confined to the member's loop.

  private let member: RunningMember
  private var timer: LoopTimer?
  private var isCancelling = false

  /// - Parameter member: of the peers' loop.
  init(member: RunningMember) { self.member = member }

  func start() {
    let interval = member.config.downgradeCheckInterval
    guard interval > .zero else { return }
    timer = member.loop.schedule(after: interval, repeating: interval) { [unowned self] in look() }
  }

  func stop() { timer?.cancel() }

  private func look() {
    let status = member.host.status
    let ownID = member.host.memberID
    guard status.leader == ownID, status.downgrade.isEnabled, !isCancelling else { return }
    let membership = member.host.membership
    var versions = member.peers.clusterVersions
    versions[ownID] = membership.clusterVersion
    let verdict = Self.isOver(status.downgrade, membership.sorted.map(\.id), versions)
    member.logger.log(verdict.lines)
    guard verdict.isOver else { return }
    member.logger.info(
      "the cluster has been downgraded",
      [LogField("cluster-version", .string(status.downgrade.target))])
    isCancelling = true
    DowngradeRequests(member: member).cancel { [weak self] result in
      guard let self else { return }
      isCancelling = false
      guard case .failure(let error) = result else { return }
      member.logger.warn("failed to cancel downgrade", [LogField("error", .error(error))])
    }
  }

  /// Whether every member counts itself to a cluster of the target version.
  /// - Parameter versions: cluster versions of the members that are known to.
  /// - Source: etcd `isMatchedVersions`.
  static func isOver(
    _ downgrade: Downgrade, _ members: [MemberID], _ versions: [MemberID: String]
  ) -> (isOver: Bool, lines: [CheckLine]) {
    guard let target = SemanticVersion(downgrade.target) else { return (false, []) }
    for id in members {
      guard let text = versions[id] else { return (false, []) }
      let name = LogField("remote-member-id", .string(id.hex))
      guard let version = SemanticVersion(text) else {
        let line = CheckLine(
          .warn, "failed to parse server version of remote member",
          [name, LogField("remote-member-version", .string(LogText.shortened(text)))])
        return (false, [line])
      }
      guard version == target else {
        let line = CheckLine(
          .warn, "remotes server has mismatching etcd version",
          [
            name, LogField("current-server-version", .string(version.description)),
            LogField("target-version", .string(target.description)),
          ])
        return (false, [line])
      }
    }
    return (true, [])
  }
}
