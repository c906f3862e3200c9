import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import MemberStorage
import Membership

/// What the log tells while a member starts; tools and people look for these lines.
///
/// - Source: etcd `embed.print`, `etcdserver.NewServer`.
struct StartLines {
  let config: ServerConfig
  let logger: Logger

  /// What the member was told, in one line.
  func settings() {
    logger.info(
      "starting an etcd server",
      [
        LogField("etcd-version", .string(ServerVersion.etcd)),
        LogField("name", .string(config.name)),
        LogField("data-dir", .string(config.dataDirectory)),
        LogField("wal-dir", .string(config.walDirectory)),
        LogField("force-new-cluster", .bool(config.forceNewCluster)),
        LogField("heartbeat-interval", .duration(.milliseconds(config.heartbeatInterval))),
        LogField("election-timeout", .duration(.milliseconds(config.electionTimeout))),
        LogField("snapshot-count", .uint(config.snapshotCount)),
        LogField("initial-advertise-peer-urls", .strings(config.initialAdvertisePeerURLs)),
        LogField("advertise-client-urls", .strings(config.advertiseClientURLs)),
        LogField("cors", .strings(config.corsOrigins)),
        LogField("host-whitelist", .strings(config.hostWhitelist)),
        LogField("initial-cluster", .string(config.initialClusterText)),
        LogField("initial-cluster-state", .string(config.isNewCluster ? "new" : "existing")),
        LogField("initial-cluster-token", .string(config.initialClusterToken)),
        LogField("quota-size-bytes", .int(config.quota ?? 0)),
        LogField("pre-vote", .bool(config.preVote)),
      ])
  }

  func identity(_ boot: borrowing Bootstrap.Result) {
    let member = boot.opened.memberID.hex
    if !boot.isNew {
      logger.info(
        "server has been already initialized",
        [LogField("data-dir", .string(config.dataDirectory)), LogField("dir-type", "member")])
    }
    logger.info(
      boot.isNew ? "starting local member" : "restarting local member",
      [
        LogField("cluster-id", .string(String(boot.opened.clusterID, radix: 16))),
        LogField("local-member-id", .string(member)),
        LogField("consistent-index", .uint(boot.opened.consistentIndex.rawValue)),
      ])
    logger.info(
      "starting etcd server",
      [
        LogField("local-member-id", .string(member)),
        LogField("local-server-version", .string(ServerVersion.etcd)),
        LogField(
          "cluster-version", .string(boot.core.membership.clusterVersion ?? "to_be_decided")),
      ])
  }
}
