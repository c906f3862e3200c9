import DiskFaults
import Foundation
import JSON
import Testing

@testable import DevClusterKit

/// Disks of real members that are slow, full and broken.
@Suite(
  .serialized,
  .enabled(
    if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one"),
  .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd"),
  .enabled(if: DiskFaults.isSupported, "this system has no calls of other processes asked for")
)
struct DiskTests {
  private static let kinds = [Harness.Kind.ours, .official]

  /// What a command ended with, and how long it took.
  private func timed(_ body: () throws -> Int32) throws -> (status: Int32, time: TimeInterval) {
    let begin = Date()
    let status = try body()
    return (status, Date().timeIntervalSince(begin))
  }

  /// A member of a role, to which a fault is done.
  private func victim(_ harness: Harness, _ role: String) throws -> String {
    try #require(
      Harness.eventually {
        harness.names("leader").count == 1 && harness.names("follower").count == 2
      })
    return try #require(harness.names(role).first)
  }

  @Test(arguments: kinds)
  func aSlowDiskIsWaitedFor(_ kind: Harness.Kind) throws {
    try Harness.with(kind) { (harness) throws in
      let all = harness.endpoints(without: "")
      #expect(try harness.run("disk", "all", "slow", "300ms").output == "m1\nm2\nm3\n")
      let slow = try timed { try harness.put(at: all) }
      #expect(slow.status == 0 && slow.time >= 0.3)
      #expect(
        harness.status()?["faults"]?.array?.first?["text"] == "m1, m2, m3 disk slow by 300.0 ms")
      // Of the leader alone, or of one follower: a majority has its own disks.
      for role in ["leader", "follower"] {
        let one = try victim(harness, role)
        let others = ["m1", "m2", "m3"].filter { $0 != one }
        #expect(try harness.run(["disk"] + others + ["ok"]).status == 0)
        #expect(try harness.put(at: all) == 0)
        #expect(try harness.run("disk", "all", "ok").status == 0)
        #expect(harness.status()?["faults"]?.array?.isEmpty == true)
        #expect(Harness.eventually { harness.allAgree })
        #expect(try harness.run("disk", "all", "slow", "300ms").status == 0)
      }
      // It belongs to the member, whatever process that has, and ends by itself.
      #expect(try harness.run("restart", "m1").status == 0)
      #expect(try harness.run("heal").status == 0)
      #expect(try harness.run("disk", "m1", "slow", "10ms", "--for", "200ms").status == 0)
      #expect(Harness.eventually { harness.status()?["faults"]?.array?.isEmpty == true })
      #expect(Harness.eventually { harness.allAgree })
      let events = try harness.run("events").output
      #expect(events.contains("m1 disk slow by 10.0 ms"))
      #expect(events.contains("m1 healed of: disk slow by 10.0 ms"))
    }
  }

  @Test(arguments: kinds, ["leader", "follower"])
  func aFullDiskEndsItsMemberAlone(_ kind: Harness.Kind, _ role: String) throws {
    try Harness.with(kind) { (harness) throws in
      let one = try victim(harness, role)
      let others = harness.endpoints(without: one)
      #expect(try harness.run("disk", one, "full").status == 0)
      #expect(
        Harness.eventually {
          _ = try? harness.put(at: others)
          return harness.member(one)?["state"] == "exited"
        })
      #expect(Harness.eventually { (try? harness.put(at: others)) == 0 })
      let log = try harness.run("logs", one).output.lowercased()
      #expect(log.contains("no space left on device"))
      // Nothing is gained by starting it again before there is room.
      _ = try harness.run("start", one)
      #expect(
        Harness.eventually {
          _ = try? harness.put(at: others)
          return harness.member(one)?["state"] == "exited"
        })
      #expect(try harness.run("disk", one, "ok").status == 0)
      #expect(try harness.run("start", one).status == 0)
      #expect(Harness.eventually { harness.allAgree })
    }
  }

  @Test(arguments: kinds)
  func aBrokenDiskEndsItsMember(_ kind: Harness.Kind) throws {
    try Harness.with(kind) { (harness) throws in
      let one = try victim(harness, "follower")
      let others = harness.endpoints(without: one)
      #expect(try harness.run("disk", one, "fail").status == 0)
      #expect(
        Harness.eventually {
          _ = try? harness.put(at: others)
          return harness.member(one)?["state"] == "exited"
        })
      #expect(try harness.run("logs", one).output.lowercased().contains("input/output error"))
      #expect(try harness.run("heal", one).status == 0)
      #expect(try harness.run("start", one).status == 0)
      #expect(Harness.eventually { harness.allAgree })
    }
  }

  /// Nobody waits for somebody who is gone: neither members for their supervisor, nor the end for members.
  @Test(arguments: kinds)
  func whoWaitsForADiskCanBeEnded(_ kind: Harness.Kind) throws {
    try Harness.with(kind) { (harness) throws in
      let all = harness.endpoints(without: "")
      #expect(try harness.run("disk", "all", "slow", "1h").status == 0)
      #expect(try harness.put(at: all, timeout: "500ms") != 0)
      let pids = try (1...3).map { try #require(harness.pid("m\($0)/pid")) }
      let down = try timed { try harness.run("down").status }
      #expect(down.status == 0 && down.time < 3)
      for pid in pids { #expect(!Harness.isAlive(pid)) }
      #expect(try harness.run("up", "-d").status == 0)
      #expect(try harness.run("disk", "all", "slow", "1h").status == 0)
      #expect(try harness.put(at: all, timeout: "500ms") != 0)
      let others = try (1...3).map { try #require(harness.pid("m\($0)/pid")) }
      kill(try #require(harness.pid("lock")), SIGKILL)
      #expect(Harness.eventually { !others.contains(where: Harness.isAlive) })
      #expect(Harness.eventually { harness.portsAreFree() })
    }
  }

  /// Where a filter of the system refuses, what is left is said, and works.
  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")),
    arguments: kinds)
  func aLimitOnFilesIsTheSecondBest(_ kind: Harness.Kind) throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    // Has seccomp(2) refused to itself and to what it becomes: 317 is its number on x86-64, 277 on arm64.
    let refusal = """
      import ctypes, os, struct, sys
      number = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
      program = b"".join(struct.pack("HBBI", *line) for line in [
        (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)])
      memory = ctypes.create_string_buffer(program)
      filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(memory)))
      libc = ctypes.CDLL(None, use_errno=True)
      assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0
      os.execv(sys.argv[1], sys.argv[1:])
      """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    process.arguments =
      ["-c", refusal, Harness.program, "up", "1", "-d", "--dir", harness.directory]
      + ["--base-port", String(harness.basePort)] + (try kind.words())
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    let slow = try harness.run("disk", "m1", "slow", "20ms")
    #expect(
      slow.status == 1 && slow.error.contains("Operation not permitted; only disk WHO full works"))
    let all = harness.endpoints(without: "")
    #expect(try harness.run("disk", "m1", "full").status == 0)
    #expect(
      Harness.eventually {
        _ = try? harness.put(at: all, timeout: "1s")
        return harness.member("m1")?["state"] == "exited"
      })
    #expect(try harness.run("disk", "m1", "ok").status == 0)
    #expect(try harness.run("start", "m1").status == 0)
    // Go's member takes a while beside others.
    #expect(Harness.eventually { (try? harness.put(at: all)) == 0 })
    // A limit is taken back from a process that lives; paused, so that it has nothing to write meanwhile (the commit
    // behind the put comes up to 100 ms later).
    #expect(try harness.run("pause", "m1").status == 0)
    #expect(try harness.run("disk", "m1", "full").status == 0)
    #expect(try harness.run("disk", "m1", "ok").status == 0)
    #expect(try harness.run("resume", "m1").status == 0)
    #expect(try harness.put(at: all) == 0)
  }

  @Test func whereNothingIsWatchedThatIsSaid() throws {
    try Harness.with(.ours, "--direct", members: 1) { (harness) throws in
      let found = try harness.run("disk", "m1", "full")
      #expect(found.status == 1 && found.error.contains("--disk-faults"))
    }
  }
}
