import Foundation
import TestSupport
import Testing

/// Our etcdctl says the same as the official 3.5.1 about the same server.
@Suite(.serialized) struct OurEtcdctlTests {
  private typealias Step = EtcdctlTests.Step

  /// Commands whose results differ on purpose: Go's client panics at compares of leases.
  private static let script: [Step] =
    EtcdctlTests.script.filter { !$0.input.contains("lease(") }
    + [
      "get a b --prefix", "get a --order=UP", "get a --sort-by=SIZE", "get", "put", "del",
      "del a --prefix --from-key", "get a --keys-only --count-only", "get a --count-only",
      "get a --print-value-only -w json", "put a b --lease=xyz",
      "put a b --lease=fffffffffffffffff",
      "compaction x", "compaction", "txn x", "alarm list x", "alarm disarm x", "member list x",
      "member remove", "member remove xyz", "member remove 1", "member update 1",
      "member update 1 --peer-urls=http://127.0.0.1:1", "member update zz", "member add",
      "member add n", "member add n http://x", "member add n --peer-urls=bad",
      "member promote 1", "member promote", "move-leader", "endpoint health -w table",
      "endpoint health -w json", "endpoint health -w fields", "endpoint health -w protobuf",
      "endpoint status", "endpoint status -w json", "endpoint status -w table",
      "endpoint status -w fields", "endpoint status --cluster", "endpoint hashkv --cluster",
      "endpoint hashkv -w json", "endpoint hashkv -w table", "endpoint hashkv -w fields",
      "member list -w table", "member list -w fields", "member list --hex -w json",
      "member list -w protobuf", "put t1 v -w table", "get t1 -w table", "del t1 -w fields",
      "put t2 v -w json", "put t2 v -w fields --prev-kv", "put t2 v -w json --prev-kv",
      "del t2 -w json --prev-kv", "get a -w yaml", "txn -w fields", "alarm list -w json",
      "alarm list -w fields", "alarm disarm -w json", "defrag --cluster", "lease grant",
      "lease grant x", "lease revoke xyz", "lease timetolive", "lease keep-alive", "user add",
      "user delete", "user passwd", "user grant-role x", "user revoke-role x", "role add",
      "role grant-permission r", "role grant-permission r bogus k", "role revoke-permission r",
      "auth enable x", "auth status x", "role grant-permission r read k e --prefix",
      "check perf --load z", "check datascale --load z", "snapshot save", "snapshot save a b",
      "snapshot status", "snapshot status a b", "snapshot status nowhere.db",
      "snapshot restore", "snapshot restore nowhere.db --name x", "version", "get --endpoints",
      "get a --endpoints=", "snapshot", "member", "en h",
    ].map { Step($0, input: $0 == "txn -w fields" ? "\nput tf 1\nget tf\ndel tf\n\n\n" : "") } + [
      Step("txn", input: "bogus\n\n\n\n"), Step("txn", input: "size(\"a\") = \"1\"\n\n\n\n"),
      Step("txn", input: "mod(a) = \"1\"\n\n\n\n"),
      Step("txn", input: "mod(\"a\") = \"x\"\n\n\n\n"),
      Step("txn", input: "\nfetch a\n\n\n"), Step("txn", input: "\nput\n\n\n"),
      Step("txn", input: "\nget a --bogus\n\n\n"), Step("txn", input: ""),
      Step("txn", input: "\nput \"q \\\"k\\\" \\x41\" \"v\\n\\u00e4\"\nget q --prefix\n\n\n"),
      Step("txn -i", input: "\nget a\n\n\n"), Step("get q --prefix --hex"),
      Step("get q --prefix -w fields"), Step("get q --prefix -w json"),
    ]

  /// Takes out what a client may say of its own: Go's client logs attempts that failed.
  private static func comparable(_ done: Finished, _ member: Member) -> Finished {
    func text(_ text: String) -> String {
      let lines = EtcdctlTests.normalise(text, member)
        .split(separator: "\n", omittingEmptySubsequences: false)
      // Since a later 3.5, del with a range says what becomes of it.
      return lines.filter { !$0.hasPrefix("{\"level\":") && !$0.hasPrefix("In etcd v3.6") }
        .joined(separator: "\n")
        .replacing(#/[0-9.]+(ms|µs|s)\b/#, with: "TIME")
        .replacing(#/\| +TIME \|/#, with: "| TIME |").replacing(#/-{8,}/#, with: "---")
        .replacing(#/ +TOOK +/#, with: " TOOK ")
        .replacing(#/"(raftIndex|raftAppliedIndex|leader|raftTerm)":\d+/#, with: "$1")
        .replacing(#/"(RaftIndex|RaftAppliedIndex|Leader)" : \d+/#, with: "$1")
        .replacing(#/\b[0-9a-f]{13,20}\b/#, with: "ID").replacing(#/\| +ID +\|/#, with: "| ID |")
        .replacing(#/("dbSize":|"dbSizeInUse":|"DBSize" : )\d+/#, with: "SIZE")
        .replacing(#/\d+ kB/#, with: "SIZE")
        .replacing(#/etcdctl version: [0-9.]+/#, with: "VERSION")
        .replacing(#/(\| | )\d+( \||,) +\d+( \||,) +\d+( \||,|$)/#, with: "RAFT")
    }
    return Finished(status: done.status, output: text(done.output), error: text(done.error))
  }

  private func compare(
    _ steps: [Step], _ official: String, on members: [Member],
    variables: [String: String] = [:]
  ) -> [String] {
    var differences: [String] = []
    var succeeded = 0
    for step in steps {
      let answers = zip([official, Binaries.ourCtl], members).map { ctl, member in
        Self.comparable(
          run(
            ctl, ["--endpoints", member.endpoint] + step.arguments, input: step.input,
            variables: variables), member)
      }
      if answers[1].status == 0 { succeeded += 1 }
      let isBinary = step.arguments.contains("protobuf")
      let isEqual =
        isBinary
        ? answers[0].status == answers[1].status
          && answers[0].output.isEmpty == answers[1].output.isEmpty
        : answers[0] == answers[1]
      if !isEqual {
        differences.append("\(step)\n--- etcdctl 3.5.1\n\(answers[0])\n--- ours\n\(answers[1])")
      }
    }
    #expect(succeeded > 0)
    return differences
  }

  private static func started(_ binary: String) throws -> Cluster {
    let cluster = Cluster([binary])
    try cluster.start()
    return cluster
  }

  /// Two servers of one kind in equal states: one for each client.
  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil), arguments: [true, false])
  func resultsAreEqual(ourServer: Bool) throws {
    let official = try #require(Binaries.ctl35)
    let go = try #require(Binaries.go35)
    let binary = ourServer ? Binaries.ours : go
    let clusters = try [binary, binary].map(Self.started)
    let differences = compare(Self.script, official, on: clusters.map { $0.members[0] })
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n\n"))")
  }

  /// Leases, users and roles, on a server of Go's.
  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil)) func leasesAndUsersAreEqual()
    throws
  {
    let official = try #require(Binaries.ctl35)
    let go = try #require(Binaries.go35)
    let clusters = try [go, go].map(Self.started)
    let members = clusters.map { $0.members[0] }
    var steps: [Step] = [
      "lease grant 100", "lease grant 100 -w json", "lease grant 100 -w fields", "lease grant -1",
      "lease revoke 1", "lease timetolive 1", "lease timetolive 1 -w json",
      "lease timetolive 1 -w fields", "lease keep-alive --once 1", "lease grant 5 -w table",
      "auth status", "auth status -w json", "auth enable", "user add root:pw", "user add u:p1",
      "user add u:p1", "user add :x", "user add v --new-user-password=p2",
      "user add w --no-password",
      "user list", "user list -w json", "role list", "role add r", "role add r",
      "role add s -w json",
      "role grant-permission r read a", "role grant-permission r write b c",
      "role grant-permission r readwrite d --prefix",
      "role grant-permission r readwrite e --from-key", "role get r", "role get r -w json",
      "role get r -w fields", "role get none", "role list -w fields",
      "role revoke-permission r b c", "role revoke-permission r a",
      "role revoke-permission r a", "user grant-role u r", "user grant-role u none",
      "user get u", "user get u --detail", "user get u -w json", "user revoke-role u r",
      "user revoke-role u r", "user grant-role u r", "user delete v", "user delete none",
      "auth enable", "get a", "get a --user u:p1", "get d --user u:p1", "put d1 x --user u:p1",
      "put x x --user u:p1", "get a --user u:wrong", "get a --user u --password p1",
      "endpoint health --user u:p1", "member list --user root:pw", "auth status --user root:pw",
      "endpoint status --user root:pw", "role delete s --user root:pw",
      "auth disable --user u:p1", "auth disable --user root:pw", "get d1",
    ].map { Step($0) }
    steps.insert(
      Step("user passwd u --interactive=false", input: "p1\n"), at: steps.count - 20)
    let differences = compare(steps, official, on: members)
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n\n"))")
    // Real leases: their ids differ.
    func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }
    let outputs = zip([official, Binaries.ourCtl], members).map { ctl, member in
      func ctlRun(_ line: String) -> String {
        let done = run(ctl, ["--endpoints", member.endpoint] + words(line))
        return done.output + done.error
      }
      let id = words(ctlRun("lease grant 1000"))[1]
      let lines = [
        "put kept v --lease=\(id)", "lease timetolive \(id) --keys",
        "lease keep-alive --once \(id)",
        "lease timetolive \(id) --keys -w json", "lease list", "lease revoke \(id)", "get kept",
      ]
      return lines.map(ctlRun).joined().replacing(id, with: "ID")
        .replacing(#/[0-9a-f]{16,20}/#, with: "ID").replacing("(999s)", with: "(1000s)")
        .replacing("\"ttl\":999", with: "\"ttl\":1000")
        .replacing(#/("(cluster_id|member_id|raft_term|id)"):\d+/#, with: "N")
    }
    #expect(outputs[0] == outputs[1])
  }

  /// Help, misuse and unknown commands.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func commandLinesAreUnderstoodAlike() throws {
    let official = try #require(Binaries.ctl35)
    let lines: [[String]] =
      [
        [], ["--help"], ["help"], ["help", "snapshot"], ["help", "bogus"], ["bogus"], ["gett"],
        ["get", "--bogus"], ["-z"], ["--dial-timeout=x", "get"], ["get", "--limit", "x"],
        ["--endpoints"], ["--version"], ["help", "help"], ["get", "-w"], ["", "x"],
      ]
      + [
        "get", "put", "del", "txn", "compaction", "alarm", "alarm list", "alarm disarm", "defrag",
        "endpoint", "endpoint health", "endpoint status", "endpoint hashkv", "move-leader",
        "version", "lease", "lease grant", "lease revoke", "lease timetolive", "lease list",
        "lease keep-alive", "member", "member add", "member remove", "member update",
        "member list", "member promote", "snapshot save", "snapshot restore", "snapshot status",
        "auth", "auth enable", "auth status", "user", "user add", "user delete", "user get",
        "user list", "user passwd", "user grant-role", "user revoke-role", "role", "role add",
        "role delete", "role get", "role list", "role grant-permission", "role revoke-permission",
        "check", "check perf", "check datascale",
      ].map { $0.split(separator: " ").map(String.init) + ["--help"] }
    // What only one of the two has, and the version.
    let own = [
      "\tcompletion ", "\tdoctor\t", "\tdiscovery new\t", "\ttop\t", "\tmigrate\t", "\telect\t",
      "\tlock\t",
      "\tmake-mirror\t",
      "\twatch\t", "\t3.5.",
    ]
    for line in lines {
      let found = [official, Binaries.ourCtl].map { ctl in
        let done = run(ctl, line)
        func cut(_ text: String) -> String {
          text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { line in !own.contains { line.hasPrefix($0) } }.joined(separator: "\n")
        }
        return Finished(status: done.status, output: cut(done.output), error: cut(done.error))
      }
      #expect(found[0] == found[1], "\(line)")
    }
  }

  @Test func environmentAndEndpoints() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    let endpoint = "127.0.0.1:\(member.clientPort)"
    let nobody = "127.0.0.1:\(freePorts(1)[0])"
    func ctl(_ words: [String], _ variables: [String: String] = [:]) -> Finished {
      run(Binaries.ourCtl, words, variables: variables)
    }
    #expect(ctl(["put", "k", "v"], ["ETCDCTL_ENDPOINTS": endpoint]).output == "OK\n")
    // The flag wins.
    let shadowed = ctl(
      ["get", "k", "--endpoints", endpoint],
      ["ETCDCTL_ENDPOINTS": nobody, "ETCDCTL_WRITE_OUT": "json", "ETCDCTL_HEX": "true"])
    #expect(shadowed.output.contains("\"kvs\":[{\"key\":\"aw==\""), "\(shadowed)")
    #expect(shadowed.error.contains("ETCDCTL_ENDPOINTS") && shadowed.error.contains("flag wins"))
    #expect(ctl(["get", "k"], ["ETCDCTL_API": "4"]).status == 1)
    let bad = ctl(["get", "k", "--endpoints", endpoint], ["ETCDCTL_DIAL_TIMEOUT": "soon"])
    #expect(bad.status == 0 && bad.error.contains("ETCDCTL_DIAL_TIMEOUT"), "\(bad)")
    // What the client says of failed attempts has tests of its own.
    // What Go's says comes first; the hint behind it is ours.
    let hint =
      "Hint: \(nobody): connect failed: connection refused. Nothing listens there: see "
      + "whether etcd runs, and compare with its --listen-client-urls.\n"
    // An endpoint that refuses makes room for the next.
    #expect(ctl(["get", "k", "--endpoints", "\(nobody),http://\(endpoint)"]).output == "k\nv\n")
    let alone = ctl(["put", "k", "w", "--endpoints", nobody, "--command-timeout=300ms"])
    #expect(alone.status == 1 && alone.output.isEmpty)
    #expect(withoutLog(alone.error) == "Error: context deadline exceeded\n" + hint)
    let health = ctl(
      ["endpoint", "health", "--endpoints", "\(nobody),\(endpoint)", "--command-timeout=500ms"])
    #expect(health.status == 1 && health.output.contains("\(endpoint) is healthy"))
    #expect(
      withoutLog(health.error)
        == "\(nobody) is unhealthy: failed to commit proposal: context deadline exceeded\n"
        + "Error: unhealthy cluster\n" + hint)
    for (words, error) in [
      (["--cert", "c"], "KeyFile and CertFile must both be present[key: , cert: c]"),
      (["--cacert", "c"], "open c: no such file or directory"),
      (["--key="], "empty string is passed to --key option"),
    ] {
      let refused = ctl(["get", "k"] + words)
      #expect(refused.status == 128 && refused.error == "Error: \(error)\n", "\(refused)")
    }
  }

  /// Bytes that are no text survive arguments, standard input and output.
  @Test func bytesAreKept() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let script = """
      "$1" --endpoints "$2" put $'k\\xff\\x01' $'v\\xfe' && printf 'in\\xfd\\0put' |
      "$1" --endpoints "$2" put piped && "$1" --endpoints "$2" get '' --prefix | od -An -tx1
      """
    let done = run(
      "/bin/bash", ["-c", script, "bash", Binaries.ourCtl, cluster.members[0].endpoint])
    let hex = done.output.split(whereSeparator: \.isWhitespace).dropFirst(2).joined(separator: " ")
    #expect(
      hex == "6b ff 01 0a 76 fe 0a 70 69 70 65 64 0a 69 6e fd 00 70 75 74 0a", "\(done)")
  }

  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil), arguments: [true, false])
  func snapshotsAreSaved(ourServer: Bool) throws {
    let official = try #require(Binaries.ctl35)
    let go = try #require(Binaries.go35)
    let cluster = Cluster([ourServer ? Binaries.ours : go])
    try cluster.start()
    let member = cluster.members[0]
    for n in 0..<30 {
      #expect(
        run(Binaries.ourCtl, ["--endpoints", member.endpoint, "put", "k\(n)", "v"]).status == 0)
    }
    let file = cluster.scratch.path + "/s.db"
    let saved = run(Binaries.ourCtl, ["--endpoints", member.endpoint, "snapshot", "save", file])
    #expect(saved.status == 0 && saved.output == "Snapshot saved at \(file)\n", "\(saved)")
    for message in ["created temporary db file", "fetching snapshot", "fetched snapshot", "saved"] {
      #expect(saved.error.contains("\"msg\":\"\(message)\""))
    }
    let files = try FileManager.default.contentsOfDirectory(atPath: cluster.scratch.path)
    #expect(!files.contains("s.db.part"))
    for format in ["simple", "json", "table", "fields"] {
      let line = ["snapshot", "status", file, "-w", format]
      let own = run(Binaries.ourCtl, line)
      #expect(own == run(official, line) && own.error.hasPrefix("Deprecated: "), "\(own)")
      #expect(own.status == 0)
    }
    let target = cluster.scratch.path + "/restored"
    let restored = run(Binaries.ourCtl, ["snapshot", "restore", file, "--data-dir", target])
    #expect(restored.status == 0, "\(restored)")
    let several = run(
      Binaries.ourCtl,
      ["--endpoints", "\(member.endpoint),\(member.endpoint)", "snapshot", "save", file])
    #expect(several.status == 5 && several.error.contains("one selected node"))
    let nowhere = run(
      Binaries.ourCtl,
      ["--endpoints", member.endpoint, "snapshot", "save", cluster.scratch.path + "/no/s.db"])
    #expect(nowhere.status == 5 && nowhere.error.contains("could not open"))
  }

  @Test(.enabled(if: Binaries.ctl35 != nil)) func membersComeAndGo() throws {
    let official = try #require(Binaries.ctl35)
    let clusters = try [Binaries.ours, Binaries.ours].map(Self.started)
    let outputs = zip([official, Binaries.ourCtl], clusters).map { ctl, cluster -> String in
      let member = cluster.members[0]
      func ctlRun(_ words: String...) -> Finished {
        run(ctl, ["--endpoints", member.endpoint] + words)
      }
      let url = "http://127.0.0.1:1"
      let added = ctlRun("member", "add", "new", "--peer-urls=\(url)", "--learner")
      let id = String(added.output.split(separator: " ").dropFirst().first ?? "")
      let json = ctlRun("member", "list", "-w", "json")
      let all = [
        added, ctlRun("member", "list"), json,
        ctlRun("member", "update", id, "--peer-urls=http://127.0.0.1:2"),
        ctlRun("member", "promote", id), ctlRun("member", "remove", id),
        ctlRun("member", "remove", id), ctlRun("member", "list", "-w", "table"),
      ]
      return all.map { "\($0.status) " + EtcdctlTests.normalise($0.output + $0.error, member) }
        .joined()
        .replacing(#/\{"level.*\n/#, with: "").replacing(#/\b[0-9a-f]{12,16}\b/#, with: "ID")
        // A table is as wide as its ids and addresses.
        .replacing(#/ {2,}/#, with: " ").replacing(#/-{3,}/#, with: "---")
    }
    // Members stand in the order of their ids, which differ: only what is said of each is compared.
    let words = outputs.map { $0.split { "\n,={}[]\"".contains($0) }.sorted() }
    #expect(words[0] == words[1], "\(outputs[0])\n--- ours\n\(outputs[1])")
  }
}
