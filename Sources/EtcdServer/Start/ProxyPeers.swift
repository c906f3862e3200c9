import EtcdConfig
import EventLoops

/// Whom a v2 proxy asks first who the members are.
///
/// - Source: etcd `embed.Config.PeerURLsMapAndToken`, as `etcdmain.startProxy` calls it.
package enum ProxyPeers {
  /// Peer URLs of the initial cluster, which the DNS or a discovery service says where it is to; waits for their
  /// answers.
  /// - Throws: `StartError` in etcd's words.
  package static func find(
    _ config: inout ServerConfig, _ logger: Logger
  ) throws(StartError) -> [String] {
    try ServiceCluster.complete(&config, logger, isMember: false)
    try DiscoveredCluster.completeForProxy(&config, logger)
    if let problem = config.initialClusterProblem { throw StartError(problem) }
    return config.initialCluster.values.joined().sorted()
  }
}
