import Foundation
import TestSupport
import Testing

/// Guide 004: a cluster that finds itself by etcd's public discovery service, here Debian's, and by an etcd; at the guide's
/// own addresses, in a network of the test's own.
///
/// What the guide puts into `/opt/etcd/config/etcd.conf` for systemd is the members' environment.
@Suite(.enabled(if: DNSNetwork.canRun && Binaries.isThere("/usr/bin/discovery.etcd.io")))
struct Guide004Tests {
  private static let service = "/usr/bin/discovery.etcd.io"

  private let network = DNSNetwork(
    ["--address=/discovery.etcd.io/10.0.0.100"],
    addresses: ["10.0.0.100"] + (0...3).map { "192.168.2.\(210 + $0)" })

  /// The file of a node, as the guide has that of the first.
  private static func file(_ number: Int, _ discovery: String) -> String {
    let host = "http://192.168.2.\(209 + number)"
    return """
      ETCD_NAME=etcd\(number)
      ETCD_DATA_DIR="etcd\(number)"
      ETCD_LISTEN_PEER_URLS="\(host):2380"
      ETCD_LISTEN_CLIENT_URLS="\(host):2379,\(host):4001"
      ETCD_INITIAL_ADVERTISE_PEER_URLS="\(host):2380"
      ETCD_ADVERTISE_CLIENT_URLS="\(host):2379,\(host):4001"
      ETCD_DISCOVERY="\(discovery)"
      """
  }

  private static func start(_ number: Int, _ discovery: String) -> String {
    "(set -a; \(file(number, discovery).replacing("\n", with: "; ")); etcd >etcd\(number).log 2>&1) &\n"
  }

  @Test func thePublicService() throws {
    let done = network.run(
      """
      export ETCD_ENABLE_V2=true ETCDCTL_API=2
      etcd --name registry --data-dir registry --listen-client-urls http://10.0.0.100:2379 \\
        --advertise-client-urls http://10.0.0.100:2379 --listen-peer-urls http://10.0.0.100:2380 >registry.log 2>&1 &
      \(DNSNetwork.until("curl -s http://10.0.0.100:2379/health | grep -q true"))
      \(Self.service) --addr 10.0.0.100:80 --host http://discovery.etcd.io --etcd http://10.0.0.100:2379 >service.log 2>&1 &
      \(DNSNetwork.until("curl -sf 'http://discovery.etcd.io/new?size=3' >url"))
      URL=$(curl -s -w "\\n" 'http://discovery.etcd.io/new?size=3')
      \((1...3).map { Self.start($0, "$URL") }.joined())
      \(DNSNetwork.until("etcdctl --endpoints http://192.168.2.210:2379 cluster-health >/dev/null 2>&1"))
      echo "$URL"
      curl -s -w '\\n' $URL
      etcdctl --endpoints "http://192.168.2.210:2379" member list
      \(Self.start(4, "$URL"))
      \(DNSNetwork.until("curl -sf http://192.168.2.213:2379/v2/keys >/dev/null"))
      curl -s http://192.168.2.213:2379/v2/config/local/proxy
      """)
    let lines = done.output.split(separator: "\n").map(String.init)
    try #require(lines.count > 5, "\(done)")
    let token = try #require(
      lines[0].wholeMatch(of: #/http://discovery.etcd.io/([0-9a-f]+)/#), "\(done)"
    ).output.1
    #expect(
      lines[1].hasPrefix(
        #"{"action":"get","node":{"key":"/_etcd/registry/\#(token)","dir":true,"nodes":["#),
      "\(done)")
    for number in 1...3 {
      let host = "http://192.168.2.\(209 + number)"
      let entry = try #require(
        lines[1].firstMatch(
          of: try Regex(#"/([0-9a-f]+)","value":"etcd\#(number)=\#(host):2380""#)), "\(done)")
      let id = try #require(entry.output[1].substring)
      #expect(
        lines[2...4].contains { line in
          line.hasPrefix(
            "\(id): name=etcd\(number) peerURLs=\(host):2380 clientURLs=\(host):2379,\(host):4001 isLeader="
          )
        }, "\(done)")
    }
    // Whoever comes after the third is a proxy.
    #expect(lines[5].contains("http://192.168.2.210:2379"), "\(done)")
  }

  /// The guide's size is written with POST, which makes a directory of it: refused as by Go's etcd, with what to write.
  @Test func aSizeThatIsNone() throws {
    let url = "http://192.168.2.210:2379/v2/keys/discovery/8ebee6723eaf3f5c7724e879f8797e85"
    let found = [try #require(Binaries.go35), Binaries.ours].map { etcd in
      network.run(
        """
        rm -rf registry etcd2
        export ETCD_ENABLE_V2=true
        etcd --name registry --data-dir registry --listen-client-urls http://192.168.2.210:2379 \\
          --advertise-client-urls http://192.168.2.210:2379 >registry.log 2>&1 &
        \(DNSNetwork.until("curl -s http://192.168.2.210:2379/health | grep -q true"))
        curl -s \(url)/_config/size -d value=3
        \(Self.start(2, url))
        wait $!
        echo status $?
        cat etcd2.log
        """, etcd: etcd
      ).output
    }
    for output in found {
      #expect(
        output.contains(#""value":"3","modifiedIndex":"#) && output.contains("status 1"),
        "\(output)")
      #expect(
        output.contains("failed to join discovery cluster (discovery: size key is bad)"),
        "\(output)")
    }
    #expect(
      found[1].contains(#""command":"curl -X PUT \#(url)/_config/size -d value=3""#), "\(found[1])")
  }
}
