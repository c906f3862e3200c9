import EventLoops

/// Looks for the members of a cluster in the DNS, and logs what comes of it.
///
/// - Source: etcd `etcdmain/util.go`, `discoverEndpoints`.
package struct ServerSearch {
  private let domain: String
  private let service: String
  private let isInsecure: Bool
  private let trustedCAFile: String
  private let logger: Logger
  private let discovery: ServerDiscovery

  /// - Parameters:
  ///   - domain: empty where the DNS is not asked.
  ///   - isInsecure: whether servers are taken as they are.
  ///   - trustedCAFile: who signs the certificates of the others; empty for the system's authorities.
  ///   - discovery: asks the DNS.
  package init(
    domain: String, service: String, isInsecure: Bool, trustedCAFile: String, logger: Logger,
    discovery: @escaping ServerDiscovery
  ) {
    self.domain = domain
    self.service = service
    self.isInsecure = isInsecure
    self.trustedCAFile = trustedCAFile
    self.logger = logger
    self.discovery = discovery
  }

  /// The servers; none where nobody is asked, or where none is secure enough. Blocks.
  /// - Throws: why nothing was found.
  package func servers() throws(GatewayRefusal) -> [DiscoveredServer] {
    guard !domain.isEmpty else { return [] }
    let servers: [DiscoveredServer]
    do throws(DiscoveryFailure) { servers = try discovery(domain, service) } catch {
      throw GatewayRefusal(error: error.message + "\n")
    }
    func fields(_ servers: [DiscoveredServer]) -> [LogField] {
      [
        LogField("srv-server", .string(domain)),
        LogField("endpoints", .strings(servers.map(\.url))),
      ]
    }
    logger.info("discovered cluster from SRV", fields(servers))
    if isInsecure { return servers }
    logger.info("validating discovered SRV endpoints", fields(servers))
    let (passed, problems) = inspected(servers)
    if problems.isEmpty {
      logger.info("using validated discovered SRV endpoints", fields(passed))
    } else {
      logger.warn(
        "failed to validate discovered endpoints",
        // checked: lists are joined
        fields(passed) + [LogField("error", .string(problems.joined(separator: ",")))])
    }
    return passed
  }

  private func inspected(
    _ servers: [DiscoveredServer]
  ) -> (servers: [DiscoveredServer], problems: [String]) {
    let loop = EventLoop(name: "etcd-discovery")
    loop.start()
    defer { loop.stop() }
    do {
      let inspection = try ServerInspection(loop, trustedCAFile: trustedCAFile, domain: domain)
      return inspection.passed(servers)
    } catch { return ([], ["\(error)"]) }
  }
}
