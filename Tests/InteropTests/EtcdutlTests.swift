import Foundation
import TestSupport
import Testing

/// Our etcdutl beside Go's 3.5.1, on the same files.
@Suite(
  .serialized,
  .enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil && Binaries.utl35 != nil))
struct EtcdutlTests {
  /// Lines of a usage that 3.5.1 does not have, or we do not.
  private static let ownLines = [
    "  check ", "  completion ", "  hashkv ", "  migrate ", "      --bump-revision",
    "      --initial-memory-map-size", "      --mark-compacted",
  ]

  private static func comparable(_ done: Finished) -> Finished {
    func cut(_ text: String) -> String {
      text.split(separator: "\n", omittingEmptySubsequences: false)
        .filter { line in !ownLines.contains { line.hasPrefix($0) } }.joined(separator: "\n")
    }
    return Finished(status: done.status, output: cut(done.output), error: cut(done.error))
  }

  private struct Tools {
    let etcd: String
    let ctl: String
    let utl: String

    init?() {
      guard let etcd = Binaries.go35, let ctl = Binaries.ctl35, let utl = Binaries.utl35 else {
        return nil
      }
      self.etcd = etcd
      self.ctl = ctl
      self.utl = utl
    }

    /// Saves a snapshot of a new member of a kind, whose data have every shape of row.
    func snapshot(of binary: String, to path: String) throws -> (hash: String, revision: Int) {
      let cluster = Cluster([binary])
      try cluster.start()
      let member = cluster.members[0]
      func ctl(_ words: String...) {
        let done = run(self.ctl, ["--endpoints", member.endpoint] + words)
        #expect(done.status == 0, "\(words): \(done.error)")
      }
      for number in 0..<25 { ctl("put", "key\(number % 10)", "value\(number)") }
      ctl("del", "key3")
      ctl("compact", "9")
      ctl("put", "big", String(repeating: "x", count: 20_000))
      ctl("snapshot", "save", path)
      return (hashKV(member, revision: 28), 28)
    }
  }

  private func damaged(_ good: [UInt8], _ position: Int, _ bit: UInt8) -> [UInt8] {
    var bad = good
    bad[position] ^= 1 << bit
    return bad
  }

  @Test func commandLinesAreUnderstoodAlike() {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    let restore = ["snapshot", "restore", "nowhere.db", "--data-dir", scratch.path + "/out"]
    let lines: [[String]] = [
      [], ["--help"], ["-h"], ["help"], ["help", "help"], ["help", "--help"], ["help", "bogus"],
      ["help", "snapshot"], ["help", "snapshot", "status"], ["help", "snapshot", "bogus"],
      ["snapshot"], ["snap"], ["snapshot", "bogus"], ["snapshot", "s"], ["snapshot", "--help"],
      ["snapshot", "--help=false"], ["snapshot", "--help=x"], ["snapshot", "status", "--help"],
      ["snapshot", "restore", "--help"], ["snapshot", "save", "--help"], ["snapshot", "save", "x"],
      ["defrag"], ["defrag", "x"], ["defrag", "--help"], ["snapshot", "status"],
      ["snapshot", "status", "a", "b"], ["s", "status", "nowhere.db"],
      ["snapshot", "restore", "--data-dir", "x"], ["--bogus"], ["-z"], ["-w"], ["-hw"], ["-wh"],
      ["--h"], ["--= x"], ["---"], ["-"], [""], ["--", "snapshot"], ["snapshot", "", "status"],
      ["nothing"], ["verzion"], ["versin"], ["snapshoty"], ["sn\"ap"], ["x", "y", "z"],
      ["snapshot", "status", "--bogus", "x"], ["snapshot", "status", "-z"],
      ["snapshot", "status", "nowhere.db"], ["snapshot", "status", scratch.path],
      ["snapshot", "status", "-w", "bogus", "nowhere.db"], ["-w", "snapshot", "snapshot"],
      ["snapshot", "status", "-w", "protobuf", "nowhere.db"], ["snapshot", "status", "-w"],
      ["snapshot", "status", "x", "--write-out"], ["--write-out=table", "snapshot"],
      ["snapshot", "restore", "--skip-hash-check=foo", "x"], restore + ["--name", "x"],
      restore + ["--initial-cluster", ""], restore + ["--initial-cluster", "default=http://bad"],
      restore + ["--initial-cluster", "default=http://localhost:2381"],
      restore + ["--initial-cluster", "default=http://localhost:2380,b=http://localhost:2380"],
      restore + ["--initial-advertise-peer-urls", "foo"],
      restore + ["--initial-advertise-peer-urls", ""],
      restore + ["--wal-dir", scratch.path], restore + ["--data-dir", "/"], restore + ["second"],
    ]
    for line in lines {
      let go = run(tools.utl, line)
      let ours = run(Binaries.ourUtl, line)
      #expect(Self.comparable(ours) == Self.comparable(go), "\(line)")
    }
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/out"))
  }

  @Test func statusIsEqual() throws {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    for (name, binary) in [("ours.db", Binaries.ours), ("go.db", tools.etcd)] {
      let path = scratch.path + "/" + name
      _ = try tools.snapshot(of: binary, to: path)
      for format in ["simple", "json", "table", "fields", "protobuf"] {
        let line = ["snapshot", "status", path, "-w", format]
        let go = run(tools.utl, line)
        #expect(run(Binaries.ourUtl, line) == go, "\(name) \(format)")
        #expect(go.status == (format == "protobuf" ? 4 : 0))
      }
    }
  }

  /// A snapshot of each kind of server, restored by each tool, started by each kind of server.
  @Test(arguments: [false, true], [false, true])
  func restoredMembersStart(ourSnapshot: Bool, ourTool: Bool) throws {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    let path = scratch.path + "/s.db"
    let taken = try tools.snapshot(of: ourSnapshot ? Binaries.ours : tools.etcd, to: path)
    let file = run(Binaries.ourUtl, ["hashkv", path])
    #expect(file.output.hasPrefix("\(taken.hash), \(taken.revision), 9\n".dropLast()), "\(file)")
    var lists: Set<String> = []
    for binary in [Binaries.ours, tools.etcd] {
      let cluster = Cluster([binary])
      let member = cluster.members[0]
      restore(ourTool ? Binaries.ourUtl : tools.utl, path, member)
      try start(member)
      #expect(hashKV(member, revision: taken.revision) == taken.hash)
      let list = run(tools.ctl, ["--endpoints", member.endpoint, "member", "list"])
      lists.insert(
        list.output.replacing("\(member.clientPort)", with: "C")
          .replacing("\(member.peerPort)", with: "P").split(separator: ",").dropFirst().joined())
      let put = run(tools.ctl, ["--endpoints", member.endpoint, "put", "after", "restore"])
      #expect(put.output == "OK\n", "\(put.error)")
      member.kill()
      try start(member)
      let read = run(
        tools.ctl, ["--endpoints", member.endpoint, "get", "after", "--print-value-only"])
      #expect(read.output == "restore\n")
    }
    #expect(lists.count == 1, "\(lists)")
  }

  @Test func aClusterOfBothKindsStarts() throws {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    let path = scratch.path + "/s.db"
    let taken = try tools.snapshot(of: Binaries.ours, to: path)
    let cluster = Cluster([Binaries.ours, tools.etcd, Binaries.ours])
    for (member, utl) in zip(cluster.members, [Binaries.ourUtl, Binaries.ourUtl, tools.utl]) {
      restore(utl, path, member)
    }
    for member in cluster.members { member.start() }
    for member in cluster.members { try member.waitHealthy() }
    for member in cluster.members {
      #expect(hashKV(member, revision: taken.revision) == taken.hash, "\(member.name)")
    }
    let put = run(tools.ctl, ["--endpoints", cluster.members[1].endpoint, "put", "after", "all"])
    #expect(put.output == "OK\n", "\(put.error)")
    for member in cluster.members {
      let read = run(
        tools.ctl, ["--endpoints", member.endpoint, "get", "after", "--print-value-only"])
      #expect(read.output == "all\n", "\(member.name)")
    }
    #expect(Set(cluster.members.map { hashKV($0, revision: 29) }).count == 1)
  }

  /// Revisions are skipped and count as compacted, for both kinds of server.
  @Test func bumpedRevisionsAreCompacted() throws {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    let path = scratch.path + "/s.db"
    _ = try tools.snapshot(of: Binaries.ours, to: path)
    var hashes: Set<String> = []
    for binary in [Binaries.ours, tools.etcd] {
      let cluster = Cluster([binary])
      let member = cluster.members[0]
      restore(
        Binaries.ourUtl, path, member, extra: ["--bump-revision", "1000", "--mark-compacted"])
      try start(member)
      let old = run(tools.ctl, ["--endpoints", member.endpoint, "get", "key1", "--rev", "28"])
      #expect(old.error.contains("required revision has been compacted"), "\(old)")
      let new = run(tools.ctl, ["--endpoints", member.endpoint, "put", "a", "b", "-w", "json"])
      #expect(new.output.contains("\"revision\":1029"), "\(new)")
      // Go etcd 3.5.1 has no hash at the compacted revision itself.
      hashes.insert(hashKV(member, revision: 1029))
      member.stop()
      member.start(environment: ["ETCD_VERIFY": "all"])
      try member.waitHealthy()
      let watch = run(
        tools.ctl, ["--endpoints", member.endpoint, "watch", "key", "--prefix", "--rev", "1000"])
      #expect(watch.error.contains("required revision has been compacted"), "\(watch)")
    }
    #expect(hashes.count == 1 && hashes.first.flatMap { UInt32($0) } != nil, "\(hashes)")
  }

  @Test func damagedSnapshotsAreRefusedByBoth() throws {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    let path = scratch.path + "/s.db"
    _ = try tools.snapshot(of: tools.etcd, to: path)
    let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    var cases: [(String, [UInt8])] = []
    for part in 0..<8 {
      let position = (good.count - 1) * part / 7
      cases.append(("bit in byte \(position)", damaged(good, position, UInt8(part))))
    }
    for length in [0, 31, 32, 1000, 4096, good.count / 2, good.count - 32, good.count - 512] {
      cases.append(("\(length) bytes", Array(good.prefix(length))))
    }
    let bad = scratch.path + "/bad.db"
    for (what, bytes) in cases {
      try Data(bytes).write(to: URL(fileURLWithPath: bad))
      let out = scratch.path + "/out"
      let go = run(tools.utl, ["snapshot", "restore", bad, "--data-dir", out + "-go"])
      try? FileManager.default.removeItem(atPath: out + "-go")
      let ours = run(Binaries.ourUtl, ["snapshot", "restore", bad, "--data-dir", out])
      #expect(go.status == 1 && ours.status == 1, "\(what): \(ours.error)")
      func reason(_ done: Finished) -> Substring? { done.error.split(separator: "\n").last }
      if bytes.count >= 32 { #expect(reason(go) == reason(ours), "\(what)") }
      let left = try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted()
      #expect(left == ["bad.db", "s.db"], "\(what)")
    }
  }

  @Test func defragmentedFilesServeBoth() throws {
    guard let tools = Tools() else { return }
    let scratch = Scratch()
    let path = scratch.path + "/s.db"
    let taken = try tools.snapshot(of: tools.etcd, to: path)
    let member = Cluster([tools.etcd]).members[0]
    restore(Binaries.ourUtl, path, member)
    let done = run(Binaries.ourUtl, ["defrag", "--data-dir", member.directory])
    #expect(done.status == 0, "\(done.error)")
    let database = member.directory + "/member/snap/db"
    let go = run(tools.utl, ["snapshot", "status", database])
    #expect(go.status == 0 && run(Binaries.ourUtl, ["snapshot", "status", database]) == go)
    try FileManager.default.createDirectory(
      atPath: (member.directory as NSString).deletingLastPathComponent,
      withIntermediateDirectories: true)
    try start(member)
    #expect(hashKV(member, revision: taken.revision) == taken.hash)
  }

  @Test func bashCompletes() {
    func complete(_ words: String...) -> [String] {
      let quoted = words.map { "'\($0)'" }.joined(separator: " ")
      let script = """
        source <("$1" completion bash)
        COMP_WORDS=("$1" \(quoted)); COMP_CWORD=\(words.count)
        _etcdutl_complete
        printf '%s\\n' "${COMPREPLY[@]}"
        """
      let done = run("/bin/bash", ["-c", script, "bash", Binaries.ourUtl])
      #expect(done.status == 0 && done.error.isEmpty, "\(done.error)")
      return done.output.split(separator: "\n").map(String.init)
    }
    #expect(complete("snap") == ["snapshot"])
    #expect(complete("snapshot", "") == ["restore", "status"])
    #expect(complete("snapshot", "restore", "--name", "x", "--initial-c").count == 2)
    #expect(complete("-w", "ta") == ["table"])
    #expect(complete("snapshot", "status", "file") == [])
  }

  private func restore(
    _ utl: String, _ snapshot: String, _ member: Member, extra: [String] = []
  ) {
    func value(_ flag: String) -> String {
      member.arguments[member.arguments.firstIndex(of: flag)! + 1]
    }
    let flags = [
      "--name", "--data-dir", "--initial-cluster", "--initial-cluster-token",
      "--initial-advertise-peer-urls",
    ].flatMap { [$0, value($0)] }
    let done = run(utl, ["snapshot", "restore", snapshot] + flags + extra)
    #expect(done.status == 0, "\(done.error)")
    #expect(done.error.contains("restored snapshot"))
  }

  private func start(_ member: Member) throws {
    member.start()
    try member.waitHealthy()
  }
}
