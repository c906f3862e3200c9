import DNS
import Testing

@testable import Proxies

/// What records of the DNS become.
@Suite struct DNSDiscoveryTests {
  @Test func recordsWithTLSComeFirst() throws {
    let servers = try GatewayStart.discover("example.test", "blue") { name throws(DNSFailure) in
      switch name {
      case "_etcd-client-ssl-blue._tcp.example.test":
        return [ServiceRecord(target: "a", port: 1, priority: 2, weight: 3)]
      case "_etcd-client-blue._tcp.example.test":
        return [ServiceRecord(target: "b", port: 4, priority: 5, weight: 6)]
      default: throw DNSFailure(name: name, reason: .notFound)
      }
    }
    #expect(
      servers == [
        DiscoveredServer(
          url: "https://a:1", remote: Remote(host: "a", port: 1, priority: 2, weight: 3)),
        DiscoveredServer(
          url: "http://b:4", remote: Remote(host: "b", port: 4, priority: 5, weight: 6)),
      ])
    #expect(servers.map(\.isSecure) == [true, false])
  }

  @Test func bothFailuresAreTold() {
    #expect(
      throws: DiscoveryFailure(
        "dns lookup errors: lookup _etcd-client-ssl._tcp.x: no such host and lookup"
          + " _etcd-client._tcp.x: i/o timeout")
    ) {
      try GatewayStart.discover("x", "") { name throws(DNSFailure) in
        throw DNSFailure(name: name, reason: name.contains("ssl") ? .notFound : .timeout)
      }
    }
  }
}
