import GoText

/// What `etcd gateway start` was told, read and checked as far as that needs nobody else. A value.
///
/// - Source: etcd `etcdmain/gateway.go`.
package struct GatewayOptions: Equatable, Sendable {
  /// As given.
  package var endpoints = ["127.0.0.1:2379"]
  package var listenAddress = "127.0.0.1:23790"
  /// The domain whose SRV records name the servers; empty for none.
  package var discoveryDomain = ""
  /// Behind the service's name in those records; may be empty.
  package var discoveryService = ""
  /// Whether records are believed without a look at the servers' certificates.
  package var isInsecureDiscovery = false
  /// The authorities of those certificates; empty for the system's.
  package var trustedCAFile = ""
  /// Between attempts to reach a server that did not answer.
  package var retryDelay = Duration.seconds(60)

  package init() {}

  /// That of etcd where none is given.
  /// - Source: etcd `tcpproxy.TCPProxy.Run`.
  var interval: Duration { retryDelay == .zero ? .seconds(300) : retryDelay }

  /// Host and port of an endpoint, whose scheme does not matter here.
  /// - Source: etcd `stripSchema`.
  static func stripped(_ endpoint: String) -> String {
    guard let url = try? GoURL(endpoint), !url.host.isEmpty else { return endpoint }
    return url.host
  }

  /// The servers that `--endpoints` names.
  /// - Throws: `GatewayRefusal` for the first that is no `host:port`.
  static func remotes(_ endpoints: [String]) throws(GatewayRefusal) -> [Remote] {
    var remotes: [Remote] = []
    for endpoint in endpoints.map(stripped) {
      // Go takes what begins with a number for a port, and what does not for port 0, where nobody answers.
      guard let address = HostPort(endpoint), let port = UInt16(address.port) else {
        let host = endpoint.split(separator: ":").first.map(String.init) ?? "HOST"
        throw GatewayRefusal(
          output: "error parsing endpoint \(GoQuote.text(endpoint))",
          advice: "write each endpoint as HOST:PORT, as in \(host):2379")
      }
      remotes.append(Remote(host: address.host, port: port))
    }
    return remotes
  }

  /// Why a server would be the gateway itself; `nil` when it is not.
  /// - Parameters:
  ///   - addresses: those of the server's name.
  ///   - own: those of the name that is listened on.
  static func loopRefusal(
    _ remote: Remote, _ addresses: [String], listen: HostPort, own: [String], given: String
  ) -> GatewayRefusal? {
    guard String(remote.port) == listen.port else { return nil }
    // Whoever listens on all addresses does so on those of this machine, too, which Go does not see.
    let listensEverywhere = own.contains { ["0.0.0.0", "::"].contains($0) }
    let found = addresses.first { address in
      own.contains(address)
        || listensEverywhere
          && (address.hasPrefix("127.") || ["::1", "0.0.0.0", "::"].contains(address))
    }
    guard let found else { return nil }
    return GatewayRefusal(
      output: "SRV or endpoint (\(remote.host):\(remote.port)->\(found):\(remote.port)) should not"
        + " resolve to the gateway listen addr (\(given))\n")
  }
}

/// Why a gateway does not start: what is printed, in etcd's words. The exit status is 1.
package struct GatewayRefusal: Error, Equatable {
  /// For standard output, as etcd has it, with the end of the line where etcd has one.
  package var output = ""
  /// For standard error.
  package var error = ""
  /// What to do about it; a line of its own on standard error.
  package var advice: String?
}
