import EtcdConfig
import EtcdServer
import EventLoops

/// What to do about a discovery service that did not lead to a cluster.
///
/// - Source: etcd `etcdmain.startEtcdOrProxyV2`.
struct DiscoveryAdvice {
  private let config: ServerConfig
  private let logger: Logger

  init(_ config: ServerConfig, _ logger: Logger) {
    self.config = config
    self.logger = logger
  }

  func tell(_ failure: StartError.Discovery, _ error: StartError) {
    let token = LogField("discovery-token", .string(self.token))
    let reason = LogField("error", .string(error.description))
    switch failure {
    case .duplicateID:
      logger.warn(
        "member has been registered with discovery service",
        [LogField("name", .string(config.name)), token, reason])
      logger.warn(
        "but could not find valid cluster configuration",
        [LogField("data-dir", .string(config.dataDirectory))])
      logger.warn("check data dir if previous bootstrap succeeded")
      logger.warn("or use a new discovery token if previous bootstrap failed")
    case .duplicateName:
      logger.warn("member with duplicated name has already been registered", [token, reason])
      logger.warn("cURL the discovery token URL for details")
      logger.warn("do not reuse discovery token; generate a new one to bootstrap a cluster")
    case .full, .noSize, .other:
      logger.warn("failed to bootstrap; discovery token was already used", [token, reason])
      logger.warn("do not reuse discovery token; generate a new one to bootstrap a cluster")
      guard failure == .noSize else { return }
      logger.warn(
        "the token has no size: write first how many members the cluster is to have",
        [LogField("command", .string(sizeCommand))])
    }
  }

  private var token: String {
    config.registry.token.isEmpty ? config.discoveryURL : config.registry.token
  }

  /// POST, which curl sends without a word about it, makes a directory of the size.
  private var sizeCommand: String {
    config.registry.token.isEmpty
      ? "curl -X PUT \(config.discoveryURL)/_config/size -d value=3"
      : "etcdctl put /_etcd/registry/\(config.registry.token)/_config/size 3"
  }
}
