import Foundation
import TestSupport
import Testing

/// What a member says about itself can be relied on at once (CASES.md, C rows): by scripts that wait for a line,
/// by probes, and by members that join.
@Suite(.serialized) struct ReadinessTests {
  private static let line = "ready to serve client requests"

  /// C7: everything works with the first try, right behind the line.
  @Test(.enabled(if: Binaries.ctl35 != nil), arguments: [1, 3])
  func theReadyLineMeansReady(members count: Int) throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: count))
    for member in cluster.members { member.start() }
    for member in cluster.members {
      try eventually("\(member.name)'s line") { member.log.contains(Self.line) }
      let health = try #require(httpGet("\(member.endpoint)/health"))
      #expect(health == "{\"health\":\"true\",\"reason\":\"\"}", "\(member.name): \(health)")
      let status = cluster.ctl(["endpoint", "status"], at: member)
      #expect(status.status == 0 && !status.output.contains("no leader"), "\(status)")
      let put = cluster.ctl(["put", "by", member.name], at: member)
      #expect(put.status == 0, "\(put)")
    }
    let first = cluster.members[0]
    for words in [
      ["user", "add", "root:pw"], ["role", "add", "root"], ["user", "grant-role", "root", "root"],
      ["auth", "enable"], ["--user", "root:pw", "get", "by"],
      ["--user", "root:pw", "auth", "disable"],
    ] {
      let done = cluster.ctl(words, at: first)
      #expect(done.status == 0, "\(words): \(done)")
    }
  }

  /// C7, C10: the only member adds another right behind its line; the newcomer starts at once, is in by its
  /// first try, and is sent one snapshot, although the log that it would need is gone.
  @Test(.enabled(if: Binaries.ctl35 != nil), arguments: [false, true])
  func whoJoinsAtOnceIsInAtOnce(isLarge: Bool) throws {
    let scratch = Scratch()
    let ports = freePorts(4)
    func peerURL(_ n: Int) -> String { "http://127.0.0.1:\(ports[n * 2 + 1])" }
    func member(_ n: Int, _ cluster: String, _ state: String) -> Member {
      Member(
        name: "m\(n)", binary: Binaries.ours, directory: scratch.path + "/m\(n)",
        clientPort: ports[n * 2], peerPort: ports[n * 2 + 1], cluster: cluster,
        extra: [
          "--initial-cluster-state", state, "--snapshot-count", "10",
          "--experimental-snapshot-catchup-entries", "5",
        ])
    }
    let founder = member(0, "m0=\(peerURL(0))", "new")
    func ctl(_ words: [String], input: String = "") -> Finished {
      run(
        Binaries.ctl35!, ["--endpoints", founder.endpoint, "--command-timeout", "20s"] + words,
        input: input)
    }
    founder.start()
    try eventually("the line") { founder.log.contains(Self.line) }
    for number in 0..<30 {
      let done = ctl(
        ["put", "key\(number)"], input: String(repeating: "v", count: isLarge ? 1_000_000 : 10))
      #expect(done.status == 0, "\(done)")
    }
    let added = ctl(["member", "add", "m1", "--peer-urls", peerURL(1)])
    let joiner = member(1, "m0=\(peerURL(0)),m1=\(peerURL(1))", "existing")
    joiner.start()
    #expect(added.status == 0, "\(added)")
    try joiner.waitHealthy()
    #expect(hashKV(joiner) == hashKV(founder))
    let page = try #require(httpGet("\(joiner.endpoint)/metrics"))
    let received = page.split(separator: "\n").filter {
      $0.hasPrefix("etcd_network_snapshot_receive_success{")
    }
    #expect(received.count == 1 && received[0].hasSuffix(" 1"), "\(received)")
    let failed = page.matches(of: /\netcd_network_snapshot_receive_failures\{[^}]*\} ([1-9].*)/)
    #expect(failed.isEmpty, "\(failed.map(\.1))")
    // The founder, which needs the newcomer for a quorum, answers its questions all the same.
    #expect(!joiner.log.contains("failed to get downgrade enabled status"))
    for log in [founder.log, joiner.log] { #expect(!log.contains("not in the ConfState")) }
    #expect(joiner.log.components(separatedBy: "\"applied snapshot\"").count == 2)
  }

  /// C8: without a quorum a member is not ready and lives: a kubelet that asks for its life leaves it alone.
  @Test func aMemberWithoutQuorumLives() throws {
    let cluster = Cluster(Array(repeating: Binaries.ours, count: 3))
    try cluster.start()
    cluster.members[1].kill()
    cluster.members[2].kill()
    let member = cluster.members[0]
    try eventually("the loss of the leader") {
      httpGet("\(member.endpoint)/health")?.contains("RAFT NO LEADER") == true
    }
    #expect(
      httpGet("\(member.endpoint)/health?serializable=true")
        == "{\"health\":\"true\",\"reason\":\"\"}")
    #expect(httpGet("\(member.endpoint)/livez") == "ok\n")
    // The read is given up after the time of a request, seven seconds.
    let ready = run("/usr/bin/curl", ["-s", "-m", "15", "\(member.endpoint)/readyz"]).output
    #expect(ready.contains("[-]linearizable_read failed: "), "\(ready)")
    #expect(member.isRunning)
  }

  /// C2: the greatest limit starts, and what no follower could take is refused by its length alone.
  @Test func theGreatestLimitRefusesLargeWrites() throws {
    let cluster = Cluster(
      [Binaries.ours], extra: ["--max-request-bytes", "9223372036854775807"])
    try cluster.start()
    let member = cluster.members[0]
    // 400 MiB are announced; whoever waited for them would wait for ever.
    let body = cluster.scratch.path + "/body"
    try Data([0, 0x19, 0, 0, 0, 0x0a, 1, 0x6b]).write(to: URL(fileURLWithPath: body))
    let answer = run(
      "/usr/bin/curl",
      [
        "-s", "-m", "10", "-D", "-", "-o", "/dev/null", "--http2-prior-knowledge", "-X", "POST",
        "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary",
        "@\(body)", "\(member.endpoint)/etcdserverpb.KV/Put",
      ])
    #expect(answer.output.contains("grpc-status: 8"), "\(answer)")
    #expect(
      answer.output.contains("received message larger than max (419430400 vs. "), "\(answer)")
    try member.waitHealthy()
  }

  /// C25: the lines of a restart, and those about the directory, the log and the end.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func aRestartTellsItsLines() throws {
    let cluster = Cluster(
      [Binaries.ours],
      extra: ["--snapshot-count", "10", "--experimental-snapshot-catchup-entries", "5"])
    try cluster.start()
    let member = cluster.members[0]
    for number in 0..<25 { #expect(cluster.ctl(["put", "k", "\(number)"]).status == 0) }
    try eventually("a snapshot") { member.log.contains("\"compacted Raft logs\"") }
    member.stop()
    try Data("x".utf8).write(to: URL(fileURLWithPath: member.directory + "/stray"))
    let first = member.log
    #expect(!first.contains("found invalid file"))
    member.start()
    try member.waitHealthy()
    let second = String(member.log.dropFirst(first.count))
    func expectInOrder(_ messages: [String], in log: String) {
      var rest = log[...]
      for message in messages {
        guard let found = rest.range(of: "\"msg\":\"\(message)\"") else {
          Issue.record("\(message) is missing or comes too early in \(log)")
          return
        }
        rest = rest[found.upperBound...]
      }
    }
    expectInOrder(
      [
        "starting an etcd server", "opened backend db", "starting local member",
        "starting etcd server", "ready to serve client requests", "triggering snapshot",
        "saved snapshot", "compacted Raft logs", "closing etcd server",
        "skipped leadership transfer for single voting member cluster", "closed etcd server",
      ], in: first)
    expectInOrder(
      [
        "starting an etcd server", "found invalid file under data directory", "opened backend db",
        "server has been already initialized", "restarting local member", "starting etcd server",
        "ready to serve client requests",
      ], in: second)
    #expect(second.contains("\"filename\":\"stray\""))
    // A directory that a proxy used as well belongs to neither.
    member.stop()
    try FileManager.default.createDirectory(
      atPath: member.directory + "/proxy", withIntermediateDirectories: true)
    member.start()
    try eventually("the end") { !member.isRunning }
    #expect(member.log.contains("invalid datadir; both member and proxy directories exist"))
  }
}
