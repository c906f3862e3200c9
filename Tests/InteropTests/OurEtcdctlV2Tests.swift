import Foundation
import TestSupport
import Testing

/// Our etcdctl of the v2 API says the same as the official 3.5.1, each about a server of its own in the same state.
@Suite(.serialized) struct OurEtcdctlV2Tests {
  /// Words of a command line; `''` is an empty one, `_` stands for a blank inside of a word.
  private static func words(_ line: String) -> [String] {
    line.split(separator: " ").map { $0 == "''" ? "" : String($0).replacing("_", with: " ") }
  }

  private static func comparable(_ done: Finished, _ member: Member) -> Finished {
    func text(_ text: String) -> String {
      text.replacing("\(member.clientPort)", with: "CLIENT")
        .replacing("\(member.peerPort)", with: "PEER")
        .replacing(#/\b[0-9a-f]{15,16}\b/#, with: "ID")
        .replacing(#/\b3\.5\.\d+/#, with: "VERSION")
        .replacing(#/"expiration":"[^"]*"/#, with: "TIME")
    }
    return Finished(status: done.status, output: text(done.output), error: text(done.error))
  }

  private static func ctl(
    _ program: String, _ member: Member, _ words: [String], input: String = "",
    _ variables: [String: String] = [:]
  ) -> Finished {
    let common = ["ETCDCTL_API": "2", "ETCDCTL_ENDPOINTS": member.endpoint]
    let done = run(program, words, input: input, variables: common.merging(variables) { $1 })
    return comparable(done, member)
  }

  /// Runs every line with both programs.
  /// - Returns: the codes with which ours ended.
  @discardableResult
  private static func compare(
    _ lines: [String], _ members: [Member], input: String = "",
    _ variables: [String: String] = [:]
  ) throws -> Set<Int32> {
    let programs = [try #require(Binaries.ctl35), Binaries.ourCtl]
    var codes: Set<Int32> = []
    for line in lines {
      let found = zip(programs, members).map { program, member in
        ctl(program, member, words(line), input: input, variables)
      }
      codes.insert(found[1].status)
      #expect(found[0] == found[1], "\(line)")
    }
    return codes
  }

  private static func servers() throws -> [Cluster] {
    let go = try #require(Binaries.go35)
    let clusters = (0..<2).map { _ in Cluster([go], extra: ["--enable-v2"]) }
    for cluster in clusters { try cluster.start() }
    return clusters
  }

  private static let keys = [
    "set /a 1", "-o extended set /a 3", "-o json set /a 4", "-o json set /h<t>&m <&>",
    "set /sp_ace/ü% v_w+x&y=z", "get /sp_ace/ü%", "ls -r --sort", "ls -r -p --sort /", "ls /sp_ace",
    "ls /nope", "-o json ls -r --sort", "-o extended ls", "-o extended get /a", "get /nope",
    "-o json get /nope", "get", "set /b --ttl x v", "set /b --ttl 100 v", "-o extended get /b",
    "set --ttl -5 /b v", "update /b new", "set /b -- -v", "mk /b x", "mk /m x",
    "mk /q v2 --in-order",
    "ls --sort /q", "-o json mk /m2 y", "set /a 5 --swap-with-value 4",
    "set /a 6 --swap-with-value nope", "mkdir /dir", "mkdir /dir", "-o json mkdir /dir3 --ttl 100",
    "setdir /dir5", "updatedir /nope", "rm /dir", "rm -r /dir3", "rm /a --with-value nope",
    "rm /a --with-value 5", "rm /b", "-o json rm /m", "-o json rm -r /q", "rm /nope", "set / x",
    "-o bogus set /x 1", "--debug set /x y_z&\"", "--debug rm /x", "get /n/../h<t>&m", "set /n ''",
    "set /n", "exec-watch a", "--total-timeout 1ns get /n", "--cert-file c get /n",
    "--ca-file nope get /n", "--endpoints http://127.0.0.1:9 get /n",
    "--endpoints http://127.0.0.1:9 --no-sync get /n",
    "--endpoints http://127.0.0.1:9 --no-sync mk /zz n",
    "--endpoints http://127.0.0.1:9 cluster-health", "--endpoints foo:9 --no-sync get /n",
    "member list", "member add", "member add n 127.0.0.1:1", "member remove zz", "member remove m1",
    "member update aa http://127.0.0.1:3", "cluster-health", "--debug member list",
  ]

  private static let users = [
    "auth enable", "user list", "user add v:p2", "user get u", "role grant r --path /a --read",
    "role grant r --path /a --read", "role grant r --path /b/* --write",
    "role grant r --path /c --rw", "role get r", "role revoke r --path /c --write",
    "user grant u --roles r", "user get u", "user add root:pw", "user list", "auth enable",
    "-u u:p1 set /a 1", "-u u:p1 set /b/x 1", "-u u:no set /b/x 1", "-u u:p1 role list",
    "-u root:pw user remove root", "-u u:p1 auth disable", "-u root:pw --debug auth disable",
  ]

  private static let helps = [
    "", "help", "-v", "bogus", "help set", "set -h", "rm --help", "exec-watch --help", "member",
    "member help", "member bogus", "member --bogus", "role grant --help", "--bogus",
    "--output json -o simple ls", "--no-sync=maybe ls", "---x",
  ]

  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil)) func commandsAreEqual() throws
  {
    let clusters = try Self.servers()
    let members = clusters.map { $0.members[0] }
    let codes = try Self.compare(Self.keys, members)
    #expect(codes == [0, 1, 2, 4, 128])
    try Self.compare(Self.users, members)
    try Self.compare(Self.helps, members)
    try Self.compare(["set /in", "update /in"], members, input: "two\nlines")
    for (name, value) in [
      ("ENDPOINT", "http://127.0.0.1:9"), ("PEERS", "http://127.0.0.1:9"), ("CA_FILE", "/nope"),
      ("USERNAME", "a:b"), ("OUTPUT", "json"),
    ] {
      let only = name == "ENDPOINT" || name == "PEERS"
      try Self.compare(
        ["ls --sort"], members,
        ["ETCDCTL_\(name)": value].merging(only ? ["ETCDCTL_ENDPOINTS": ""] : [:]) { $1 })
    }
  }

  /// What changes is seen by watches of all kinds, and runs commands.
  @Test(.enabled(if: Binaries.ctl35 != nil && Binaries.go35 != nil)) func watchesAreEqual()
    async throws
  {
    let clusters = try Self.servers()
    let members = clusters.map { $0.members[0] }
    let official = try #require(Binaries.ctl35)
    let show = "env | grep ETCD_WATCH | sort | tr '\\n' ' '"
    let watches = [
      ["watch", "/foo"], ["watch", "-r", "-f", "/foo"], ["-o", "json", "watch", "-f", "/foo"],
      ["-o", "extended", "watch", "-r", "/foo"], ["watch", "--after-index", "3", "/before"],
      ["exec-watch", "/foo", "--", "sh", "-c", show],
      ["exec-watch", "--recursive", "/foo", "--", "sh", "-c", show],
      ["exec-watch", "/before", "--after-index", "3", "--", "nonesuch-\(getpid())"],
    ]
    let changes = [
      "set /foo 1", "set /foo 2", "rm /foo", "set /foo/x 3", "mkdir /foo/y", "rm -r /foo",
      "set /foo end",
    ].map(Self.words)
    let found = await withTaskGroup(of: (Int, [Finished]).self) { group in
      for (side, member) in members.enumerated() {
        let program = side == 0 ? official : Binaries.ourCtl
        let endpoint = member.endpoint
        group.addTask {
          (side, Self.watch(program, endpoint, watches, official, changes))
        }
      }
      var found: [[Finished]] = [[], []]
      for await (side, ends) in group { found[side] = ends }
      return found
    }
    #expect(found[0].count == watches.count)
    for (at, words) in watches.enumerated() {
      #expect(found[0][at] == found[1][at], "\(words)")
      #expect(!(found[1][at].output + found[1][at].error).isEmpty, "\(words)")
    }
  }

  /// Begins watches, makes changes, and interrupts the watches that still run.
  private static func watch(
    _ program: String, _ endpoint: String, _ watches: [[String]], _ official: String,
    _ changes: [[String]]
  ) -> [Finished] {
    let scratch = Scratch()
    let quoted = watches.map { words in
      words.map { "'" + $0.replacing("'", with: "'\\''") + "'" }.joined(separator: " ")
    }
    var script = "export ETCDCTL_API=2 ETCDCTL_ENDPOINTS=\(endpoint)\n"
    script += "cd \(scratch.path)\n\(official) set /before 0 >/dev/null\n"
    for (at, words) in quoted.enumerated() {
      script += "\(program) \(words) >o\(at) 2>e\(at) & p\(at)=$!\n"
    }
    // Until all of those that wait have told the server so.
    let waiting = watches.count - 2
    script += """
      for try in $(seq 200); do
        curl -s \(endpoint)/v2/stats/store | grep -q '"watchers":\(waiting)' && break
        sleep 0.05
      done

      """
    for words in changes {
      script += "\(official) \(words.joined(separator: " ")) >/dev/null; sleep 0.3\n"
    }
    for at in watches.indices {
      script += "kill -INT $p\(at) 2>/dev/null; wait $p\(at); echo $? >s\(at)\n"
    }
    _ = run("/bin/bash", ["-m", "-c", script])
    func text(_ name: String) -> String {
      String(
        decoding: FileManager.default.contents(atPath: "\(scratch.path)/\(name)") ?? Data(),
        as: UTF8.self)
    }
    return watches.indices.map { at in
      let status = Int32(text("s\(at)").trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
      return Finished(status: status, output: text("o\(at)"), error: text("e\(at)"))
    }
  }

  /// What exists in the v2 API only needs no variable; members and health need no server of the v2 API.
  @Test func theModeIsFoundAndMembersAreShownWithoutTheV2API() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let member = cluster.members[0]
    let url = "http://127.0.0.1:\(member.clientPort)"
    func ctl(_ words: [String], _ version: String = "3") -> Finished {
      Self.ctl(Binaries.ourCtl, member, words, ["ETCDCTL_API": version])
    }
    let list =
      "ID: name=m1 peerURLs=http://127.0.0.1:PEER clientURLs=http://127.0.0.1:CLIENT "
      + "isLeader=true\n"
    #expect(ctl(["member", "list"], "2") == Finished(status: 0, output: list, error: ""))
    #expect(ctl(["--no-sync", "member", "list"]) == ctl(["member", "list"], "2"))
    #expect(ctl(["--endpoints", url, "--timeout=1s", "member", "list"]).output == list)
    #expect(ctl(["member", "list"]).output.hasPrefix("ID, started, m1"))
    #expect(
      ctl(["cluster-health"]).output
        == "member ID is healthy: got healthy result from http://127.0.0.1:CLIENT\n"
        + "cluster is healthy\n")
    let refused = ctl(["set", "/a", "b"])
    #expect(refused.status == 4 && refused.error.contains("Error:  client: response is invalid"))
    #expect(refused.error.contains("Hint: ") && refused.error.contains("--enable-v2"))
    #expect(ctl(["put", "/a", "b"]).output == "OK\n")
    #expect(ctl(["get", "/a", "b"], "5").error == "unsupported API version: 5\n")
    let bare = Self.ctl(
      Binaries.ourCtl, member, ["--endpoints", "127.0.0.1:\(member.clientPort)", "get", "a"])
    #expect(
      bare.status == 1
        && bare.error
          == "parse \"127.0.0.1:CLIENT\": first path segment in URL cannot contain colon\n"
          + "Hint: write the scheme, too: http://127.0.0.1:CLIENT\n"
    )
    // A member that is never started: half of two is no quorum, and that is told, too.
    let added = ctl(["member", "add", "new", "http://127.0.0.1:7"], "2")
    #expect(added.output.hasPrefix("Added member named new with ID ID to cluster\n\nETCD_NAME="))
    #expect(added.output.contains("new=http://127.0.0.1:7"), "\(added)")
    let unstarted = ctl(["member", "list"], "2")
    #expect(unstarted.output.contains("ID[unstarted]: peerURLs=http://127.0.0.1:7\n"))
  }
}
