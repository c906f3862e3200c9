import Bytes
import Foundation
import JSON
import Platform
import Synchronization
import Testing

@testable import DevClusterKit

/// What makes a tool of every day trusted: nothing it was told is forgotten, nothing holds it up, nothing is
/// left behind, and errors name the way out.
@Suite(
  .serialized,
  .enabled(if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one")
)
struct TrustTests {
  private func withHarness(_ body: (Harness, String) throws -> Void) throws {
    let harness = try Harness()
    defer {
      harness.cleanUp()
      try? FileManager.default.removeItem(atPath: harness.directory + ".bin")
    }
    try body(harness, try #require(Harness.officialEtcd))
  }

  /// Nobody reads what is written: the writer goes on, and says how much is missing.
  @Test func whoDoesNotReadHoldsUpNobody() throws {
    let ends = try #require(Descriptor.pipe())
    let writer = LineWriter(ends.writing, name: "test")
    let line = [UInt8](repeating: 0x61, count: 999)
    for _ in 0..<2_000 { writer.write(line) }
    var found: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    func read(until word: String) {
      while !String(decoding: found.suffix(70_000), as: UTF8.self).contains(word) {
        let count = Descriptor.read(ends.reading, into: &chunk)
        guard count > 0 else { return }
        found += chunk[..<count]
      }
    }
    while found.count < 200_000 {
      found += chunk[..<Descriptor.read(ends.reading, into: &chunk)]
    }
    #expect(
      Harness.eventually {
        writer.write("on")
        return true
      })
    read(until: "lines were left out")
    #expect(found.count < 1_500_000)
    Descriptor.close(ends.reading)
  }

  @Test func aBlockedOutputStopsNoSupervisor() throws {
    try withHarness { (harness, _) throws in
      let member = try harness.script("yes 'a line that nobody reads'")
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Harness.program)
      process.arguments =
        harness.up(1, member, "--wait", "1", "--logs", "debug") + ["--dir", harness.directory]
      let unread = Pipe()
      process.standardOutput = unread
      process.standardError = FileHandle.nullDevice
      try process.run()
      #expect(Harness.eventually(seconds: 10) { !process.isRunning })
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
      process.waitUntilExit()
      #expect(process.terminationStatus == 1)
    }
  }

  @Test func clustersWhoseDirectoryIsGoneAreFound() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try harness.run(harness.up(1, etcd, "-d")).status == 0)
      let pid = try #require(harness.pid("m1/pid"))
      try FileManager.default.removeItem(atPath: harness.directory)
      let list = try harness.run("ps").output
      #expect(list.contains("\(harness.directory) (removed"))
      #expect(harness.member("m1")?["state"] == "healthy")
      // Commands would be for either of two.
      let second = try harness.run(["up", "1", "--ports", "auto", "--binary", etcd, "-d"])
      #expect(second.status == 1 && second.error.contains("still runs (process "), "\(second)")
      #expect(try harness.run("down").status == 0)
      #expect(!Harness.isAlive(pid))
      #expect(try !harness.run("ps").output.contains(harness.directory))
    }
  }

  @Test func aClusterThatStartsIsThere() throws {
    try withHarness { (harness, _) throws in
      let member = try harness.script("echo begun; exec sleep 1000")
      let client = try harness.start(
        harness.up(1, member, "-d"), output: harness.directory + ".bin/o",
        error: harness.directory + ".bin/e")
      #expect(Harness.eventually { harness.member("m1")?["pid"] != nil })
      #expect(harness.status()?["phase"] == "starting")
      #expect(try harness.run("status").status == 4)
      #expect(Harness.eventually { (try? harness.run("logs").output.contains("begun")) == true })
      #expect(try harness.run("stop", "m1").error.contains("the cluster is starting"))
      // Ctrl-C ends more than the client.
      let pid = try #require(harness.pid("m1/pid"))
      kill(client.processIdentifier, SIGINT)
      #expect(Harness.eventually { !Harness.isAlive(pid) })
      #expect(Harness.eventually { !RunDirectory.isLocked(harness.directory) })
    }
  }

  @Test func aFailedFirstStartIsNoObstacle() throws {
    try withHarness { (harness, etcd) throws in
      let broken = try harness.script("exit 3")
      #expect(
        try harness.run(harness.up(3, etcd, "-d", "--binary", "m3=\(broken)")).status == 1)
      let found = try harness.run(harness.up(1, etcd, "-d"))
      #expect(found.status == 0 && found.error.isEmpty)
      // From now on it is somebody's.
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run(harness.up(3, etcd, "-d")).error.contains("holds a cluster of 1"))
    }
  }

  @Test func theCauseIsTold() throws {
    try withHarness { (harness, etcd) throws in
      let found = try harness.run(harness.up(1, etcd, "-d", "--", "--nosuch"))
      #expect(found.status == 1)
      #expect(found.error.contains("flag provided but not defined: -nosuch"))
      #expect(found.errorLines.count == 1)
    }
  }

  @Test func portsOfAnotherClusterAreNamed() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try harness.run(harness.up(1, etcd, "-d")).status == 0)
      let other = harness.directory + ".bin/other"
      let process = try harness.run(
        ["up", "1", "--binary", etcd, "--ports", String(harness.basePort)], in: other)
      #expect(process.status == 1)
      #expect(process.error.contains("belongs to the cluster in \(harness.directory)"))
      // Free ones, outside of what the system takes for itself.
      let free = try harness.run(["up", "1", "--binary", etcd, "-d", "--ports", "auto"], in: other)
      #expect(free.status == 0)
      let plan = try #require(try RunDirectory(other).plan())
      #expect(plan.members[0].ports.all.allSatisfy { $0 < 32_768 })
      #expect(try harness.run(["down"], in: other).status == 0)
    }
  }

  /// What is in the place of the control socket is named, and left alone.
  @Test(arguments: [true, false])
  func whatIsNoControlSocketIsNamed(_ isDirectory: Bool) throws {
    try withHarness { (harness, etcd) throws in
      let path = harness.path("control.sock")
      let files = FileManager.default
      try files.createDirectory(
        atPath: isDirectory ? path : harness.directory, withIntermediateDirectories: true)
      if !isDirectory { #expect(files.createFile(atPath: path, contents: Data("mine".utf8))) }
      let up = try harness.run(harness.up(1, etcd, "-d"))
      #expect(up.status == 1 && up.errorLines.count == 1)
      #expect(up.error.contains("control.sock is in the place of the control socket, and is none"))
      #expect(files.fileExists(atPath: path) && !files.fileExists(atPath: harness.path("m1")))
    }
  }

  /// A reader who leaves is told of, and ends nothing (`up 1 | head -3`).
  @Test func aReaderWhoLeavesEndsNothing() throws {
    try withHarness { (harness, etcd) throws in
      let shell = Process()
      shell.executableURL = URL(fileURLWithPath: "/bin/sh")
      let words = harness.up(1, etcd, "--logs", "debug").joined(separator: " ")
      let errors = harness.directory + ".errors"
      defer { try? FileManager.default.removeItem(atPath: errors) }
      shell.arguments = [
        "-c", "'\(Harness.program)' \(words) --dir '\(harness.directory)' 2>'\(errors)' | head -3",
      ]
      shell.standardOutput = FileHandle.nullDevice
      try shell.run()
      defer { if shell.isRunning { kill(shell.processIdentifier, SIGKILL) } }
      #expect(
        Harness.eventually {
          // Whatever is written next finds nobody.
          _ = try? harness.run("restart", "m1")
          return ((try? String(contentsOfFile: errors, encoding: .utf8)) ?? "")
            .contains("standard output was closed; the cluster goes on until devcluster down")
        })
      #expect(Harness.eventually { harness.member("m1")?["state"] == "healthy" })
      #expect(try harness.run("down").status == 0)
      shell.waitUntilExit()
    }
  }

  /// Logs that are followed come in one order, and end with the cluster.
  @Test func followedLogsEndWithTheCluster() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try harness.run(harness.up(3, etcd, "-d")).status == 0)
      let output = harness.directory + ".logs"
      defer { try? FileManager.default.removeItem(atPath: output) }
      let logs = try harness.start(
        ["logs", "-f", "--json"], output: output, error: harness.directory + ".err")
      defer { try? FileManager.default.removeItem(atPath: harness.directory + ".err") }
      let text = { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }
      #expect(Harness.eventually { text().contains("ready to serve client requests") })
      let first = text().split(separator: "\n").compactMap { LogLine(String($0)).time }
      #expect(first.count > 50 && first == first.sorted())
      #expect(try harness.run("down").status == 0)
      #expect(Harness.eventually(seconds: 5) { !logs.isRunning })
      // The last words of members are among what was shown.
      #expect(text().contains("received signal; shutting down"))
    }
  }

  @Test func closedStreamsAreNoObstacle() throws {
    try withHarness { (harness, etcd) throws in
      let words = harness.up(1, etcd, "-d").joined(separator: " ")
      let shell = Process()
      shell.executableURL = URL(fileURLWithPath: "/bin/sh")
      shell.arguments = [
        "-c", "'\(Harness.program)' \(words) --dir '\(harness.directory)' <&- >&-",
      ]
      shell.environment = ProcessInfo.processInfo.environment.merging(
        ["NOTIFY_SOCKET": "/run/x", "LISTEN_FDS": "1"]
      ) { $1 }
      try shell.run()
      shell.waitUntilExit()
      #expect(shell.terminationStatus == 0)
      let pid = try #require(harness.pid("m1/pid"))
      let environment = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/environ"))
      let text = String(decoding: environment, as: UTF8.self)
      #expect(!text.contains("NOTIFY_SOCKET") && !text.contains("LISTEN_FDS"))
    }
  }

  /// Settled when it is ready, quick beside a frozen member, quick at the end.
  @Test func nobodyIsWaitedForInVain() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try harness.run(harness.up(3, etcd, "-d")).status == 0)
      let added = try harness.run(
        "ctl", "member", "add", "x", "--peer-urls", "http://127.0.0.1:\(harness.basePort + 30)")
      #expect(added.status == 0 && added.error.isEmpty)
      let leader = try #require(harness.status()?["leader"]?.string)
      let frozen = leader == "m1" ? "m2" : "m1"
      kill(try #require(harness.pid("\(frozen)/pid")), SIGSTOP)
      #expect(Harness.eventually { harness.member(frozen)?["state"] == "paused" })
      let begin = Date()
      let status = harness.status()
      // The whole of it, in a debug build on a busy machine; a question to the member would take 2 s.
      #expect(Date().timeIntervalSince(begin) < 0.5)
      #expect(
        status?["members"]?.array?.first { $0["name"]?.string == frozen }?["state"] == "paused")
      #expect(try harness.run("resume", frozen).status == 0)
      let end = Date()
      #expect(try harness.run("down").status == 0)
      #expect(Date().timeIntervalSince(end) < 2)
      let events = try harness.run("events", "--json").output.split(separator: "\n")
      let kinds = events.compactMap {
        (try? JSONValue.parse(Bytes(String($0))))?["kind"]?.string
      }
      for kind in ["start", "spawn", "leader", "ready", "resume", "down", "exit"] {
        #expect(kinds.contains(kind), "\(kind)")
      }
    }
  }

  @Test(
    .enabled(if: geteuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv"))
  )
  func aDirectoryOfSomebodyElseIsNamed() throws {
    try withHarness { (harness, etcd) throws in
      #expect(try harness.run(harness.up(1, etcd, "-d")).status == 0)
      for command in ["down", "status", "env"] {
        let process = Process()
        let errors = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
        process.arguments = [
          "--reuid", "65534", "--clear-groups", Harness.program, command, "--dir",
          harness.directory,
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        process.waitUntilExit()
        let text = String(
          decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(process.terminationStatus == 1)
        #expect(text.contains("it belongs to root"), "\(command): \(text)")
      }
    }
  }

  @Test func commandsHaveAClusterAroundThem() throws {
    try withHarness { (harness, etcd) throws in
      let out = harness.directory + ".bin"
      try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
      let good = try harness.run(
        "run", "1", "--binary", etcd, "--fast", "--", "/bin/sh", "-c",
        "echo $ETCD_ENDPOINTS $DEVCLUSTER_DIR >'\(out)/env'; exit 0")
      #expect(good.status == 0)
      #expect(!FileManager.default.fileExists(atPath: harness.directory))
      let told = try String(contentsOfFile: out + "/env", encoding: .utf8)
      #expect(told.hasPrefix("http://127.0.0.1:") && told.contains(harness.directory))
      let bad = try harness.run("run", "1", "--binary", etcd, "--", "/bin/sh", "-c", "exit 7")
      #expect(bad.status == 7 && bad.error.contains("kept in \(harness.directory)"))
      #expect(!RunDirectory.isLocked(harness.directory))
      #expect(try harness.run("clean").status == 0)
      let none = try harness.run("run", "1", "--binary", "/bin/false", "--", "/bin/true")
      #expect(none.status == 125)
      #expect(try harness.run("clean").status == 0)
      // Killed, it takes command and cluster along.
      let process = try harness.start(
        [
          "run", "1", "--binary", etcd, "--", "/bin/sh", "-c",
          "echo $$ >'\(out)/pid.new'; mv '\(out)/pid.new' '\(out)/pid'; exec sleep 1000",
        ], output: out + "/o", error: out + "/e")
      #expect(Harness.eventually { FileManager.default.fileExists(atPath: out + "/pid") })
      let text = try String(contentsOfFile: out + "/pid", encoding: .utf8)
      let pids = [
        try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines))),
        try #require(harness.pid("m1/pid")),
      ]
      kill(process.processIdentifier, SIGKILL)
      #expect(Harness.eventually { !pids.contains(where: Harness.isAlive) })
      #expect(Harness.eventually { !RunDirectory.isLocked(harness.directory) })
    }
  }
}
