import EtcdConfig
import EventLoops
import Membership

/// Whether a server of this version may be part of its cluster.
///
/// - Source: etcd `mustDetectDowngrade`.
enum VersionCheck {
  enum Verdict: Sendable {
    case fits
    /// A downgrade is under way, and this server is what it leads to.
    case downgrading(CheckLine)
    /// The member must not go on.
    case refused(CheckLine)
  }

  /// - Parameters:
  ///   - server: version of this server.
  ///   - cluster: version of the cluster; `nil` while none is decided.
  static func verdict(server: String, cluster: String?, _ downgrade: Downgrade) -> Verdict {
    guard let own = SemanticVersion(server)?.cluster else { return .fits }
    let current = LogField("current-server-version", .string(server))
    let determined = cluster.map {
      LogField("determined-cluster-version", .string(ServerVersion.majorMinor($0)))
    }
    if downgrade.isEnabled {
      let target = LogField("target-cluster-version", .string(downgrade.target))
      guard SemanticVersion(downgrade.target)?.cluster == own else {
        return .refused(
          CheckLine(
            .fatal,
            "invalid downgrade; server version is not allowed to join when downgrade is enabled",
            [current, target]))
      }
      guard let determined else { return .fits }
      return .downgrading(
        CheckLine(
          .info, "cluster is downgrading to target version", [target, determined, current]))
    }
    guard let cluster, let version = SemanticVersion(cluster), own < version, let determined else {
      return .fits
    }
    return .refused(
      CheckLine(
        .fatal, "invalid downgrade; server version is lower than determined cluster version",
        [current, determined]))
  }

  /// Says what there is to say, and ends the process where the member must not go on.
  static func enforce(cluster: String?, _ downgrade: Downgrade, _ logger: Logger) {
    switch verdict(server: ServerVersion.etcd, cluster: cluster, downgrade) {
    case .fits: break
    case .downgrading(let line): logger.log([line])
    case .refused(let line): logger.fatal(line.message, line.fields)
    }
  }
}
