import Foundation
import TestSupport
import Testing

/// Guide 002, up to "查看成员信息", and the command by which a member joins; at the guide's own addresses, in a network of the
/// test's own. `hostnamectl`, `firewall-cmd` and `date` are no commands of etcd.
@Suite(.enabled(if: DNSNetwork.canRun)) struct Guide002StartTests {
  private static let machines = [("docker", 103), ("h104", 104), ("h102", 102)]

  /// Each machine's own 127.0.0.1 is one here, which the first has.
  private static func start(_ name: String, _ number: Int) -> String {
    let host = "http://192.168.100.\(number)"
    let own = number == 103 ? ",http://127.0.0.1:2379" : ""
    return """
      etcd -name \(name) -initial-advertise-peer-urls \(host):2380 \\
         -listen-peer-urls \(host):2380 \\
         -listen-client-urls \(host):2379\(own) \\
         -advertise-client-urls \(host):2379 \\
         -initial-cluster-token etcd-cluster-test \\
         -initial-cluster docker=http://192.168.100.103:2380,h102=http://192.168.100.102:2380,h104=http://192.168.100.104:2380 \\
         -initial-cluster-state new >\(name).log 2>&1 &

      """
  }

  @Test func membersStartAndOneJoins() {
    let network = DNSNetwork(addresses: (102...104).map { "192.168.100.\($0)" })
    let list = "./etcdctl  member  list | sed 's/^[0-9a-f]*//; s/ isLeader=.*//' | sort"
    let done = network.run(
      """
      ln -sf bin/etcdctl etcdctl
      export ETCDCTL_API=2
      etcd --version | cut -d: -f1
      \(Self.machines.map { Self.start($0.0, $0.1) }.joined())
      H102=$!
      \(DNSNetwork.until("./etcdctl cluster-health >/dev/null 2>&1"))
      echo '== three'
      \(list)
      ID=$(./etcdctl member list | grep name=h102 | cut -d: -f1)
      echo '== removed'
      \(DNSNetwork.until("./etcdctl  member  remove $ID 2>/dev/null | cut -d' ' -f1,2,4- | grep Removed"))
      wait $H102
      grep -c 'the member has been permanently removed from the cluster' h102.log >/dev/null && echo said
      echo '== added'
      \(DNSNetwork.until("./etcdctl  member add new-h102 http://192.168.100.102:2380 >added 2>/dev/null"))
      grep -c ETCD_ added
      \(list)
      ETCD_NAME="new-h102" ETCD_INITIAL_CLUSTER="h104=http://192.168.100.104:2380,docker=http://192.168.100.103:2380,new-h102=http://192.168.100.102:2380"   ETCD_INITIAL_CLUSTER_STATE="existing"   etcd -listen-client-urls http://192.168.100.102:2379   -advertise-client-urls http://192.168.100.102:2379 -listen-peer-urls http://192.168.100.102:2380   -initial-advertise-peer-urls http://192.168.100.102:2380 >new.log 2>&1 &
      \(DNSNetwork.until("ETCDCTL_API=3 etcdctl --endpoints 192.168.100.102:2379 put k v >/dev/null 2>&1"))
      echo '== joined'
      \(list)
      """)
    func line(_ name: String, _ number: Int) -> String {
      let host = "http://192.168.100.\(number)"
      return ": name=\(name) peerURLs=\(host):2380 clientURLs=\(host):2379\n"
    }
    let two = line("docker", 103) + line("h104", 104)
    #expect(
      done.output == """
        etcd Version
        Git SHA
        Go Version
        Go OS/Arch
        == three
        \(line("docker", 103))\(line("h102", 102))\(line("h104", 104))== removed
        Removed member from cluster
        said
        == added
        3
        \(two)[unstarted]: peerURLs=http://192.168.100.102:2380
        == joined
        \(two)\(line("new-h102", 102))
        """, "\(done)")
  }

  /// "配置使用方法": a list of members without the own name in it, by variables and by flags, is refused alike, and as by Go.
  @Test func bothWaysSayTheSame() throws {
    let members =
      "infra0=http://10.0.1.10:2380,infra1=http://10.0.1.11:2380,infra2=http://10.0.1.12:2380"
    let network = DNSNetwork()
    let words = [Binaries.ours, try #require(Binaries.go35)].flatMap { etcd in
      [
        "ETCD_INITIAL_CLUSTER=\"\(members)\" ETCD_INITIAL_CLUSTER_STATE=new etcd",
        "etcd -initial-cluster \(members) -initial-cluster-state new",
      ].map { text in
        let output = network.run("\(text) 2>&1 | tail -n 3; echo ${PIPESTATUS[0]}", etcd: etcd)
          .output
        let error = output.matches(of: #/"error":"((?:[^"\\]|\\.)*)"/#).last.map {
          String($0.output.1)
        }
        return "\(error ?? output) \(output.hasSuffix("\n1\n"))"
      }
    }
    #expect(Set(words).count == 1 && words[0].hasSuffix(" true"), "\(words)")
    #expect(words[0].contains("couldn't find local name"), "\(words)")
  }
}
