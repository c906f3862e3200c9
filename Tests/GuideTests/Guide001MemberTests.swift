import Foundation
import TestSupport
import Testing

/// Guide 001, §1.18: a member of three is removed and one on another machine takes its place.
@Suite(.serialized) struct Guide001MemberTests {
  private let shell: GuideShell

  init() {
    // The guide's machines are addresses of this one.
    let ports = freePorts(2)
    shell = GuideShell([
      ("=10.240.0.", "=127.240.0."), (":2379", ":\(ports[0])"), (":2380", ":\(ports[1])"),
    ])
  }

  private static let hosts = """
    export ETCDCTL_API=3
    HOST_1=10.240.0.13
    HOST_2=10.240.0.14
    HOST_3=10.240.0.15

    """

  private static func node(_ number: Int) -> String {
    """
    THIS_NAME=${NAME_\(number)}
    THIS_IP=${HOST_\(number)}
    etcd --data-dir=data.etcd --name ${THIS_NAME} \\
    \t--initial-advertise-peer-urls http://${THIS_IP}:2380 \\
    \t--listen-peer-urls http://${THIS_IP}:2380 \\
    \t--advertise-client-urls http://${THIS_IP}:2379 \\
    \t--listen-client-urls http://${THIS_IP}:2379 \\
    \t--initial-cluster ${CLUSTER} \\
    \t--initial-cluster-state ${CLUSTER_STATE} \\
    \t--initial-cluster-token ${TOKEN}

    """
  }

  /// What `script` answered when the member it came to took the change: each member must have seen
  /// all others connected for five seconds, and the next script may come to another one.
  private func changed(_ script: String, as member: ServerProcess) throws -> Finished {
    var finished = Finished(status: -1, output: "", error: "not run")
    try member.waitUntil("members are known to be connected", seconds: 30) {
      finished = shell.run(script)
      return !finished.error.contains("unhealthy cluster")
    }
    #expect(finished.status == 0 && finished.error.isEmpty, "\(script): \(finished)")
    return finished
  }

  @Test func aMemberIsReplaced() throws {
    let three = try shell.start(
      """
      TOKEN=my-etcd-token-1
      CLUSTER_STATE=new
      NAME_1=etcd-node-1
      NAME_2=etcd-node-2
      NAME_3=etcd-node-3
      HOST_1=10.240.0.13
      HOST_2=10.240.0.14
      HOST_3=10.240.0.15
      CLUSTER=${NAME_1}=http://${HOST_1}:2380,${NAME_2}=http://${HOST_2}:2380,${NAME_3}=http://${HOST_3}:2380

      """ + (1...3).map(Self.node).joined())
    try #require(three.count == 3)
    let all = "etcdctl --endpoints=${HOST_1}:2379,${HOST_2}:2379,${HOST_3}:2379"
    try three[0].waitUntil("all serve") {
      shell.run(Self.hosts + all + " endpoint health").status == 0
    }
    #expect(shell.output(Self.hosts + all + " put foo bar") == "OK\n")
    let list = shell.output(Self.hosts + all + " member list")
    let id = try #require(list.firstMatch(of: #/([0-9a-f]+), started, etcd-node-3, /#)).output.1
    let removed = try changed(
      Self.hosts + "MEMBER_ID=\(id)\n" + all + " \\\n\tmember remove ${MEMBER_ID}",
      as: three[0])
    // Blanks stand in place of leading zeros.
    #expect(
      removed.output.hasPrefix("Member ")
        && removed.output.contains(" \(id) removed from cluster "), "\(removed)")
    let added = try changed(
      """
      export ETCDCTL_API=3
      NAME_1=etcd-node-1
      NAME_2=etcd-node-2
      NAME_4=etcd-node-4
      HOST_1=10.240.0.13
      HOST_2=10.240.0.14
      HOST_4=10.240.0.16 # new member
      etcdctl --endpoints=${HOST_1}:2379,${HOST_2}:2379 \\
      \tmember add ${NAME_4} \\
      \t--peer-urls=http://${HOST_4}:2380
      """, as: three[0])
    #expect(added.output.contains(#"ETCD_NAME="etcd-node-4""#), "\(added)")
    let fourth = try shell.start(
      """
      TOKEN=my-etcd-token-1
      CLUSTER_STATE=existing
      NAME_1=etcd-node-1
      NAME_2=etcd-node-2
      NAME_4=etcd-node-4
      HOST_1=10.240.0.13
      HOST_2=10.240.0.14
      HOST_4=10.240.0.16 # new member
      CLUSTER=${NAME_1}=http://${HOST_1}:2380,${NAME_2}=http://${HOST_2}:2380,${NAME_4}=http://${HOST_4}:2380

      """ + Self.node(4))
    try fourth[0].waitUntil("the fourth has the key") {
      shell.run("etcdctl --endpoints=10.240.0.16:2379 get foo".replacing("10.", with: "127."))
        .output == "foo\nbar\n"
    }
  }
}
