import Foundation
import TestSupport
import Testing

/// `watch` and `make-mirror` of our etcdctl beside those of the official 3.5.1, on servers
/// of both kinds: the same is done with each, and what they say and end with is compared.
@Suite(.serialized) struct OurEtcdctlWatchTests {
  static let servers = [Binaries.ours, Binaries.go35].compactMap { $0 }
  static let isComparable = Binaries.ctl35 != nil && Binaries.go35 != nil

  // MARK: watch

  @Test(.enabled(if: isComparable), arguments: servers) func historyIsShownAlike(server: String)
    throws
  {
    try Transcript.compare(server) { desk in
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
    try Transcript.compare(server) { desk in
      desk.put("put a 1")
      desk.put("put a 2")
      for line in [
        "watch", "watch --prefix", "watch a --", "watch a b --prefix", "watch a --rev x",
        "watch a --bogus", "watch a -w yaml", "lock", "lock l --ttl x",
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
    try Transcript.compare(server) { desk in
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

  /// Members are killed in turn; what our etcdctl has shown by then is what an official one shows of the
  /// history.
  @Test(.enabled(if: isComparable), arguments: servers) func aWatchOutlivesItsMembers(
    server: String
  ) throws {
    let cluster = Cluster([server, server, server])
    try cluster.start()
    let words = ["--endpoints", cluster.endpoints, "watch", "w/", "--prefix", "--rev", "1"]
    let watch = try Running(Binaries.ourCtl, words, [:])
    var number = 0
    func put() {
      number += 1
      // One that meets the death of a leader may have been carried out; twice does no harm.
      let words = ["put", "w/\(number % 5)", "<\(number)>"]
      #expect((0..<5).contains { _ in cluster.ctl(words).status == 0 })
    }
    for member in cluster.members {
      for _ in 0..<5 { put() }
      try watch.wait(for: "<\(number)>")
      member.kill()
      for _ in 0..<5 { put() }
      try watch.wait(for: "<\(number)>")
      member.start()
      try member.waitHealthy()
    }
    let shown = watch.end(SIGTERM)
    let history = try Running(try #require(Binaries.ctl35), words, [:])
    try history.wait(for: "<\(number)>")
    #expect(history.end(SIGTERM).output == shown.output)
  }

  /// A member that has lost its cluster ends the watches of etcdctl, which want a leader.
  @Test(.enabled(if: isComparable), arguments: servers) func aWatchEndsWithoutALeader(
    server: String
  ) throws {
    let cluster = Cluster([server, server, server])
    try cluster.start()
    #expect(cluster.ctl(["put", "k", "<1>"]).status == 0)
    let words = ["--endpoints", cluster.members[0].endpoint, "watch", "k", "--rev", "1"]
    let watches = try [try #require(Binaries.ctl35), Binaries.ourCtl].map {
      try Running($0, words, [:])
    }
    for watch in watches { try watch.wait(for: "<1>") }
    for member in cluster.members.dropFirst() { member.kill() }
    let (official, ours) = (watches[0].result(), watches[1].result())
    #expect(official == ours)
    #expect(
      ours.status == 5
        && ours.error.hasPrefix("watch was canceled (etcdserver: no leader)\n"), "\(ours)")
  }

  // MARK: make-mirror

  @Test(.enabled(if: isComparable), arguments: servers) func mirrorsAreAlike(server: String) throws
  {
    try Transcript.compare(server) { desk in
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
