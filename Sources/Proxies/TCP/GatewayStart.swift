import EventLoops
import GoText
import Platform

/// Makes a gateway of what the command line says, in etcd's order, so that the first thing that is wrong is etcd's
/// first. Blocks for name lookups.
///
/// - Source: etcd `etcdmain/gateway.go`, `startGateway`.
package struct GatewayStart {
  private let options: GatewayOptions
  private let logger: Logger
  private let discovery: ServerDiscovery

  /// - Parameter discovery: what `--discovery-srv` asks.
  package init(
    _ options: GatewayOptions, logger: Logger, discovery: @escaping ServerDiscovery = dns
  ) {
    self.options = options
    self.logger = logger
    self.discovery = discovery
  }

  /// A gateway that listens and takes nobody yet.
  /// - Throws: why there is none.
  package func run() throws(GatewayRefusal) -> Gateway {
    if options.retryDelay < .zero {
      throw GatewayRefusal(
        error: "--retry-delay is negative: \(options.retryDelay.goDescription)\n",
        advice: "write a time such as 1m0s, or 0 for 5m0s")
    }
    var remotes = try discovered()
    if remotes.isEmpty { remotes = try GatewayOptions.remotes(options.endpoints) }
    guard let listen = HostPort(options.listenAddress) else {
      throw GatewayRefusal(output: "failed to validate listen address: \(options.listenAddress)\n")
    }
    let own = HostLookup.addresses(of: listen.host)
    guard !own.isEmpty else {
      throw GatewayRefusal(output: "failed to resolve listen host: \(listen.host)\n")
    }
    for remote in remotes {
      let addresses = HostLookup.addresses(of: remote.host)
      guard !addresses.isEmpty else {
        throw GatewayRefusal(output: "failed to resolve endpoint host: \(remote.host)\n")
      }
      let refusal = GatewayOptions.loopRefusal(
        remote, addresses, listen: listen, own: own, given: options.listenAddress)
      if let refusal { throw refusal }
    }
    guard !remotes.isEmpty else { throw GatewayRefusal(output: "no endpoints found\n") }
    let gateway = Gateway(remotes, interval: options.interval, logger: logger)
    try gateway.start(listen)
    return gateway
  }

  /// Those that the DNS names; none where it is not asked, or where none is secure enough.
  private func discovered() throws(GatewayRefusal) -> [Remote] {
    try ServerSearch(
      domain: options.discoveryDomain, service: options.discoveryService,
      isInsecure: options.isInsecureDiscovery, trustedCAFile: options.trustedCAFile,
      logger: logger, discovery: discovery
    ).servers().map(\.remote)
  }
}
