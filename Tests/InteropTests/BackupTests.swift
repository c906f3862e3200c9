import Foundation
import TestSupport
import Testing

/// `etcdutl backup`, ours beside Go's 3.5.1, on directories of both kinds of server.
@Suite(.serialized) struct BackupTests {
  private func member(_ binary: String, _ directory: String, extra: [String] = []) -> Member {
    let ports = freePorts(2)
    return Member(
      name: "m1", binary: binary, directory: directory, clientPort: ports[0], peerPort: ports[1],
      cluster: "m1=http://127.0.0.1:\(ports[1])", extra: ["--snapshot-count", "10"] + extra)
  }

  private func levels(_ log: String) -> [String] {
    log.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "\t")
      return parts.count > 3 ? "\(parts[1]) \(parts[3])" : nil
    }
  }

  @Test(
    .enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil && Binaries.utl35 != nil),
    arguments: [false, true], [true, false])
  func backupsOfBothToolsStart(ourServer: Bool, withV3: Bool) throws {
    let go = try #require(Binaries.go35)
    let ctl = try #require(Binaries.ctl35)
    let utl = try #require(Binaries.utl35)
    let scratch = Scratch()
    let source = member(go, scratch.path + "/source", extra: ["--enable-v2"])
    source.start()
    try source.waitHealthy()
    for n in 0..<23 {
      let put = run(ctl, ["--endpoints", source.endpoint, "put", "key\(n % 7)", "value\(n)"])
      #expect(put.status == 0)
    }
    let set = run(
      "/usr/bin/curl",
      ["-s", "-L", "-X", "PUT", source.endpoint + "/v2/keys/dir/old", "-d", "value=kept"])
    #expect(set.output.contains("kept"), "\(set)")
    source.stop()
    if ourServer {
      let ours = member(Binaries.ours, source.directory)
      ours.start()
      try ours.waitHealthy()
      for n in 0..<15 {
        #expect(run(ctl, ["--endpoints", ours.endpoint, "put", "more\(n)", "x"]).status == 0)
      }
      ours.kill()
    }
    var states: [String] = []
    var logs: [[String]] = []
    for (name, tool) in [("ours", Binaries.ourUtl), ("go", utl)] {
      let target = scratch.path + "/" + name
      let line = [
        "backup", "--data-dir", source.directory, "--backup-dir", target, "--with-v3=\(withV3)",
      ]
      let made = run(tool, line)
      #expect(made.status == 0 && made.output.isEmpty, "\(name): \(made)")
      logs.append(levels(made.error))
      let again = run(tool, line)
      #expect(again.status == 1)
      logs.append(Array(levels(again.error).prefix(1)))
      let restored = member(go, target, extra: ["--enable-v2", "--force-new-cluster"])
      restored.start()
      try restored.waitHealthy()
      let v2 = httpGet(restored.endpoint + "/v2/keys/?recursive=true") ?? "no answer"
      let read = run(ctl, ["--endpoints", restored.endpoint, "get", "", "--prefix"])
      let list = run(ctl, ["--endpoints", restored.endpoint, "member", "list"])
      #expect(list.output.split(separator: "\n").count == 1, "\(list)")
      let put = run(ctl, ["--endpoints", restored.endpoint, "put", "after", "backup"])
      #expect(put.output == "OK\n", "\(put)")
      #expect(v2.contains("kept"), "\(v2)")
      #expect(read.output.contains("value22") == withV3)
      states.append([v2, read.output, hashKV(restored)].joined(separator: "\n"))
      restored.stop()
    }
    #expect(states[0] == states[1])
    #expect(logs[0] == logs[2] && logs[1] == logs[3], "\(logs)")
  }

  /// A backup of what stands behind the newest snapshot alone: its log has the record of the snapshot last.
  @Test func whatFollowsTheSnapshotIsThereAtOurs() throws {
    let scratch = Scratch()
    let source = member(
      Binaries.ours, scratch.path + "/source", extra: ["--enable-v2", "--snapshot-count", "1"])
    source.start()
    try source.waitHealthy()
    func set(_ member: Member, _ value: String) {
      let set = run(
        "/usr/bin/curl",
        ["-s", "-X", "PUT", member.endpoint + "/v2/keys/last", "-d", "value=\(value)"])
      #expect(set.output.contains(value), "\(set)")
    }
    for n in 0..<5 { set(source, "value\(n)") }
    // At once: the snapshot of the last entry is not written yet, most often.
    source.kill()
    let check = run(Binaries.ourUtl, ["check", "v2store", "--data-dir", source.directory])
    #expect(check.status == 1 && check.error == "Error: detected custom content in v2store\n")
    let tools = [Binaries.ourUtl] + [Binaries.utl35].compactMap { $0 }
    for (number, tool) in tools.enumerated() {
      let target = scratch.path + "/target\(number)"
      let made = run(tool, ["backup", "--data-dir", source.directory, "--backup-dir", target])
      #expect(made.status == 0, "\(made)")
      let restored = member(
        Binaries.ours, target, extra: ["--enable-v2", "--force-new-cluster"])
      restored.start()
      try restored.waitHealthy()
      let read = httpGet(restored.endpoint + "/v2/keys/last") ?? "no answer"
      #expect(read.contains("value4"), "\(tool): \(read)")
      restored.stop()
    }
  }

  @Test func keysOfTheV2APIAreFoundOffline() throws {
    let scratch = Scratch()
    let plain = member(Binaries.ours, scratch.path + "/plain", extra: ["--snapshot-count", "1"])
    plain.start()
    try plain.waitHealthy()
    #expect(run(Binaries.ourCtl, ["--endpoints", plain.endpoint, "put", "a", "b"]).status == 0)
    plain.stop()
    func check(_ words: String...) -> (status: Int32, output: String, error: String) {
      let found = run(Binaries.ourUtl, ["check", "v2store"] + words)
      return (found.status, found.output, found.error)
    }
    let none = check("--data-dir", plain.directory)
    #expect(none.status == 0 && none.output == "No custom content found in v2store.\n", "\(none)")
    let missing = check("--data-dir", scratch.path)
    #expect(missing.status == 1)
    #expect(
      missing.error == "Error: open \(scratch.path)/member/wal: no such file or directory\n")
    #expect(check().error.contains("required flag(s) \"data-dir\" not set"))
  }

  @Test(.enabled(if: Binaries.go35 != nil && Binaries.utl35 != nil)) func refusalsAreGos() throws {
    let go = try #require(Binaries.go35)
    let utl = try #require(Binaries.utl35)
    let scratch = Scratch()
    let source = member(go, scratch.path + "/source")
    source.start()
    try source.waitHealthy()
    let target = scratch.path + "/out"
    func refusal(_ tool: String, _ words: [String]) -> [Substring] {
      try? FileManager.default.removeItem(atPath: target)
      let done = run(tool, ["backup", "--backup-dir", target] + words)
      #expect(done.status == 1, "\(words): \(done)")
      return done.error.split(separator: "\n").first?.split(separator: "\t")
        .suffix(from: 3).map { $0 } ?? []
    }
    for words in [
      ["--data-dir", source.directory], ["--data-dir", scratch.path + "/nowhere"],
    ] {
      #expect(refusal(Binaries.ourUtl, words) == refusal(utl, words), "\(words)")
    }
    source.stop()
    let noLog = ["--data-dir", source.directory, "--wal-dir", scratch.path + "/nowhere"]
    let own = refusal(Binaries.ourUtl, noLog)
    #expect(!FileManager.default.fileExists(atPath: target))
    #expect(own == refusal(utl, noLog))
    for line in [["backup"], ["backup", "--help"], ["backup", "--data-dir", "x"]] {
      #expect(run(Binaries.ourUtl, line) == run(utl, line), "\(line)")
    }
  }
}
