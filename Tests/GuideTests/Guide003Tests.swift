import Foundation
import TestSupport
import Testing

/// Guide 003, from "查看和验证etcd集群服务状态" to its end: three members configured by variables, with one certificate for
/// all of them, of which `etcdctl` with `--ca-file` is asked, a member that joins and one that leaves.
@Suite(.serialized) struct Guide003Tests {
  private let authority: TestAuthority
  private let port: Int
  private let cluster: Cluster

  init() throws {
    authority = try TestAuthority()
    let names = "IP:127.0.0.1,IP:172.16.0.101,IP:172.16.0.102,IP:172.16.0.103"
    let pair = try authority.issue("etcd", commonName: "etcd", names: names)
    try FileManager.default.copyItem(
      atPath: pair.key, toPath: authority.folder + "/etcd-key.pem")
    let security = ClusterSecurity(
      clientScheme: "https", peerScheme: "https",
      curl: [
        "--cacert", authority.certificate, "--cert", pair.certificate, "--key", pair.key,
      ])
    cluster = Cluster(
      [Binaries.ours, Binaries.ours, Binaries.ours], security: security,
      // A cluster that is not five seconds old would refuse to be changed.
      extra: ["--strict-reconfig-check=false"])
    port = cluster.members[0].clientPort
  }

  /// The guide's `/etc/etcd/etcd.conf`, as far as it is no address.
  private var configuration: [String: String] {
    let folder = authority.folder
    return [
      "ETCD_CERT_FILE": "\(folder)/etcd.pem", "ETCD_KEY_FILE": "\(folder)/etcd-key.pem",
      "ETCD_CLIENT_CERT_AUTH": "true", "ETCD_TRUSTED_CA_FILE": "\(folder)/ca.pem",
      "ETCD_AUTO_TLS": "true", "ETCD_PEER_CERT_FILE": "\(folder)/etcd.pem",
      "ETCD_PEER_KEY_FILE": "\(folder)/etcd-key.pem", "ETCD_PEER_CLIENT_CERT_AUTH": "true",
      "ETCD_PEER_TRUSTED_CA_FILE": "\(folder)/ca.pem", "ETCD_PEER_AUTO_TLS": "true",
    ]
  }

  /// The guide's command line, run by a shell that has the variable it sets.
  private func etcdctl(_ words: String) -> String {
    let text = """
      export ETCDCTL_API=3
      etcdctl --endpoints=https://127.0.0.1:2379 \\
                --ca-file=/etc/etcd/ssl/ca.pem \\
                --cert-file=/etc/etcd/ssl/etcd.pem \\
                --key-file=/etc/etcd/ssl/etcd-key.pem \(words)
      """
    let script =
      "etcdctl() { '\(Binaries.ourCtl)' \"$@\"; }\n"
      + text.replacing("/etc/etcd/ssl", with: authority.folder)
      .replacing("127.0.0.1:2379", with: "127.0.0.1:\(port)")
    let done = run("/bin/bash", ["-c", script])
    #expect(done.status == 0 && done.error.isEmpty, "\(words): \(done)")
    return done.output
  }

  /// Lines of `member list` without their IDs, sorted, and the IDs and client URLs in the order of the output.
  private func list() -> (lines: [String], ids: [String], clientURLs: [String]) {
    let lines = etcdctl("member list").split(separator: "\n").map(String.init)
    return (
      lines.map { $0.replacing(#/^[0-9a-f]+/#, with: "ID") }.sorted(),
      lines.compactMap { $0.prefixMatch(of: #/[0-9a-f]+/#).map { String($0.output) } },
      lines.compactMap { $0.firstMatch(of: #/clientURLs=(\S+)/#).map { String($0.output.1) } }
    )
  }

  private func line(_ member: Member, isLeader: Bool) -> String {
    "ID: name=\(member.name) peerURLs=https://127.0.0.1:\(member.peerPort) "
      + "clientURLs=\(member.endpoint) isLeader=\(isLeader)"
  }

  /// One line a member, one of which leads.
  private func expectList(_ lines: [String], _ members: [Member]) {
    let possible = members.map { leader in
      members.map { line($0, isLeader: $0 === leader) }.sorted()
    }
    #expect(possible.contains(lines), "\(lines)")
  }

  @Test func membersAreShownAddedAndRemoved() throws {
    for member in cluster.members { member.start(environment: configuration) }
    for member in cluster.members { try member.waitHealthy() }
    let three = list()
    expectList(three.lines, cluster.members)
    let health = etcdctl("cluster-health")
    for (id, url) in zip(three.ids, three.clientURLs) {
      #expect(
        health.contains("member \(id) is healthy: got healthy result from \(url)\n"), "\(health)")
    }
    #expect(health.hasSuffix("cluster is healthy\n"))

    let ports = freePorts(2)
    let url = "https://127.0.0.1:\(ports[1])"
    let added = etcdctl("member add etcd_node4 \(url)")
    let match = try #require(
      added.wholeMatch(
        of:
          #/Added member named etcd_node4 with ID ([0-9a-f]+) to cluster\n\nETCD_NAME="etcd_node4"\nETCD_INITIAL_CLUSTER="([^"]+)"\nETCD_INITIAL_CLUSTER_STATE="existing"\n/#
      ), "\(added)")
    let (id, names) = (String(match.output.1), String(match.output.2))
    let all = cluster.members.map { "\($0.name)=https://127.0.0.1:\($0.peerPort)" }
    #expect(Set(names.split(separator: ",").map(String.init)) == Set(all + ["etcd_node4=\(url)"]))
    let unstarted = list().lines
    #expect(unstarted.contains("ID[unstarted]: peerURLs=\(url)"))
    expectList(unstarted.filter { !$0.contains("unstarted") }, cluster.members)

    let fourth = Member(
      name: "etcd_node4", binary: Binaries.ours, directory: cluster.scratch.path + "/4",
      clientPort: ports[0], peerPort: ports[1], cluster: names,
      security: cluster.members[0].security, extra: ["--initial-cluster-state", "existing"])
    fourth.start(environment: configuration)
    try fourth.waitHealthy()
    expectList(list().lines, cluster.members + [fourth])

    #expect(etcdctl("member remove \(id)") == "Removed member \(id) from cluster\n")
    expectList(list().lines, cluster.members)
  }
}
