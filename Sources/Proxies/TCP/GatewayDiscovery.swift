import EventLoops
import TLS

/// A server that the DNS names.
package struct DiscoveredServer: Equatable, Sendable {
  /// With its scheme: `https://infra0.example.com:2379`.
  package let url: String
  package let remote: Remote
  package var isSecure: Bool { url.hasPrefix("https://") }

  package init(url: String, remote: Remote) {
    self.url = url
    self.remote = remote
  }
}

/// Why nothing was found, in Go's words.
package struct DiscoveryFailure: Error, Equatable {
  package let message: String
  package init(_ message: String) { self.message = message }
}

/// Asks the DNS for the servers of a domain: those with TLS (`_etcd-client-ssl[-SERVICE]._tcp.DOMAIN`) and then those
/// without (`_etcd-client[-SERVICE]._tcp.DOMAIN`). Blocks the caller.
package typealias ServerDiscovery =
  @Sendable (_ domain: String, _ service: String) throws(DiscoveryFailure) -> [DiscoveredServer]

/// Looks whether servers that were discovered have certificates of the domain.
///
/// - Source: etcd `etcdmain/util.go`, `discoverEndpoints`; `transport.ValidateSecureEndpoints`, which opens a TCP
///   connection and leaves the certificate alone.
struct ServerInspection {
  let loop: EventLoop
  private let policy: ChannelPolicy

  /// Longest time that one server may take.
  private static let timeout = Duration.seconds(5)

  /// - Throws: why the file of authorities cannot be used.
  init(_ loop: EventLoop, trustedCAFile: String, domain: String) throws(TLSFailure) {
    self.loop = loop
    var settings = TLSSettings()
    settings.trustedCAFile = trustedCAFile
    settings.serverName = domain
    policy = .layered(TLSLayer(try TLSMaterial(settings)))
  }

  /// Asks one after the other; blocks the caller, not the loop.
  /// - Returns: those that passed, and what is wrong with the others.
  func passed(
    _ servers: [DiscoveredServer]
  ) -> (servers: [DiscoveredServer], problems: [String]) {
    var passed: [DiscoveredServer] = []
    var problems: [String] = []
    for server in servers {
      guard server.isSecure else {
        problems.append("\"\(server.url)\" is insecure")
        continue
      }
      if let error = problem(server) {
        problems.append("\"\(server.url)\" failed to dial (\(error))")
      } else {
        passed.append(server)
      }
    }
    return (passed, problems)
  }

  private func problem(_ server: DiscoveredServer) -> ChannelError? {
    let answer = Parcel<ChannelError?>()
    loop.execute { [policy, loop] in
      Connection.connect(
        to: .tcp(host: server.remote.host, port: Int(server.remote.port)), loop: loop,
        policy: policy, timeout: Self.timeout
      ) { result in
        switch result {
        case .success(let channel):
          channel.abort()
          answer.give(nil)
        case .failure(let error): answer.give(error)
        }
      }
    }
    return answer.wait()
  }
}
