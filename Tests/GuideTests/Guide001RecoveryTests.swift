import Foundation
import TestSupport
import Testing

/// Guide 001, section 4.3: a member is reconfigured with a wrong URL, and the cluster is recovered from a snapshot, or with
/// `--force-new-cluster`.
@Suite(.serialized) struct Guide001RecoveryTests {
  private let cluster = Cluster(
    [Binaries.ours, Binaries.ours, Binaries.ours], extra: ["--strict-reconfig-check=false"])

  private func ctl(_ program: String, _ words: [String]) -> Finished {
    run(program, ["--endpoints", cluster.members[0].endpoint, "--command-timeout=2s"] + words)
  }

  private func id(_ name: String) throws -> String {
    let list = ctl(Binaries.ourCtl, ["member", "list"]).output
    let line = try #require(list.split(separator: "\n").first { $0.contains(", \(name), ") })
    return String(line.prefix { $0 != "," })
  }

  /// URLs that are none are refused to the client, as since etcd 3.2.15, and harm nobody; etcd before ended all members.
  @Test func urlsThatAreNoneAreRefused() throws {
    try cluster.start()
    let id = try id("m2")
    for url in ["127.0.0.1:2380", "http://127.0.0.1", "http://127.0.0.1:2380/x", "ftp://h:1", ":1"]
    {
      for words in [["member", "update", id], ["member", "add", "m4"]] {
        let found = [Binaries.ctl35 ?? Binaries.ourCtl, Binaries.ourCtl].map {
          ctl($0, words + ["--peer-urls=\(url)"])
        }
        // Go's client logs attempts of its own.
        let errors = found.map { $0.error.split(separator: "\n").last { $0.hasPrefix("Error: ") } }
        #expect(found[1].status != 0 && found[0].status == found[1].status, "\(url): \(found)")
        #expect(errors[0] == errors[1], "\(url): \(found)")
      }
    }
    #expect(!cluster.members.contains { !$0.isRunning })
    #expect(ctl(Binaries.ourCtl, ["put", "foo", "bar"]).output == "OK\n")
  }

  /// URLs that lead nowhere take the quorum: the others go on as processes, and say what is wrong.
  @Test func aLostClusterIsRecovered() throws {
    try cluster.start()
    #expect(ctl(Binaries.ourCtl, ["put", "foo", "bar"]).output == "OK\n")
    let file = cluster.scratch.path + "/snapshot.db"
    #expect(ctl(Binaries.ourCtl, ["snapshot", "save", file]).status == 0)
    #expect(ctl(Binaries.ourCtl, ["put", "later", "yes"]).output == "OK\n")
    let nobody = freePorts(2)
    for (name, port) in zip(["m2", "m3"], nobody) {
      let words = ["member", "update", try id(name), "--peer-urls=http://127.0.0.1:\(port)"]
      #expect(ctl(Binaries.ourCtl, words).status == 0)
    }
    // Connections that are there live on; what is started again is not found any more.
    for member in cluster.members.dropFirst() { member.stop() }
    let late = ctl(Binaries.ourCtl, ["put", "foo", "lost"])
    #expect(late.status != 0 && late.error.contains("Error: "), "\(late)")
    #expect(cluster.members[0].isRunning)
    cluster.members[0].stop()

    // What is recommended: the snapshot, into a new cluster of one.
    let ports = freePorts(2)
    let (client, peer) = ("http://127.0.0.1:\(ports[0])", "http://127.0.0.1:\(ports[1])")
    let place = cluster.scratch.path + "/m1.etcd"
    let words = [
      "snapshot", "restore", file, "--name", "m1", "--initial-cluster", "m1=\(peer)",
      "--initial-cluster-token", "etcd-cluster-1", "--initial-advertise-peer-urls", peer,
      "--data-dir", place,
    ]
    let restored = run(Binaries.ourUtl, words)
    #expect(restored.status == 0, "\(restored)")
    let flags = [
      "--name", "m1", "--listen-client-urls", client, "--advertise-client-urls", client,
      "--listen-peer-urls", peer,
    ]
    func values(_ log: String, _ more: [String]) throws -> [String] {
      let member = try ServerProcess(
        flags + more, log: cluster.scratch.path + "/" + log)
      defer { member.end() }
      try member.waitFor("ready to serve client requests")
      let list = run(Binaries.ourCtl, ["--endpoints", client, "member", "list"]).output
      #expect(list.split(separator: "\n").count == 1, "\(list)")
      return ["foo", "later"].map {
        run(Binaries.ourCtl, ["--endpoints", client, "get", $0, "--print-value-only"]).output
      }
    }
    #expect(try values("restored.log", ["--data-dir", place]) == ["bar\n", ""])
    // What is not: all of the data, and no other member; it knows its own URL.
    let own = cluster.members[0].directory
    #expect(
      try values("forced.log", ["--data-dir", own, "--force-new-cluster"]) == ["bar\n", "yes\n"])
  }
}
