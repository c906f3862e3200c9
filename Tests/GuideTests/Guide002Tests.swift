import Foundation
import TestSupport
import Testing

/// Guide 002, from "查看成员信息" to its end: members as curl and as `etcdctl` of the v2 API show them, a key that all have, a
/// member that is removed and one that joins.
@Suite(.serialized) struct Guide002Tests {
  // A cluster that is not five seconds old would refuse to be changed.
  private let cluster = Cluster(
    [Binaries.ours, Binaries.ours, Binaries.ours],
    extra: ["--enable-v2", "--strict-reconfig-check=false"])

  /// A command of the guide, run by a shell; `localhost:2379` is a member.
  private func shell(_ text: String, at member: Member) -> String {
    let endpoint = "127.0.0.1:\(member.clientPort)"
    let script =
      "etcdctl() { ETCDCTL_API=2 '\(Binaries.ourCtl)' --endpoints http://\(endpoint) \"$@\"; }\n"
      + text.replacing("./etcdctl", with: "etcdctl").replacing("curl ", with: "curl -s ")
      .replacing("127.0.0.1:2379", with: endpoint).replacing("localhost:2379", with: endpoint)
    var done = run("/bin/bash", ["-c", script])
    // Without the member that led, and that is gone, nobody can say who leads for a moment.
    let deadline = Date().addingTimeInterval(10)
    while done.status != 0, text.contains("etcdctl"), Date() < deadline {
      usleep(50_000)
      done = run("/bin/bash", ["-c", script])
    }
    #expect(done.status == 0 && done.error.isEmpty, "\(text): \(done)")
    return done.output
  }

  private func urls(_ member: Member) -> String {
    "peerURLs=http://127.0.0.1:\(member.peerPort) clientURLs=\(member.endpoint)"
  }

  @Test func membersAreShownRemovedAndAdded() throws {
    try cluster.start()
    let first = cluster.members[0]
    let json = shell("curl http://localhost:2379/v2/members", at: first)
    let members = try #require(
      try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: [[String: Any]]])
    #expect(
      members["members"]?.compactMap { $0["name"] as? String }.sorted() == ["m1", "m2", "m3"])
    for member in cluster.members.dropFirst() {
      _ = shell(
        "curl http://127.0.0.1:2379/v2/keys/message -XPUT -d value=\"set by \(member.name)\"",
        at: member)
    }
    #expect(
      shell("curl http://127.0.0.1:2379/v2/keys/message", at: cluster.members[2])
        .hasPrefix(
          #"{"action":"get","node":{"key":"/message","value":"set by m3","modifiedIndex":"#)
    )
    #expect(
      shell("./etcdctl  member --help", at: first).hasPrefix(
        "NAME:\n   etcdctl member - member add, remove and list subcommands\n\nUSAGE:\n"))

    let list = shell("./etcdctl  member  list", at: first)
    for member in cluster.members {
      #expect(list.contains(": name=\(member.name) \(urls(member)) isLeader="), "\(list)")
    }
    let second = try #require(list.firstMatch(of: #/([0-9a-f]+): name=m2 /#)).output.1
    #expect(
      shell("./etcdctl  member  remove \(second)", at: first)
        == "Removed member \(second) from cluster\n")
    #expect(!shell("./etcdctl  member  list", at: first).contains("name=m2"))
    cluster.members[1].kill()

    let ports = freePorts(2)
    let added = shell("./etcdctl  member add new-h102 http://127.0.0.1:\(ports[1])", at: first)
    let match = try #require(
      added.wholeMatch(
        of:
          #/Added member named new-h102 with ID ([0-9a-f]+) to cluster\n\nETCD_NAME="new-h102"\nETCD_INITIAL_CLUSTER="([^"]+)"\nETCD_INITIAL_CLUSTER_STATE="existing"\n/#
      ), "\(added)")
    #expect(
      shell("./etcdctl  member  list", at: first).contains(
        "\(match.output.1)[unstarted]: peerURLs=http://127.0.0.1:\(ports[1])\n"))
    let joining = Member(
      name: "new-h102", binary: Binaries.ours, directory: cluster.scratch.path + "/new",
      clientPort: ports[0], peerPort: ports[1], cluster: String(match.output.2),
      extra: ["--enable-v2", "--initial-cluster-state", "existing"])
    joining.start()
    try joining.waitHealthy()
    #expect(
      shell("curl http://127.0.0.1:2379/v2/keys/message", at: joining).contains("set by m3"))
    #expect(
      shell("./etcdctl  member  list", at: first).contains(
        "\(match.output.1): name=new-h102 \(urls(joining)) isLeader=false\n"))
  }
}
