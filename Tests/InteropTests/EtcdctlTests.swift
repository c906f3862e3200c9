import Foundation
import TestSupport
import Testing

/// The official etcdctl says the same about us as about the real server.
@Suite(.serialized) struct EtcdctlTests {
  struct Step: CustomStringConvertible {
    var arguments: [String]
    var input = ""
    init(_ line: String, input: String = "") {
      arguments = line.split(separator: " ").map { $0 == "''" ? "" : String($0) }
      self.input = input
    }
    var description: String { arguments.joined(separator: " ") }
  }

  /// One line per command; `''` stands for an empty argument.
  static let script: [Step] =
    ["a 1", "b 2", "c 3", "foo bar", "foo1 bar1", "foo2 bar2", "k\u{e9}y v\u{e4}lue"].map {
      Step("put \($0)")
    } + [
      Step("get foo"), Step("get foo --hex"), Step("get foo -w json"), Step("get foo -w fields"),
      Step("get foo -w protobuf"), Step("get foo --print-value-only"), Step("get fo --prefix"),
      Step("get fo --prefix --keys-only"), Step("get fo --prefix --limit 2"),
      Step("get fo --prefix --limit 2 -w json"), Step("get fo --prefix --count-only -w fields"),
      Step("get a c"), Step("get b --from-key"), Step("get '' --from-key"),
      Step("get '' --prefix --order=DESCEND"), Step("get '' --prefix --sort-by=KEY --order=ASCEND"),
      Step("put b 22"), Step("put a 11"), Step("put a 111"),
      Step("get '' --prefix --sort-by=MODIFY"),
      Step("get '' --prefix --sort-by=CREATE --order=DESCEND"),
      Step("get '' --prefix --sort-by=VERSION --order=DESCEND --limit 1"),
      Step("get '' --prefix --sort-by=VALUE"), Step("get a --rev=2"), Step("get a --rev=3 -w json"),
      Step("get a --rev=99"), Step("get a --rev=-1"), Step("get nothing"),
      Step("get nothing -w json"),
      Step("get a --consistency=s"), Step("get a --consistency=x"), Step("get ''"),
      Step("put '' x"),
      Step("put foo --ignore-value"), Step("put none --ignore-value"),
      Step("put foo x --ignore-value"),
      Step("put foo x --ignore-lease"), Step("put foo y --prev-kv"), Step("put fresh y --prev-kv"),
      Step("put foo z --lease=1234"), Step("put foo", input: "from standard input"),
      Step("get foo"), Step("put --"), Step("put foo bar baz"),
      Step("del foo2"), Step("del foo2"), Step("del fo --prefix --prev-kv"), Step("del ''"),
      Step("put d1 1"), Step("put d2 2"), Step("put d3 3"), Step("del d1 d3"),
      Step("del d --from-key"),
      Step("txn", input: "mod(\"a\") > \"0\"\n\nput r 1\nget a\n\nget b\n\n"),
      Step(
        "txn",
        input:
          "value(\"a\") = \"111\"\nver(\"a\") > \"1\"\ncreate(\"a\") = \"2\"\n\ndel r --prev-kv\n\nput r 2\n\n"
      ),
      Step("txn", input: "lease(\"a\") = \"0\"\n\nget '' --prefix --keys-only\n\n\n"),
      Step(
        "txn",
        input: "val(\"a\") < \"0\"\nver(\"none\") = \"0\"\n\nput x 1\n\nput x failure\nget x\n\n"),
      Step("txn", input: "mod(\"none\") != \"0\"\n\nput x 1\n\nget x\n\n"),
      Step("txn", input: "\nput dup 1\nput dup 2\n\n\n"),
      Step("txn", input: "\nput dup 1\ndel dup\n\n\n"),
      Step("txn", input: "\nget a --rev=1000\nput x 1\n\n\n"),
      Step("txn -w json", input: "\nput j 1\nget j\ndel j\n\n\n"),
      Step(
        "txn", input: "\nput toomany 1\n" + (0..<200).map { "put k\($0) v\n" }.joined() + "\n\n"),
      Step("get '' --prefix -w json"),
      Step("compaction 5"), Step("compaction 5"), Step("compaction 1000"), Step("compaction 0"),
      Step("get a --rev=4"), Step("get a --rev=5"), Step("compaction 12 --physical"),
      Step("endpoint hashkv"), Step("endpoint hashkv --rev 3"), Step("endpoint hashkv --rev 500"),
      Step("endpoint hashkv --rev 14"), Step("endpoint health"), Step("alarm list"),
      Step("alarm disarm"), Step("defrag"), Step("endpoint hashkv"), Step("member list"),
      Step("member list -w json"), Step("move-leader 1"), Step("move-leader xyz"),
      Step("get '' --prefix --rev=14"), Step("unknown-command"),
    ]

  /// Takes out what may differ: ids, ports, times, term and raft positions.
  static func normalise(_ text: String, _ member: Member) -> String {
    var text = text
    for (pattern, replacement) in [
      ("127\\.0\\.0\\.1:\(member.clientPort)", "CLIENT"),
      ("127\\.0\\.0\\.1:\(member.peerPort)", "PEER"),
      ("client-[0-9a-f-]{36}", "CLIENT-ID"), ("0x[0-9a-f]{8,}", "POINTER"),
      ("\"ts\":\"[^\"]*\"", "TS"), ("took = [0-9.]+[a-zµ]+", "took"),
      ("took [0-9.]+[a-zµ]+", "took"),
      ("\"raft_term\":[0-9]+", "RAFT_TERM"), ("\"RaftTerm\" : [0-9]+", "RAFT_TERM"),
      ("\"(cluster|member)_id\":[0-9]+", "$1"), ("\"ID\":[0-9]+", "ID"),
      ("\"(Cluster|Member)ID\" : [0-9]+", "$1"), ("(?m)^[0-9a-f]{12,16}, ", "ID, "),
      ("\"caller\":\"[^\"]*\"", "CALLER"),
    ] {
      text = text.replacingOccurrences(of: pattern, with: replacement, options: .regularExpression)
    }
    return text
  }

  @Test(
    .enabled(if: Binaries.ctl34 != nil && Binaries.ctl35 != nil && Binaries.go35 != nil),
    arguments: ["3.4", "3.5"])
  func outputEqualsTheRealServers(version: String) throws {
    let ctl = try #require(version == "3.4" ? Binaries.ctl34 : Binaries.ctl35)
    let official = try #require(Binaries.go35)
    let clusters = [official, Binaries.ours].map { Cluster([$0]) }
    for cluster in clusters { try cluster.start() }
    // The comparison means something only when two different servers answer.
    let versions = clusters.map { httpGet("\($0.members[0].endpoint)/version") ?? "" }
    #expect(versions[0].contains("\"3.5.1\"") && !versions[1].contains("\"3.5.1\""))
    var differences: [String] = []
    var succeeded = 0
    for step in Self.script {
      let answers = clusters.map { cluster in
        let member = cluster.members[0]
        let done = run(ctl, ["--endpoints", member.endpoint] + step.arguments, input: step.input)
        return Finished(
          status: done.status, output: Self.normalise(done.output, member),
          error: Self.normalise(done.error, member))
      }
      if answers[1].status == 0 { succeeded += 1 }
      // The protobuf form holds ids and terms; its length and outcome are compared.
      let isBinary = step.arguments.contains("protobuf")
      let equal =
        isBinary
        ? answers[0].status == answers[1].status && !answers[1].output.isEmpty
        : answers[0] == answers[1]
      if !equal {
        differences.append("\(step)\n--- etcd 3.5.1\n\(answers[0])\n--- ours\n\(answers[1])")
      }
    }
    #expect(succeeded > Self.script.count / 2)
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n\n"))")
  }

  /// A snapshot taken from us is accepted by Go's tools, and restores to the same data.
  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.utl35 != nil && Binaries.go35 != nil))
  func snapshotIsAcceptedByGo() throws {
    let ctl = try #require(Binaries.ctl35)
    let utl = try #require(Binaries.utl35)
    let official = try #require(Binaries.go35)
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    for n in 0..<50 {
      #expect(
        run(ctl, ["--endpoints", member.endpoint, "put", "key\(n % 20)", "value\(n)"]).status == 0)
    }
    let file = cluster.scratch.path + "/snapshot.db"
    let saved = run(ctl, ["--endpoints", member.endpoint, "snapshot", "save", file])
    #expect(saved.status == 0, "\(saved)")
    let status = run(utl, ["snapshot", "status", file, "-w", "json"])
    #expect(status.status == 0 && status.output.contains("\"revision\":51"), "\(status)")
    let restored = Cluster([official])
    let target = restored.members[0]
    let done = run(
      utl,
      [
        "snapshot", "restore", file, "--data-dir", target.directory, "--name", "m1",
        "--initial-cluster", "m1=http://127.0.0.1:\(target.peerPort)",
        "--initial-advertise-peer-urls", "http://127.0.0.1:\(target.peerPort)",
        "--initial-cluster-token", "interop",
      ])
    #expect(done.status == 0, "\(done)")
    try restored.start()
    #expect(hashKV(target) == hashKV(member))
  }
}
