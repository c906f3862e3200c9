import Discovery
import EtcdAPI
import EtcdClient
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
    guard let token = token(config) else { return }
    let own = config.initialAdvertisePeerURLs.sorted().map { "\(config.name)=\($0)" }
      .joined(separator: ",")
    config.setInitialCluster(own)
    config.initialClusterToken = token
    // Who joins a cluster that runs finds no place in the service.
    guard config.isNewCluster else { return }
    if let problem = config.bootstrapProblem(resolve: HostLookup.numeric) {
      throw StartError(problem)
    }
    let id = Identity.memberID(
      peerURLs: config.initialAdvertisePeerURLs.sorted(), token: token)
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
    guard token(config) != nil else { return }
    do throws(DiscoveryFailure) {
      var search = try search(MemberID(0).hex, config, logger)
      config.setInitialCluster(try search.cluster())
    } catch { throw StartError(error.description) }
  }

  private static func search(
    _ id: String, _ config: ServerConfig, _ logger: Logger
  ) throws(DiscoveryFailure) -> Search {
    if !config.registry.endpoints.isEmpty {
      return Search(
        try V3Registry(try client(config.registry), token: config.registry.token), id: id,
        logger: logger, pause: Program.sleep)
    }
    if !config.discoveryProxy.isEmpty {
      logger.info(
        "running proxy with discovery", [LogField("proxy-url", .string(config.discoveryProxy))])
    }
    return Search(
      try V2Registry(url: config.discoveryURL, proxy: config.discoveryProxy), id: id,
      logger: logger, pause: Program.sleep)
  }

  /// What names the cluster until it has members; `nil` when it is not to be discovered.
  private static func token(_ config: ServerConfig) -> String? {
    if !config.registry.endpoints.isEmpty { return config.registry.token }
    return config.discoveryURL.isEmpty ? nil : config.discoveryURL
  }

  /// - Throws: when a user has no password: nobody is there to be asked.
  private static func client(
    _ access: RegistryAccess
  ) throws(DiscoveryFailure) -> EtcdClientConfiguration {
    var configuration = EtcdClientConfiguration(
      endpoints: access.endpoints, dialTimeout: access.dialTimeout,
      requestTimeout: access.requestTimeout, keepaliveInterval: access.keepaliveTime,
      keepaliveTimeout: access.keepaliveTimeout)
    let files = [
      access.certificateFile, access.keyFile, access.trustedCAFile, access.serverName,
    ]
    if !access.isTransportInsecure || access.skipsVerification
      || files.contains(where: { !$0.isEmpty })
    {
      configuration.tls = .init(
        certificateFile: access.certificateFile, keyFile: access.keyFile,
        trustedCAFile: access.trustedCAFile, serverName: access.serverName,
        insecureSkipVerify: access.skipsVerification)
    }
    guard !access.user.isEmpty else { return configuration }
    let parts = access.user.split(separator: ":", maxSplits: 1).map(String.init)
    let password = access.password.isEmpty ? parts.dropFirst().first ?? "" : access.password
    guard !password.isEmpty else {
      throw .other("--discovery-user has no password: write name:password or --discovery-password")
    }
    configuration.credentials = .init(name: parts[0], password: password)
    return configuration
  }

  private static func failure(_ failure: DiscoveryFailure) -> StartError {
    let kind: StartError.Discovery =
      switch failure {
      case .full: .full
      case .duplicateID: .duplicateID
      case .duplicateName: .duplicateName
      case .badSize, .sizeNotFound: .noSize
      // Key not found: of the v2 API.
      case .other(let words) where words.hasPrefix("100: "): .noSize
      default: .other
      }
    return StartError("failed to join discovery cluster (\(failure))", discovery: kind)
  }

  /// A member that has data needs no service.
  static func tellIgnored(_ config: ServerConfig, _ logger: Logger) {
    guard token(config) != nil else { return }
    logger.warn(
      "discovery token is ignored since cluster already initialized; valid logs are found",
      [LogField("wal-dir", .string(config.walDirectory))])
  }
}
