import Foundation
import TestSupport
import Testing

/// Guide 001, §1.5: clusters that find themselves by a discovery service and by the DNS, under the guide's own names, in a
/// network of the test's own.
@Suite(.enabled(if: DNSNetwork.canRun)) struct Guide001DiscoveryTests {
  /// §1.5.3 and §1.5.4, one of three.
  private static func machine(_ number: Int, _ discovery: String) -> String {
    let port = (number + 1) * 10_000 + 2_379
    return """
      etcd --name machine-\(number) --initial-advertise-peer-urls http://127.0.0.1:\(port + 1) \\
        --listen-peer-urls http://127.0.0.1:\(port + 1) \\
        --listen-client-urls http://127.0.0.1:\(port),http://127.0.0.1:\(port) \\
        --advertise-client-urls http://127.0.0.1:\(port) \\
      --discovery \(discovery) >machine-\(number).log 2>&1 &

      """
  }

  /// §1.5.3: a service behind TLS, that of an etcd.
  @Test func aCustomService() throws {
    let authority = try TestAuthority()
    let pair = try authority.issue("myetcd", names: "DNS:myetcd.local")
    let url =
      "https://myetcd.local/v2/keys/discovery/6c007a14875d53d9bf0ef5a6fc0257c817f0fb83"
    let network = DNSNetwork(
      ["--address=/myetcd.local/10.0.0.100"], addresses: ["10.0.0.100"])
    let put = "curl --cacert '\(authority.certificate)' -s -X PUT \(url)/_config/size -d value=3"
    let done = network.run(
      """
      ETCD_ENABLE_V2=true etcd --name registry --data-dir registry --listen-client-urls https://10.0.0.100:443 \\
        --advertise-client-urls https://myetcd.local:443 --cert-file '\(pair.certificate)' --key-file '\(pair.key)' \\
        --listen-peer-urls http://10.0.0.100:2380 >registry.log 2>&1 &
      \(DNSNetwork.until("\(put) >/dev/null"))
      \((0...2).map { Self.machine($0, url) }.joined())
      export ETCDCTL_ENDPOINTS=http://127.0.0.1:12379,http://127.0.0.1:22379,http://127.0.0.1:32379
      \(DNSNetwork.until("etcdctl endpoint health >/dev/null 2>&1"))
      etcdctl member list | cut -d, -f2-4 | sort
      """, variables: ["SSL_CERT_FILE": authority.certificate])
    #expect(
      done.output
        == (0...2).map {
          " started, machine-\($0), http://127.0.0.1:\(($0 + 1) * 10_000 + 2_380)\n"
        }.joined(), "\(done)")
  }

  /// §1.5.4: the public service's name and protocol, served by `etcd discovery serve`; one member is told by the
  /// variable. `ETCD_DISCOVERY_PROXY` is tried by `V2RegistryTests`.
  @Test func thePublicService() throws {
    let authority = try TestAuthority()
    let pair = try authority.issue("discovery", names: "DNS:discovery.etcd.io")
    let network = DNSNetwork(
      ["--address=/discovery.etcd.io/10.0.0.100"], addresses: ["10.0.0.100"])
    let curl = "curl --cacert '\(authority.certificate)' -s -f"
    let byVariable = Self.machine(1, "X").replacing("--discovery X", with: "")
      .replacing("etcd --name", with: "ETCD_DISCOVERY=$URL etcd --name")
      .replacing(" \\\n >", with: " >")
    let done = network.run(
      """
      etcd --name registry --data-dir registry --listen-client-urls http://127.0.0.1:2379 \\
        --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \\
        --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster registry=http://127.0.0.1:2380 >registry.log 2>&1 &
      etcd discovery serve --listen-addr 10.0.0.100:443 --endpoints http://127.0.0.1:2379 \\
        --cert-file '\(pair.certificate)' --key-file '\(pair.key)' >service.log 2>&1 &
      \(DNSNetwork.until("\(curl) 'https://discovery.etcd.io/new?size=3' >/dev/null"))
      URL=$(\(curl) https://discovery.etcd.io/new?size=3)
      echo "$URL" | sed 's/[0-9a-f]\\{32\\}$/TOKEN/'
      \(Self.machine(0, "$URL"))\(byVariable)\(Self.machine(2, "$URL"))
      export ETCDCTL_ENDPOINTS=http://127.0.0.1:12379,http://127.0.0.1:22379,http://127.0.0.1:32379
      \(DNSNetwork.until("etcdctl endpoint health >/dev/null 2>&1"))
      etcdctl member list | cut -d, -f2-4 | sort
      """, variables: ["SSL_CERT_FILE": authority.certificate])
    #expect(
      done.output
        == "https://discovery.etcd.io/TOKEN\n"
        + (0...2).map {
          " started, machine-\($0), http://127.0.0.1:\(($0 + 1) * 10_000 + 2_380)\n"
        }.joined(), "\(done)")
  }

  /// §1.5.5 to §1.5.7, with the records and addresses of §1.5.6.
  @Test func theDNS() throws {
    let network = DNSNetwork(
      (0...2).flatMap { number in
        let host = "infra\(number).example.com"
        return [
          "--address=/\(host)/10.0.1.1\(number)",
          "--srv-host=_etcd-server._tcp.example.com,\(host),2380,0,0",
          "--srv-host=_etcd-client._tcp.example.com,\(host),2379,0,0",
        ]
      }, addresses: (0...2).map { "10.0.1.1\($0)" })
    let members = (0...2).map { number in
      """
      etcd --name infra\(number) --discovery-srv example.com \\
        --initial-advertise-peer-urls http://infra\(number).example.com:2380 \\
        --initial-cluster-token etcd-cluster-1 --initial-cluster-state new \\
        --advertise-client-urls http://infra\(number).example.com:2379 \\
        --listen-client-urls http://10.0.1.1\(number):2379 \\
        --listen-peer-urls http://10.0.1.1\(number):2380 >infra\(number).log 2>&1 &

      """
    }
    let done = network.run(
      members.joined() + DNSNetwork.until("etcdctl -d example.com put found yes 2>/dev/null") + """
        etcdctl --discovery-srv example.com member list | cut -d, -f2-5 | sort
        etcd gateway start --discovery-srv=example.com --insecure-discovery --listen-addr 127.0.0.1:23790 >gateway.log 2>&1 &
        \(DNSNetwork.until("etcdctl --endpoints 127.0.0.1:23790 get found --print-value-only 2>/dev/null"))
        """)
    #expect(
      done.output == "OK\n"
        + (0...2).map {
          " started, infra\($0), http://infra\($0).example.com:2380, http://infra\($0).example.com:2379\n"
        }.joined() + "yes\n", "\(done)")
  }
}
