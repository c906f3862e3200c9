import Foundation
import Testing

@testable import DevClusterKit

/// Real clusters of the official etcd.
@Suite(
  .serialized,
  .enabled(if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one")
)
struct ClusterTests {
  private func withHarness(_ body: (Harness, String) throws -> Void) throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    try body(harness, try #require(Harness.officialEtcd))
  }

  /// Rows of a status table by member: state, whether it leads, ID.
  private func rows(_ table: String) -> [String: (state: String, leads: Bool, id: String)] {
    var found: [String: (state: String, leads: Bool, id: String)] = [:]
    for line in table.split(separator: "\n") where line.hasPrefix("m") {
      let words = line.split(separator: " ").map(String.init)
      found[words[0]] = (words[4], words.contains("leader"), words[1])
    }
    return found
  }

  @Test func aClusterLivesThroughEverything() throws {
    try withHarness { harness, etcd in
      let first = try harness.run(harness.up(3, etcd, "--detach", "--", "--log-level", "warn"))
      #expect(first.error == "")
      #expect(first.status == 0)
      let members = rows(first.output)
      #expect(members.count == 3)
      #expect(members.values.allSatisfy { $0.state == "healthy" && $0.id.count > 8 })
      #expect(members.values.filter(\.leads).count == 1)
      let export = try harness.run("env").output
      #expect(first.output.hasSuffix(export))
      #expect(
        export.hasPrefix("export ETCDCTL_ENDPOINTS=http://127.0.0.1:\(harness.basePort),http://"))

      let again = try harness.run(harness.up(3, etcd, "-d"))
      #expect(again.status == 1)
      #expect(again.error.contains("a cluster is already running"))
      #expect(again.errorLines.count == 1)
      #expect(try harness.run("clean").status == 1)

      #expect(try harness.run("kill", "m1").status == 0)
      #expect(rows(try harness.run("status").output)["m1"]?.state == "stopped")
      #expect(try harness.run("status").status == 3)
      #expect(try harness.run("stop", "m1").error.contains("m1 is not running"))
      #expect(try harness.run("start", "m1").status == 0)
      #expect(rows(try harness.run("status").output)["m1"]?.state == "healthy")
      #expect(try harness.run("start", "m1").error.contains("m1 is already running"))
      #expect(try harness.run("pause", "m2").status == 0)
      #expect(try harness.run("pause", "m2").error.contains("m2 is already paused"))
      #expect(rows(try harness.run("status").output)["m2"]?.state == "paused")
      #expect(try harness.run("resume", "m2").status == 0)
      #expect(try harness.run("restart", "m3").status == 0)
      #expect(try harness.run("stop", "m9").error.contains("there is no member 'm9'"))
      // One that dies by itself is told from one that was stopped.
      let victim = try #require(harness.pid("m2/pid"))
      kill(victim, SIGKILL)
      #expect(
        Harness.eventually { (try? harness.run("status").output.contains("signal 9")) == true })

      #expect(try harness.run("down").status == 0)
      #expect(harness.portsAreFree())
      #expect(try harness.run("status").status == 5)
      let other = try harness.run(harness.up(1, etcd, "-d"))
      #expect(other.error.contains("holds a cluster of 3"))
      // The same cluster comes back: same IDs, from the data.
      // With the program and the flags it had: nothing has to be said again.
      let second = try harness.run("up", "-d")
      #expect(second.status == 0)
      let pid = try #require(harness.pid("m2/pid"))
      let line = try String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)
      #expect(line.hasPrefix(etcd) && line.contains("--log-level\0warn"))
      #expect(rows(second.output).mapValues(\.id) == members.mapValues(\.id))
      #expect(try harness.run("logs", "m1").output.contains("m1 |") == false)
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run("clean").status == 0)
      #expect(!FileManager.default.fileExists(atPath: harness.directory))
    }
  }

  @Test func anInterruptEndsEverything() throws {
    try withHarness { harness, etcd in
      let out = harness.directory + ".out"
      defer { for end in ["", "2"] { try? FileManager.default.removeItem(atPath: out + end) } }
      let process = try harness.start(
        harness.up(2, etcd, "--logs", "info"), output: out, error: out + "2")
      #expect(
        Harness.eventually {
          (try? String(contentsOfFile: out, encoding: .utf8))?.contains("export ETCDCTL") == true
        })
      let shown = try String(contentsOfFile: out, encoding: .utf8)
      #expect(shown.contains("m1 | ") && shown.contains("m2 | ") && shown.contains(" INFO "))
      #expect(!shown.contains("\u{1b}"))
      let pids = try [1, 2].map { try #require(harness.pid("m\($0)/pid")) }
      kill(process.processIdentifier, SIGINT)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      for pid in pids { #expect(!Harness.isAlive(pid)) }
      #expect(harness.portsAreFree())
      #expect(!RunDirectory.isLocked(harness.directory))
    }
  }

  @Test func aKilledSupervisorTakesItsMembersAlong() throws {
    try withHarness { harness, etcd in
      #expect(try harness.run(harness.up(3, etcd, "-d")).status == 0)
      let pids = try (1...3).map { try #require(harness.pid("m\($0)/pid")) }
      kill(try #require(harness.pid("lock")), SIGKILL)
      #expect(Harness.eventually { !pids.contains(where: Harness.isAlive) })
      #expect(Harness.eventually { harness.portsAreFree() })
      // Its members end with the thread that started them, its socket with its last thread.
      #expect(
        Harness.eventually {
          (try? harness.run("status"))?.status == 5
        })
      // What the dead supervisor left is no obstacle.
      #expect(try harness.run(harness.up(3, etcd, "-d")).status == 0)
    }
  }

  /// Our own members, found beside the program without being named; one seat goes to the official.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd)))
  func ourMembersAndTheOfficialFormOneCluster() throws {
    try withHarness { harness, etcd in
      let found = try harness.run(
        "up", "3", "-d", "--base-port", String(harness.basePort), "--binary", "m2=\(etcd)")
      #expect(found.error == "")
      let members = rows(found.output)
      #expect(members.values.allSatisfy { $0.state == "healthy" })
      #expect(members.values.filter(\.leads).count == 1)
      #expect(Set(members.values.map(\.id)).count == 3)
      // Each implementation may be the one that the others go on without.
      for name in ["m1", "m2"] {
        #expect(try harness.run("kill", name).status == 0)
        #expect(
          Harness.eventually {
            let rest = self.rows((try? harness.run("status").output) ?? "").filter {
              $0.key != name
            }
            return rest.count == 2 && rest.values.allSatisfy { $0.state == "healthy" }
          })
        #expect(try harness.run("start", name).status == 0)
      }
      #expect(try harness.run("down").status == 0)
    }
  }
}
