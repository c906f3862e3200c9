import Bytes
import EtcdAPI
import Foundation
import TestSupport
import Testing

/// What strangers and other clusters get from the peer port, next to what Go etcd answers.
@Suite(.serialized) struct PeerPortTests {
  struct Question: CustomTestStringConvertible {
    var method = "GET"
    let path: String
    var headers: [String] = []
    var body = ""
    var testDescription: String { "\(method) \(path) \(headers)" }
  }

  /// Headers of a peer that fits, with some replaced; `CLUSTER` and `MEMBER` stand for the server's ids.
  static func peer(_ replaced: [String: String] = [:]) -> [String] {
    [
      "X-Server-From": "1234", "X-Server-Version": "3.5.1", "X-Min-Cluster-Version": "3.0.0",
      "X-Etcd-Cluster-ID": "CLUSTER", "X-Raft-To": "MEMBER",
    ].merging(replaced) { $1 }.map { "\($0.key): \($0.value)" }.sorted()
  }

  static let garbage = String(repeating: "\u{7f}garbage", count: 50)

  static let questions: [Question] = [
    Question(path: "/"), Question(path: "/nothing"), Question(path: "/raft"),
    Question(method: "PUT", path: "/raft"), Question(path: "/raft/"), Question(path: "/raft/other"),
    Question(method: "POST", path: "/raft", headers: peer(), body: garbage),
    Question(
      method: "POST", path: "/raft", headers: peer(["X-Etcd-Cluster-ID": "42"]), body: "x"),
    Question(
      method: "POST", path: "/raft",
      headers: peer(["X-Server-Version": "2.0.0", "X-Min-Cluster-Version": "2.0.0"]), body: "x"),
    Question(
      method: "POST", path: "/raft", headers: peer(["X-Min-Cluster-Version": "9.0.0"]), body: "x"),
    Question(method: "POST", path: "/raft", body: "x"),
    Question(path: "/raft/stream"), Question(path: "/raft/stream/"),
    Question(path: "/raft/stream/message/1234", headers: peer(["X-Etcd-Cluster-ID": "42"])),
    Question(path: "/raft/stream/message/1234", headers: peer(["X-Raft-To": "99"])),
    Question(path: "/raft/stream/message/xyz", headers: peer()),
    Question(path: "/raft/stream/nonsense/1234", headers: peer()),
    Question(method: "POST", path: "/raft/stream/message/1234", headers: peer()),
    Question(path: "/raft/stream/msgapp/1234", headers: peer(["X-Min-Cluster-Version": "4.0.0"])),
    Question(path: "/raft/snapshot"),
    Question(
      method: "POST", path: "/raft/snapshot", headers: peer(["X-Etcd-Cluster-ID": "42"]),
      body: garbage),
    Question(method: "POST", path: "/raft/snapshot", headers: peer(), body: garbage),
    Question(method: "POST", path: "/raft/probing", body: "x"),
    Question(method: "POST", path: "/members", body: "x"), Question(path: "/members/"),
    Question(path: "/members/promote/1234"),
    Question(method: "POST", path: "/members/promote/1234"),
    Question(method: "POST", path: "/members/promote/xyz"),
    Question(method: "POST", path: "/version", body: "x"),
    Question(path: "/leases"), Question(path: "/leases/internal"),
    Question(method: "POST", path: "/leases", body: garbage),
    Question(method: "POST", path: "/leases/internal", body: garbage),
    Question(method: "POST", path: "/leases", body: "\u{08}\u{05}"),
    Question(path: "/leases/other"),
    Question(path: "/members/hashkv"), Question(path: "/members/hashkv/"),
    Question(method: "POST", path: "/members/hashkv", body: "{}"),
    Question(path: "/downgrade/enabled"), Question(path: "/downgrade/enabled/"),
    Question(method: "POST", path: "/downgrade/enabled", body: "x"), Question(path: "/downgrade"),
  ]

  /// Status and body, and the headers that peers read.
  private func answer(_ cluster: Cluster, _ question: Question) throws -> String {
    let member = cluster.members[0]
    let port = member.peerPort
    let members = run(
      "/usr/bin/curl", ["-s", "-i", "-m", "5", "http://127.0.0.1:\(port)/members"]
    ).output
    let clusterID = try #require(
      members.firstMatch(of: /X-Etcd-Cluster-Id: ([0-9a-f]+)/.ignoresCase()).map { String($0.1) })
    let number = try #require(members.firstMatch(of: /"id":(\d+)/).flatMap { UInt64($0.1) })
    func fill(_ text: String) -> String {
      text.replacing("CLUSTER", with: clusterID)
        .replacing("MEMBER", with: String(number, radix: 16))
    }
    var arguments = ["-s", "-i", "-m", "5", "-X", question.method]
    for header in question.headers { arguments += ["-H", fill(header)] }
    if question.method == "POST" || question.method == "PUT" {
      arguments += ["-H", "Content-Type:", "--data-binary", question.body]
    }
    let done = run(
      "/usr/bin/curl", arguments + ["http://127.0.0.1:\(port)\(question.path)"], timeout: 20)
    let text = done.output.replacing("\r\n", with: "\n")
    let parts = text.split(separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false)
    let lines = (parts.first ?? "").split(separator: "\n")
    let kept = lines.dropFirst().map { $0.lowercased() }.filter { line in
      [
        "content-type", "allow", "location", "x-content-type", "x-etcd-cluster-id",
        "x-server-version",
      ]
      .contains { line.hasPrefix($0) }
    }.filter { !$0.hasPrefix("x-server-version") }.sorted()
    return ([String(lines.first ?? "")] + kept + [parts.count > 1 ? String(parts[1]) : ""])
      .joined(separator: "\n")
      .replacing(clusterID, with: "CLUSTER").replacing(/"Now":"[^"]*"/, with: "NOW")
      .replacing(String(number, radix: 16), with: "MEMBER").replacing("\(number)", with: "MEMBER")
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func answersAreThoseOfTheRealServer() throws {
    let official = try #require(Binaries.go35)
    let clusters = [official, Binaries.ours].map { Cluster([$0]) }
    for cluster in clusters { try cluster.start() }
    for question in Self.questions {
      let answers = try clusters.map { try answer($0, question) }
      #expect(
        answers[0] == answers[1],
        "\(question)\n--- etcd 3.5.1\n\(answers[0])\n--- ours\n\(answers[1])")
    }
    #expect(clusters[1].members[0].isRunning)
    try clusters[1].members[0].waitHealthy()
  }

  /// Two clusters that share a peer URL by mistake ignore each other and say so.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func membersOfAnotherCluster(strangerIsOurs: Bool) throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([Binaries.ours, official])
    try cluster.start()
    #expect(cluster.ctl(["put", "a", "1"]).status == 0)
    let ports = freePorts(2)
    let scratch = Scratch()
    let others = cluster.members.map { "\($0.name)=http://127.0.0.1:\($0.peerPort)" }
    // It believes that it founds a cluster together with the two.
    let stranger = Member(
      name: "stranger", binary: strangerIsOurs ? Binaries.ours : official,
      directory: scratch.path + "/stranger", clientPort: ports[0], peerPort: ports[1],
      cluster: (others + ["stranger=http://127.0.0.1:\(ports[1])"]).joined(separator: ","),
      extra: ["--initial-cluster-token", "another"])
    stranger.start()
    let deadline = Date().addingTimeInterval(20)
    func saysSo(_ member: Member, _ text: String) {
      while !member.log.contains(text), Date() < deadline { usleep(50_000) }
      #expect(member.log.contains(text), "\(member.name): \(member.log.suffix(3000))")
    }
    saysSo(stranger, "cluster ID mismatch")
    for member in cluster.members { saysSo(member, "request cluster ID mismatch") }
    #expect(httpGet("\(stranger.endpoint)/health")?.contains("true") != true)
    #expect(cluster.ctl(["get", "a", "--print-value-only"]).output == "1\n")
    try expectEqualHashes(cluster.members)
  }
}
