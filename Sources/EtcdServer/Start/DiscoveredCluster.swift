import Discovery
import EtcdAPI
import EtcdConfig
import EventLoops
import GoText
import MemberStorage
import Membership
import Platform

/// The first members of a cluster, as a discovery service gathers them.
///
/// - Source: etcd `etcdserver.NewServer`, `embed.Config.PeerURLsMapAndToken`.
enum DiscoveredCluster {
  /// Fills in who founds the cluster, when a service is to say it; waits for the others.
  /// - Throws: `StartError` in etcd's words.
  static func complete(_ config: inout ServerConfig, _ logger: Logger) throws(StartError) {
    guard !config.discoveryURL.isEmpty else { return }
    let own = config.initialAdvertisePeerURLs.sorted().map { "\(config.name)=\($0)" }
      .joined(separator: ",")
    config.setInitialCluster(own)
    config.initialClusterToken = config.discoveryURL
    // Who joins a cluster that runs finds no place in the service.
    guard config.isNewCluster else { return }
    if let problem = config.bootstrapProblem(resolve: HostLookup.numeric) {
      throw StartError(problem)
    }
    let id = Identity.memberID(
      peerURLs: config.initialAdvertisePeerURLs.sorted(), token: config.discoveryURL)
    let found: String
    do throws(DiscoveryFailure) {
      var search = try search(id.hex, config, logger)
      found = try search.join(own)
    } catch { throw failure(error) }
    config.setInitialCluster(found)
    let all = config.initialCluster.values.joined()
    guard Set(all).count == all.count else {
      throw StartError("discovery cluster \(config.initialClusterText) has duplicate url")
    }
  }

  /// Fills in who founded the cluster, or will, for somebody who is not a member of it; waits for them.
  /// - Throws: `StartError` in etcd's words.
  static func completeForProxy(
    _ config: inout ServerConfig, _ logger: Logger
  ) throws(StartError) {
    guard !config.discoveryURL.isEmpty else { return }
    do throws(DiscoveryFailure) {
      var search = try search(MemberID(0).hex, config, logger)
      config.setInitialCluster(try search.cluster())
    } catch { throw StartError(error.description) }
  }

  private static func search(
    _ id: String, _ config: ServerConfig, _ logger: Logger
  ) throws(DiscoveryFailure) -> Search {
    if !config.discoveryProxy.isEmpty {
      logger.info(
        "running proxy with discovery", [LogField("proxy-url", .string(config.discoveryProxy))])
    }
    return Search(
      try V2Registry(url: config.discoveryURL, proxy: config.discoveryProxy), id: id,
      logger: logger, pause: Program.sleep)
  }

  private static func failure(_ failure: DiscoveryFailure) -> StartError {
    let kind: StartError.Discovery =
      switch failure {
      case .full: .full
      case .duplicateID: .duplicateID
      case .duplicateName: .duplicateName
      default: .other
      }
    return StartError("failed to join discovery cluster (\(failure))", discovery: kind)
  }

  /// A member that has data needs no service.
  static func tellIgnored(_ config: ServerConfig, _ logger: Logger) {
    guard !config.discoveryURL.isEmpty else { return }
    logger.warn(
      "discovery token is ignored since cluster already initialized; valid logs are found",
      [LogField("wal-dir", .string(config.walDirectory))])
  }
}
