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
