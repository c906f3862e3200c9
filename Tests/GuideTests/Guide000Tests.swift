import Foundation
import TestSupport
import Testing

/// Guide 000: a static cluster, one that finds itself by a discovery service, members that come and go, and a proxy; at
/// the guide's own addresses, in a network of the test's own.
///
/// Its machines are one here: `http://127.0.0.1:2379`, which each of them listens on, is the first one's.
@Suite(.enabled(if: DNSNetwork.canRun)) struct Guide000Tests {
  private static let token = "9295d70238b112a74ac40223c47cb843"
  private static let registry = "http://myetcd.local/v2/keys/discovery/\(token)"

  private let network = DNSNetwork(
    ["--address=/myetcd.local/10.0.0.100"], addresses: (0...4).map { "10.0.0.\(100 + $0)" })

  /// §1 as it is written, but for the node's number.
  private static func staticNode(_ number: Int, clients: String? = nil) -> String {
    let own = "http://10.0.0.10\(number)"
    return """
      etcd -name                    node\(number) \\
      -data-dir                       ./node\(number)-data-dir \\
      -initial-advertise-peer-urls    \(own):2380 \\
      -listen-peer-urls               \(own):2380 \\
      -listen-client-urls             \(clients ?? "\(own):2379,http://127.0.0.1:2379") \\
      -advertise-client-urls          \(own):2379 \\
      -initial-cluster-token          etcd-cluster-1 \\
      -initial-cluster                node1=http://10.0.0.101:2380,\\
                                      node2=http://10.0.0.102:2380,\\
                                      node3=http://10.0.0.103:2380 \\
      -initial-cluster-state          new
      """
  }

  /// §2, custom service.
  private static func discoveredNode(_ number: Int) -> String {
    """
    etcd -name                    node\(number) \\
    -initial-advertise-peer-urls    http://10.0.0.10\(number):2380 \\
    -listen-peer-urls               http://10.0.0.10\(number):2380 \\
    -listen-client-urls             http://10.0.0.10\(number):2379,http://127.0.0.1:2379 \\
    -advertise-client-urls          http://10.0.0.10\(number):2379 \\
    -discovery                      \(registry)
    """
  }

  /// §4, the new member.
  private static let newNode = """
    etcd -name                    node4 \\
    -data-dir                       ./node4-data-dir \\
    -initial-advertise-peer-urls    http://10.0.0.104:2380 \\
    -listen-peer-urls               http://10.0.0.104:2380 \\
    -listen-client-urls             http://10.0.0.104:2379,http://127.0.0.1:2379 \\
    -advertise-client-urls          http://10.0.0.104:2379 \\
    -initial-cluster                node1=http://10.0.0.101:2380,\\
                                    node2=http://10.0.0.102:2380,\\
                                    node3=http://10.0.0.103:2380,\\
                                    node4=http://10.0.0.104:2380 \\
    -initial-cluster-state          existing
    """

  /// §6.
  private static func proxy(_ mode: String) -> String {
    """
    etcd \\
    -proxy                  \(mode) \\
    -listen-client-urls     http://10.0.0.104:2379,http://127.0.0.1:2379 \\
    -initial-cluster        node1=http://10.0.0.101:2380,\\
                            node2=http://10.0.0.102:2380,\\
                            node3=http://10.0.0.103:2380
    """
  }

  /// A list that goes over lines is one word only where no blanks stand in front of its parts.
  private static func mended(_ text: String) -> String {
    text.replacing(#/,\\\n +/#, with: ",")
  }

  /// The second machine and those behind it are not at 127.0.0.1.
  private static func elsewhere(_ text: String) -> String {
    text.replacing(",http://127.0.0.1:2379", with: "")
  }

  private static func started(_ text: String, _ log: String) -> String {
    "\(text) >\(log).log 2>&1 &\n"
  }

  /// What stands behind each `== name` of the output.
  private static func parts(_ done: Finished) -> [String: String] {
    var parts: [String: String] = [:]
    for part in ("\n" + done.output).components(separatedBy: "\n== ").dropFirst() {
      let lines = part.split(separator: "\n", maxSplits: 1)
      parts[String(lines[0])] = lines.count > 1 ? String(lines[1]) : ""
    }
    return parts
  }

  /// §1: lists over lines with blanks in front are several words, and a URL without its scheme is none: both are refused
  /// as by Go's etcd. Mended, the nodes are a cluster.
  @Test func aStaticCluster() throws {
    let asWritten = Self.staticNode(1, clients: "http://10.0.0.101:2379,127.0.0.1:2379")
    for text in [asWritten, Self.mended(asWritten), Self.staticNode(2), Self.newNode] {
      let found = [try #require(Binaries.go35), Binaries.ours].map {
        network.run("\(text) 2>&1 | tail -n 1; echo ${PIPESTATUS[0]}", etcd: $0).output
      }
      let tails = found.map { $0.split(separator: "\n").suffix(2).joined(separator: " ") }
      let words = tails.map { tail in
        tail.firstMatch(of: #/"error":"((?:[^"\\]|\\.)*)"/#).map { String($0.output.1) } ?? tail
      }
      #expect(words[0] == words[1], "\(text): \(words)")
    }
    let nodes = (1...3).map { number in
      let text = Self.mended(Self.staticNode(number))
      return Self.started(number == 1 ? text : Self.elsewhere(text), "node\(number)")
    }
    let done = network.run(
      nodes.joined() + DNSNetwork.until("etcdctl put started yes >/dev/null 2>&1") + """
        echo '== list'
        ETCDCTL_API=3 etcdctl member list | cut -d, -f2-5 | sort -t, -k2
        """)
    #expect(
      Self.parts(done)["list"]
        == (1...3).map {
          " started, node\($0), http://10.0.0.10\($0):2380, http://10.0.0.10\($0):2379\n"
        }.joined(), "\(done)")
  }

  /// §2, §4, §5 and §6.
  @Test func aClusterThatFindsItself() throws {
    let nodes = (1...3).map { number in
      let text = Self.discoveredNode(number)
      return Self.started(number == 1 ? text : Self.elsewhere(text), "node\(number)")
    }
    let put = "curl -s -X PUT \(Self.registry)/_config/size -d value=3"
    let add = "etcdctl member add node4 http://10.0.0.104:2380"
    let id = "$(etcdctl member list | grep name=node4 | cut -d: -f1)"
    let done = network.run(
      """
      export ETCD_ENABLE_V2=true ETCDCTL_API=2
      etcd --name registry --data-dir registry --listen-client-urls http://10.0.0.100:80 \\
        --advertise-client-urls http://10.0.0.100:80 --listen-peer-urls http://10.0.0.100:2380 >registry.log 2>&1 &
      \(DNSNetwork.until("\(put) >/dev/null"))
      echo '== size'
      curl -s \(Self.registry)/_config/size
      \(nodes.joined())\(DNSNetwork.until("etcdctl cluster-health >/dev/null 2>&1"))
      echo '== members'
      etcdctl member list
      echo '== add'
      \(DNSNetwork.until("\(add) 2>add.err"))
      \(Self.started(Self.elsewhere(Self.mended(Self.newNode)), "node4"))
      NEW=$!
      \(DNSNetwork.until("curl -s http://10.0.0.104:2379/health | grep -q true"))
      echo '== health'
      etcdctl cluster-health
      curl -s -o /dev/null -w '%{http_code}' http://10.0.0.101:2379/v2/members/\(id) -XDELETE
      echo
      wait $NEW
      echo '== left'
      etcdctl member list | cut -d' ' -f2 | sort
      \(Self.started(Self.elsewhere(Self.mended(Self.proxy("on"))), "proxy"))
      PROXY=$!
      \(DNSNetwork.until("curl -sf http://10.0.0.104:2379/v2/keys >/dev/null"))
      echo '== proxied'
      curl -s http://10.0.0.104:2379/v2/keys/message -XPUT -d value=hello | cut -c1-60
      kill $PROXY
      wait $PROXY
      \(Self.started(Self.elsewhere(Self.mended(Self.proxy("readonly"))), "readonly"))
      \(DNSNetwork.until("curl -sf http://10.0.0.104:2379/v2/keys >/dev/null"))
      echo '== readonly'
      curl -s http://10.0.0.104:2379/v2/keys/message | cut -c1-60
      curl -s -o /dev/null -w '%{http_code}' http://10.0.0.104:2379/v2/keys/message -XPUT -d value=x
      """)
    let parts = Self.parts(done)
    #expect(parts["size"]?.contains(#""value":"3""#) == true, "\(done)")
    for number in 1...3 {
      let url = "http://10.0.0.10\(number)"
      #expect(
        parts["members"]?.contains(
          ": name=node\(number) peerURLs=\(url):2380 clientURLs=\(url):2379 isLeader=") == true,
        "\(done)")
    }
    #expect(
      parts["add"]?.contains(
        #/Added member named node4 with ID [0-9a-f]+ to cluster\n\nETCD_NAME="node4"\nETCD_INITIAL_CLUSTER="[^"]*node4=http:\/\/10.0.0.104:2380[^"]*"\nETCD_INITIAL_CLUSTER_STATE="existing"/#
      ) == true, "\(done)")
    #expect(parts["health"]?.contains("cluster is healthy\n204") == true, "\(done)")
    #expect(parts["left"] == "name=node1\nname=node2\nname=node3", "\(done)")
    #expect(
      parts["proxied"]?.hasPrefix(#"{"action":"set","node":{"key":"/message","value":"hello""#)
        == true, "\(done)")
    #expect(
      parts["readonly"]?.hasPrefix(#"{"action":"get","node":{"key":"/message","value":"hello""#)
        == true && parts["readonly"]?.hasSuffix("501") == true, "\(done)")
  }
}
