import EtcdConfig
import EtcdServer
import EventLoops
import FileSystem

/// Whether a data directory is a member's or a v2 proxy's.
///
/// - Source: etcd `etcdmain.identifyDataDirOrDie`.
package enum DataDirectoryKind: String, Sendable {
  case member, proxy
  case empty

  /// Looks at what is there.
  /// - Returns: `member` for one that cannot be listed, or is both: whoever opens it says what is wrong.
  package static func of(
    _ path: String, _ disk: any FileSystem = RealFileSystem()
  ) -> DataDirectoryKind {
    guard let names = try? disk.list(path) else { return .empty }
    if names.contains(member.rawValue) { return .member }
    return names.contains(proxy.rawValue) ? .proxy : .empty
  }

  /// What is there and belongs to nobody.
  static func strangers(_ path: String, _ disk: any FileSystem) -> [String] {
    ((try? disk.list(path)) ?? []).filter { $0 != member.rawValue && $0 != proxy.rawValue }
  }
}

/// Starts a v2 proxy.
///
/// - Source: etcd `etcdmain.startProxy`.
package struct V2ProxyStart {
  private let config: ServerConfig
  private let logger: Logger
  private let disk: any FileSystem = RealFileSystem()

  package init(_ config: ServerConfig, logger: Logger) {
    self.config = config
    self.logger = logger
  }

  /// Finds the peer URLs of members, where the directory names none.
  package typealias FirstPeers = (inout ServerConfig, Logger) throws(StartError) -> [String]

  /// A proxy that serves. Blocks until the members were asked once.
  /// - Throws: `StartError` in etcd's words.
  package func run(
    firstPeers: FirstPeers = ProxyPeers.find
  ) throws(StartError) -> V2Proxy {
    for name in DataDirectoryKind.strangers(config.dataDirectory, disk) {
      logger.warn(
        "found invalid file under data directory",
        [
          LogField("filename", .string(LogText.shortened(name))),
          LogField("data-dir", .string(config.dataDirectory)),
        ])
    }
    logger.info("v2 API proxy starting")
    // Everything of a proxy lies below its own directory.
    var config = config
    config.dataDirectory += "/\(DataDirectoryKind.proxy.rawValue)"
    let file = ClusterFile(config.dataDirectory)
    let known: [String]?
    do {
      try disk.makeDirectory(config.dataDirectory, permissions: 0o700)
      known = try file.read()
    } catch { throw StartError("\(error)") }
    let urls: [String]
    if let known {
      urls = known
      if !config.discoveryURL.isEmpty {
        logger.warn(
          "discovery token ignored since the proxy has already been initialized; valid cluster file found",
          [LogField("cluster-file", .string(file.path))])
      }
      if !config.discoverySRV.isEmpty {
        logger.warn(
          "DNS SRV discovery ignored since the proxy has already been initialized; valid cluster file"
            + " found", [LogField("cluster-file", .string(file.path))])
      }
      logger.info(
        "proxy using peer URLS from cluster file",
        [
          LogField("peer-urls", .strings(urls)), LogField("cluster-file", .string(file.path)),
        ])
    } else {
      urls = try firstPeers(&config, logger)
      logger.info("proxy using peer URLS", [LogField("peer-urls", .strings(urls))])
    }
    let proxy = try V2Proxy(config, peerURLs: urls, file: file, logger: logger)
    try proxy.start()
    return proxy
  }
}
