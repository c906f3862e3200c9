import EventLoops
import Proxies

/// Makes a proxy of what the command line says, in etcd's order, so that the first thing that is wrong is etcd's
/// first. Blocks for name lookups.
///
/// - Source: etcd `etcdmain.startGRPCProxy`.
package struct GRPCProxyStart {
  private let options: GRPCProxyOptions
  private let logger: Logger
  private let discovery: ServerDiscovery

  /// - Parameter discovery: what `--discovery-srv` asks.
  package init(
    _ options: GRPCProxyOptions, logger: Logger,
    discovery: @escaping ServerDiscovery = GatewayStart.dns
  ) {
    self.options = options
    self.logger = logger
    self.discovery = discovery
  }

  /// A proxy that listens and serves nobody yet.
  /// - Throws: why there is none.
  package func run() throws(GRPCProxyRefusal) -> GRPCProxy {
    try options.check()
    let policies = try GRPCProxyPolicies(options, logger)
    let proxy = try GRPCProxy(
      options, endpoints: try endpoints(), policies: policies, logger: logger)
    try proxy.start()
    return proxy
  }

  private func endpoints() throws(GRPCProxyRefusal) -> [String] {
    let search = ServerSearch(
      domain: options.discoveryDomain, service: options.discoveryService,
      isInsecure: options.isInsecureDiscovery, trustedCAFile: options.trustedCAFile,
      logger: logger, discovery: discovery)
    do throws(GatewayRefusal) {
      let found = try search.servers().map(\.url)
      return found.isEmpty ? options.endpoints : found
    } catch { throw GRPCProxyRefusal(error.error.split(separator: "\n").joined(separator: "\n")) }
  }
}
