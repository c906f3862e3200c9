import Foundation
import TestSupport
import Testing

/// `watch`, `lock`, `elect` and `make-mirror` of our etcdctl beside those of the official 3.5.1, on servers
/// of both kinds: the same is done with each, and what they say and end with is compared.
@Suite(.serialized) struct OurEtcdctlWatchTests {
  static let servers = [Binaries.ours, Binaries.go35].compactMap { $0 }
  private static let isComparable = Binaries.ctl35 != nil && Binaries.go35 != nil

  /// What one etcdctl said and did with a cluster of its own.
  private struct Transcript {
    let ctl: String
    let cluster: Cluster
    private(set) var lines: [String] = []

    init(_ ctl: String, _ server: String) throws {
      self.ctl = ctl
      cluster = Cluster([server])
      try cluster.start()
    }

    private func words(_ line: [String]) -> [String] { ["--endpoints", cluster.endpoints] + line }

    /// Runs a command to its end.
    mutating func done(
      _ line: String, _ exec: [String] = [], input: String = "",
      variables: [String: String] = [:]
    ) {
      let step = EtcdctlTests.Step(line).arguments + exec
      let done = run(ctl, words(step), input: input, variables: variables)
      note("\(step)", done)
    }

    /// Starts a command that goes on.
    func begin(_ line: String, _ exec: [String] = [], variables: [String: String] = [:]) throws
      -> Running
    {
      try Running(ctl, words(EtcdctlTests.Step(line).arguments + exec), variables)
    }

    mutating func note(_ name: String, _ done: Finished) {
      lines.append(
        "\(name): \(done.status)\n\(Self.plain(done.output))---\n\(Self.plain(done.error))")
    }

    /// Does something with the official client, unseen.
    func put(_ line: String) {
      let done = cluster.ctl(EtcdctlTests.Step(line).arguments)
      #expect(done.status == 0, "\(line): \(done)")
    }

    /// Waits until so many keys begin with a prefix.
    func wait(for count: Int, in prefix: String) throws {
      try wait {
        cluster.ctl(["get", prefix, "--prefix", "--count-only", "-w", "fields"]).output
          .contains("\"Count\" : \(count)\n")
      }
    }

    func wait(_ condition: () -> Bool) throws {
      let late = Date().addingTimeInterval(20)
      while !condition() {
        try #require(Date() < late, "\(ctl) does not go on")
        usleep(10_000)
      }
    }

    private static func plain(_ text: String) -> String {
      text.split(separator: "\n", omittingEmptySubsequences: false)
        .filter { !$0.hasPrefix("{\"level\":") }.joined(separator: "\n")
        .replacing(#/"(cluster_id|member_id|lease)":\d+/#, with: "ID")
        .replacing(#/"(ClusterID|MemberID|Lease)" : \d+/#, with: "ID")
        .replacing(#/"raft_term":\d+|"RaftTerm" : \d+/#, with: "TERM")
        .replacing(#/[0-9a-f]{13,16}/#, with: "HEX")
        .replacing(#/"key":"bC8[^"]*"/#, with: "KEY")
    }
  }

  private static func compare(
    _ server: String, _ body: (inout Transcript) throws -> Void
  ) throws {
    var transcripts: [[String]] = []
    for ctl in [try #require(Binaries.ctl35), Binaries.ourCtl] {
      var transcript = try Transcript(ctl, server)
      try body(&transcript)
      transcripts.append(transcript.lines)
    }
    #expect(transcripts[0].count == transcripts[1].count && !transcripts[0].isEmpty)
    for (official, ours) in zip(transcripts[0], transcripts[1]) {
      #expect(official == ours, "--- etcdctl 3.5.1\n\(official)\n--- ours\n\(ours)")
    }
  }

  // MARK: watch

  @Test(.enabled(if: isComparable), arguments: servers) func historyIsShownAlike(server: String)
    throws
  {
    try Self.compare(server) { desk in
      for line in [
        "w/a 1", "w/a 2", "v/a 0", "w/b x", "w/\u{e9} \u{e4}",
      ] { desk.put("put \(line)") }
      desk.put("del w/a")
      desk.put("put w/zz END")
      let script: [(line: String, exec: [String])] =
        ["simple", "json", "fields"].flatMap { format in
          ["", " --prev-kv", " --hex"].map { ("watch w/ --prefix --rev 2 -w \(format)\($0)", []) }
        } + [
          ("watch w/a w/zzz --rev 3", []), ("watch w/zz w/zzz extra --rev 2", []),
          ("watch w/ --prefix --rev=2 --progress-notify", []),
          (
            "watch w/ --prefix --rev 2 --",
            [
              "sh", "-c",
              "echo $ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE",
            ]
          ), ("watch --rev 2 --prefix w/ --", ["echo", "hello"]),
        ]
      for (line, exec) in script {
        let marker =
          exec.last == "hello" ? "hello\n" : line.contains("simple --hex") ? "x45" : "END"
        let watch = try desk.begin(line, exec)
        // The value stands in base64 in JSON, and in quotes where a command shows it.
        try watch.wait(
          for: line.contains("json") ? "RU5E" : exec.first == "sh" ? "\"END\"" : marker)
        if exec.last == "hello" { try watch.wait(for: String(repeating: "hello\n", count: 6)) }
        desk.note(line, watch.end(SIGTERM))
      }
      let byVariables = try desk.begin(
        "watch --rev 2", variables: ["ETCDCTL_WATCH_KEY": "w/a", "ETCDCTL_WATCH_RANGE_END": "w0"])
      try byVariables.wait(for: "END")
      desk.note("variables", byVariables.end(SIGINT))
      let binary = try desk.begin("watch w/ --prefix --rev 2 -w protobuf")
      try binary.wait(for: "END")
      #expect(binary.end(SIGTERM).output.contains("w/zz"))
    }
  }

  @Test(.enabled(if: isComparable), arguments: servers) func refusalsAreAlike(server: String) throws
  {
    try Self.compare(server) { desk in
      desk.put("put a 1")
      desk.put("put a 2")
      for line in [
        "watch", "watch --prefix", "watch a --", "watch a b --prefix", "watch a --rev x",
        "watch a --bogus", "watch a --rev 2 -w table", "watch a -w yaml", "lock", "lock l --ttl x",
        "elect", "elect e", "elect e x -l", "elect a b c", "make-mirror", "make-mirror a b",
        "make-mirror 127.0.0.1:1 --dest-prefix x --no-dest-prefix", "watch --help", "lock --help",
        "elect --help", "make-mirror --help",
      ] { desk.done(line) }
      for exec in [
        ["sh", "-c", "exit 3"], ["nonexisting"], ["/nonexisting"], ["sh", "-c", "kill -9 $$"],
      ] {
        desk.done("watch a --rev 2 --", exec)
        desk.done("lock l --", exec)
      }
      desk.done("watch a", variables: ["ETCDCTL_WATCH_KEY": "b"])
      desk.done("watch a --", ["echo"], variables: ["ETCDCTL_WATCH_KEY": "b"])
      desk.done("watch a", variables: ["ETCDCTL_WATCH_RANGE_END": "b"])
      for input in ["", "\n", "bogus\n", "watch\n", "watch a b --prefix\n", "progress\n"] {
        desk.done("watch -i", input: input)
      }
      for input in ["watch a --bogus\n", "watch a --\n", "watch --prefix\n"] {
        desk.done("watch -i", input: input)
      }
      desk.put("compaction 3")
      for format in ["simple", "json", "fields"] {
        desk.done("watch a --rev 1 -w \(format)")
      }
      for words in ["user add root:pw", "role add root", "user grant-role root root"] {
        desk.put(words)
      }
      desk.put("user add u:pw")
      desk.put("auth enable")
      desk.done("--user u:pw watch a")
      desk.done("watch a")
      desk.done("--user u:pw lock l")
      desk.done("--user u:bad watch a")
    }
  }

  @Test(.enabled(if: isComparable), arguments: servers) func aDialogueGoesAlike(server: String)
    throws
  {
    try Self.compare(server) { desk in
      let watch = try desk.begin("watch -i")
      watch.type("watch i\n")
      // Put only once the watch exists; it says nothing about that, but an answer about progress does.
      watch.type("progress\n")
      try watch.wait(for: "progress notify: 1\n")
      desk.put("put i 1")
      try watch.wait(for: "i\n1\n")
      watch.type("watch \"j \\x6b\" --prefix --rev 1 -- echo hello\n")
      desk.put("put jk no")
      desk.put("put i 2")
      try watch.wait(for: "i\n2\n")
      watch.type("watch l --rev 1 --prev-kv\n")
      desk.put("put l 1")
      try watch.wait(for: "l\n1\n")
      desk.put("put l 2")
      try watch.wait(for: "l\n1\nl\n2\n")
      watch.type("bogus\n")
      desk.note("dialogue", watch.endInput())
    }
  }

  // MARK: lock and elect

  @Test(.enabled(if: isComparable), arguments: servers) func locksGoAlike(server: String) throws {
    try Self.compare(server) { desk in
      desk.done("lock l --", ["sh", "-c", "echo $ETCD_LOCK_KEY $ETCD_LOCK_REV; exit 7"])
      desk.done("lock l --ttl 0 --", ["sh", "-c", "cat; echo done"])
      for (format, marker) in [
        ("simple", "l/"), ("json", "\"count\":1}"), ("fields", "\"Count\" : 1"),
      ] {
        let lock = try desk.begin("lock l -w \(format)")
        try lock.wait(for: marker)
        desk.note("lock \(format)", lock.end(SIGINT))
      }
      // One waits for the other, whichever kind it is.
      let first = try desk.begin("lock l")
      try first.wait(for: "l/")
      let waiting = try desk.begin("lock l --", ["sh", "-c", "echo $ETCD_LOCK_REV"])
      try desk.wait(for: 2, in: "l/")
      let other = try Running(
        try #require(Binaries.ctl35), ["--endpoints", desk.cluster.endpoints, "lock", "l"], [:])
      try desk.wait(for: 3, in: "l/")
      #expect(waiting.output.isEmpty && other.output.isEmpty)
      desk.note("first", first.end(SIGTERM))
      desk.note("waiting", waiting.result())
      try other.wait(for: "l/")
      let given = try desk.begin("lock l")
      try desk.wait(for: 2, in: "l/")
      desk.note("given up", given.end(SIGINT))
      #expect(other.end(SIGINT).status == 0)
      desk.done("get l/ --prefix")
    }
  }

  /// Go leaves the command running; what it does then is done without the lock.
  @Test(arguments: servers) func aLostLockEndsItsCommand(server: String) throws {
    let desk = try Transcript(Binaries.ourCtl, server)
    let lock = try desk.begin(
      "lock l --ttl 3 --",
      ["sh", "-c", "trap 'echo ended; exit 9' TERM; echo on; while :; do sleep 0.1; done"])
    try lock.wait(for: "on\n")
    let leases = desk.cluster.ctl(["lease", "list"]).output.split(separator: "\n")
    desk.put("lease revoke \(try #require(leases.last))")
    let done = lock.result()
    #expect(done == Finished(status: 1, output: "on\nended\n", error: "Error: session expired\n"))
  }

  @Test(.enabled(if: isComparable), arguments: servers) func electionsGoAlike(server: String) throws
  {
    try Self.compare(server) { desk in
      let observer = try desk.begin("elect e -l")
      let first = try desk.begin("elect e one")
      try first.wait(for: "one\n")
      try observer.wait(for: "one\n")
      let second = try desk.begin("elect e two -w json")
      let third = try desk.begin("elect e three")
      try desk.wait(for: 3, in: "e/")
      let count = (second.output.isEmpty ? 1 : 0) + (third.output.isEmpty ? 1 : 0)
      #expect(count == 2)
      desk.note("first", first.end(SIGINT))
      // Whoever came first follows.
      try desk.wait { !second.output.isEmpty || !third.output.isEmpty }
      let (next, last) = second.output.isEmpty ? (third, second) : (second, third)
      #expect(next.end(SIGTERM).status == 0)
      try desk.wait { !last.output.isEmpty }
      #expect(last.end(SIGTERM).status == 0)
      try observer.wait(for: "two\n")
      try observer.wait(for: "three\n")
      let seen = observer.end(SIGINT)
      #expect(seen.status == 0 && seen.error.isEmpty, "\(seen)")
      let names = seen.output.split(separator: "\n").filter { !$0.hasPrefix("e/") }
      #expect(names.first == "one" && names.count == 3, "\(seen)")
      let waiting = try desk.begin("elect e4 one")
      try waiting.wait(for: "one\n")
      let given = try desk.begin("elect e4 two")
      try desk.wait(for: 2, in: "e4/")
      desk.note("given up", given.end(SIGTERM))
      desk.note("waiting", waiting.end(SIGTERM))
      desk.done("get e --prefix")
    }
  }

  // MARK: make-mirror

  @Test(.enabled(if: isComparable), arguments: servers) func mirrorsAreAlike(server: String) throws
  {
    try Self.compare(server) { desk in
      for key in ["p/a", "p/b", "q/a", "p/p/c"] { desk.put("put \(key) \(key)") }
      for flags in [
        "", "--prefix p/", "--prefix p/ --dest-prefix r/", "--prefix p/ --no-dest-prefix",
      ] {
        let target = Cluster([server])
        try target.start()
        let mirror = try desk.begin("make-mirror \(flags) \(target.endpoints)")
        func waitFor(_ text: String) {
          let late = Date().addingTimeInterval(20)
          while Date() < late, !target.ctl(["get", "", "--prefix"]).output.contains(text) {
            usleep(20_000)
          }
        }
        waitFor("p/p/c\n")
        desk.put("put p/later now")
        desk.put("put q/later now")
        desk.put("del p/b")
        desk.put("put p/end END\(flags.count)")
        waitFor("END\(flags.count)")
        desk.note("mirror \(flags)", mirror.end(SIGTERM))
        desk.note("copy", target.ctl(["get", "", "--prefix"]))
        desk.put("put p/b p/b")
        desk.put("del p/later")
        desk.put("del q/later")
      }
    }
  }

  // MARK: --debug, version

  @Test(.enabled(if: isComparable)) func debugListsTheFlags() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    for (line, variables) in [
      ("get a --debug", [:]), ("endpoint status --debug --cluster", [:]),
      ("member list", ["ETCDCTL_DEBUG": "true", "ETCDCTL_COMMAND_TIMEOUT": "90s"]),
      ("watch -i --debug", [:]), ("defrag --debug --hex", [:]),
    ] as [(String, [String: String])] {
      let texts = [try #require(Binaries.ctl35), Binaries.ourCtl].map { ctl in
        run(
          ctl, ["--endpoints", cluster.endpoints] + EtcdctlTests.Step(line).arguments,
          variables: variables
        ).error
      }
      let lists = texts.map { $0.split(separator: "\n").filter { $0.hasPrefix("ETCDCTL_") } }
      #expect(lists[0] == lists[1] && lists[0].count >= 18, "\(line)")
      #expect(
        line.hasPrefix("watch") || texts.allSatisfy { $0.contains("change to READY\n") },
        "\(texts[1])")
    }
  }

  @Test func theVersionIsLiteral() {
    let done = run(Binaries.ourCtl, ["version"])
    #expect(
      done
        == Finished(
          status: 0, output: "etcdctl version: 3.5.30\nAPI version: 3.5\n", error: ""))
  }
}
