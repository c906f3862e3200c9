import Foundation
import Testing

@testable import DevClusterKit

/// What goes wrong is said in one line, ends with a status, and leaves nothing running.
@Suite(.serialized) struct FailureTests {
  private func withHarness(_ body: (Harness) throws -> Void) throws {
    let harness = try Harness()
    defer {
      harness.cleanUp()
      try? FileManager.default.removeItem(atPath: harness.directory + ".bin")
    }
    try body(harness)
  }

  @Test(arguments: [false, true])
  func aMemberThatEndsEarlyIsShown(_ isDetached: Bool) throws {
    try withHarness { harness in
      let member = try harness.script("echo no luck today >&2; exit 3")
      let found = try harness.run(harness.up(2, member) + (isDetached ? ["-d"] : []))
      #expect(found.status == 1)
      #expect(found.errorLines.count == 1)
      #expect(found.error.contains("ended with exit status 3 before it was healthy"))
      #expect(found.error.contains("no luck today"))
      #expect(!RunDirectory.isLocked(harness.directory))
      #expect(harness.pid("m1/pid") == nil)
    }
  }

  @Test func neverHealthyIsAFailure() throws {
    try withHarness { harness in
      let member = try harness.script("echo $$ >>'\(harness.directory).bin/pids'; exec sleep 1000")
      let found = try harness.run(harness.up(2, member, "--wait", "1"))
      #expect(found.status == 1)
      #expect(found.errorLines.count == 1)
      #expect(found.error.contains("not healthy after 1 s: m1, m2"))
      let pids = try String(contentsOfFile: harness.directory + ".bin/pids", encoding: .utf8)
        .split(separator: "\n").compactMap { Int32($0) }
      #expect(pids.count == 2)
      for pid in pids { #expect(!Harness.isAlive(pid)) }
    }
  }

  @Test func aTakenPortIsNamed() throws {
    try withHarness { harness in
      let taken = try TakenPort(harness.basePort + 3)
      let member = try harness.script("touch '\(harness.directory).bin/started'; exec sleep 1000")
      let found = try harness.run(harness.up(3, member, "--wait", "5"))
      #expect(found.status == 1)
      #expect(
        found.error == "devcluster: port \(taken.port), the peer port of m2, is already in use by"
          + " another program (--ports auto finds free ones)\n")
      #expect(!FileManager.default.fileExists(atPath: harness.directory + ".bin/started"))
    }
  }

  @Test func aMissingProgramIsNamed() throws {
    try withHarness { harness in
      let found = try harness.run("up", "2", "--binary", "/nowhere/etcd")
      #expect(found.status == 1)
      #expect(found.error == "devcluster: there is no program at /nowhere/etcd\n")
      #expect(!FileManager.default.fileExists(atPath: harness.directory))
      let other = try harness.run("up", "2", "--binary", "/bin/sh", "--binary", "m3=/bin/sh")
      #expect(other.error == "devcluster: --binary m3=…: a cluster of 2 has no m3\n")
      let size = try harness.run("up", "8")
      #expect(size.status == 2)
      #expect(size.errorLines.count == 1)
    }
  }

  @Test func nothingRunningIsSaid() throws {
    try withHarness { harness in
      for (words, status) in [
        (["status"], 5), (["env"], 1), (["logs"], 1), (["stop", "m1"], 5),
        (["ctl", "get", "x"], 1),
      ] {
        let found = try harness.run(words)
        #expect(found.status == Int32(status))
        #expect(found.errorLines.count == 1)
      }
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run("clean").status == 0)
      try FileManager.default.createDirectory(
        atPath: harness.path("precious"), withIntermediateDirectories: true)
      let refused = try harness.run("clean")
      #expect(refused.status == 1)
      #expect(refused.error.contains("is not a directory of devcluster"))
      #expect(FileManager.default.fileExists(atPath: harness.path("precious")))
    }
  }

  @Test func damagedStateIsRefused() throws {
    try withHarness { harness in
      try FileManager.default.createDirectory(
        atPath: harness.directory, withIntermediateDirectories: true)
      for text in ["", "{}", "{\"members\":99}", "[1]", "{\"members\":\"3\"}"] {
        try text.write(toFile: harness.path("cluster.json"), atomically: true, encoding: .utf8)
        let found = try harness.run("up", "3", "--binary", "/bin/sh")
        #expect(found.status == 1)
        #expect(found.error.contains("cluster.json is damaged"), "\(text)")
      }
    }
  }

  /// The kernel kills the member with its supervisor; the guardian kills what the member started.
  @Test func aKilledSupervisorLeavesNothing() throws {
    try withHarness { harness in
      let files = harness.directory + ".bin"
      let member = try harness.script(
        "sleep 1000 & echo $$ $! >'\(files)/pids'; mv '\(files)/pids' '\(files)/ready'; wait")
      let supervisor = try harness.start(
        harness.up(1, member), output: files + "/out", error: files + "/err")
      #expect(
        Harness.eventually { FileManager.default.fileExists(atPath: files + "/ready") })
      let pids = try String(contentsOfFile: files + "/ready", encoding: .utf8)
        .split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
      #expect(pids.count == 2)
      #expect(pids.allSatisfy(Harness.isAlive))
      kill(supervisor.processIdentifier, SIGKILL)
      supervisor.waitUntilExit()
      #expect(Harness.eventually { !pids.contains(where: Harness.isAlive) })
    }
  }
}

/// A listening socket that is in somebody's way.
final class TakenPort {
  let port: Int
  private let descriptor: Int32

  init(_ port: Int) throws {
    self.port = port
    #if os(Linux)
      descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(bound == 0 && listen(descriptor, 1) == 0)
  }

  deinit { close(descriptor) }
}
