import Discovery
import EtcdConfig
import EventLoops
import Platform

/// Whom a v2 proxy asks first who the members are.
///
/// - Source: etcd `embed.Config.PeerURLsMapAndToken`, as `etcdmain.startProxy` calls it; `v2discovery.GetCluster`.
package enum ProxyPeers {
  /// Peer URLs of the initial cluster, which the DNS or a discovery service says where one is to; waits for its
  /// answers, and for all members to have entered.
  /// - Throws: `StartError` in etcd's words.
  package static func find(
    _ config: inout ServerConfig, _ logger: Logger
  ) throws(StartError) -> [String] {
    try ServiceCluster.complete(&config, logger, isMember: false)
    if !config.discoveryURL.isEmpty {
      do throws(DiscoveryFailure) {
        var search = Search(
          try V2Registry(url: config.discoveryURL, proxy: config.discoveryProxy), id: nobody,
          logger: logger, pause: Program.sleep)
        config.setInitialCluster(try search.cluster())
      } catch { throw StartError(error.description) }
    }
    if let problem = config.initialClusterProblem { throw StartError(problem) }
    return config.initialCluster.values.joined().sorted()
  }

  /// The id of who enters nothing.
  private static let nobody = "0"
}
