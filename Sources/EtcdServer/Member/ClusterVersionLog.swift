import EtcdAPI
import EtcdConfig
import EventLoops
import Membership
import Synchronization

/// Lines about the version that a cluster agreed on; tools wait for them. Any thread.
///
/// - Source: etcd `membership.RaftCluster.SetVersion`, `api.UpdateCapability`.
final class ClusterVersionLog: Sendable {
  private let logger: Logger
  private let known = Mutex<String?>(nil)
  private let announced = Atomic(false)

  private let registry: MetricsRegistry

  init(_ logger: Logger, _ registry: MetricsRegistry) {
    self.logger = logger
    self.registry = registry
  }

  /// Whether the log has told of a version.
  var isAnnounced: Bool { announced.load(ordering: .acquiring) }

  /// Tells what the member's own data says at start.
  func begin(_ host: MemberHost) {
    guard let version = host.membership.clusterVersion else { return }
    known.withLock { $0 = version }
    logger.info(
      "set cluster version from store",
      [LogField("cluster-version", .string(ServerVersion.majorMinor(version)))])
    enabled(version)
  }

  /// Tells what a snapshot brought, which comes without a notice.
  func catchUp(_ host: MemberHost) {
    guard let version = host.membership.clusterVersion else { return }
    changed(to: version, host)
  }

  /// Tells what the log brought; once for each version, whoever notices first.
  func changed(to version: String, _ host: MemberHost) {
    let before = known.withLock { known in
      defer { known = version }
      return known
    }
    guard before != version else { return }
    if let before { show(before, 0) }
    var fields = [
      LogField("cluster-id", .string(String(host.clusterID, radix: 16))),
      LogField("local-member-id", .string(host.memberID.hex)),
    ]
    if let before {
      fields.append(LogField("from", .string(ServerVersion.majorMinor(before))))
      fields.append(LogField("to", .string(ServerVersion.majorMinor(version))))
      logger.info("updated cluster version", fields)
    } else {
      fields.append(LogField("cluster-version", .string(ServerVersion.majorMinor(version))))
      logger.info("set initial cluster version", fields)
    }
    enabled(version)
  }

  private func show(_ version: String, _ value: Int) {
    registry.gauge(
      "etcd_cluster_version",
      "Which version is running. 1 for 'cluster_version' label with current cluster version",
      ["cluster_version": ServerVersion.majorMinor(version)]
    ).set(value)
  }

  private func enabled(_ version: String) {
    show(version, 1)
    logger.info(
      "enabled capabilities for version",
      [LogField("cluster-version", .string(ServerVersion.majorMinor(version)))])
    announced.store(true, ordering: .releasing)
  }
}
