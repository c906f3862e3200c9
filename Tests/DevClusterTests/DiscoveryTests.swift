import Foundation
import JSON
import Testing

@testable import DevClusterKit

/// Clusters whose members find each other by the supervisor's discovery service.
@Suite(
  .serialized,
  .enabled(
    if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one"),
  .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd")
)
struct DiscoveryTests {
  private func log(_ harness: Harness, _ name: String) -> String {
    (try? String(contentsOfFile: harness.path("\(name)/log"), encoding: .utf8)) ?? ""
  }

  /// Members of each kind; the cluster is remembered, comes back, begins anew, and takes further members.
  @Test func membersOfEachKindGather() throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    let third = ["/usr/bin/etcd"].filter(FileManager.default.isExecutableFile).first
    let official = try #require(Harness.officialEtcd)
    let up = [
      "up", "-d", "3", "--discovery", "--base-port", String(harness.basePort), "--binary",
      "m2=\(official)", "--binary", "m3=\(third ?? official)",
    ]
    let found = try harness.run(up)
    #expect(found.status == 0 && found.error.isEmpty, "\(found)")
    for name in ["m1", "m2", "m3"] {
      #expect(
        log(harness, name).contains("needed peer"), "\(name)")
    }
    #expect(try harness.run("ctl", "put", "a", "b").output == "OK\n")
    let shown = try harness.run("config", "show").output
    let flag = "--discovery http://127.0.0.1:\(harness.basePort + 36)/devcluster"
    #expect(shown.components(separatedBy: flag).count == 4 && !shown.contains("--initial-cluster"))
    #expect(try harness.run("export", "procfile").output.contains("--initial-cluster m1="))
    #expect(try harness.run("add").output == "m4\n")

    #expect(try harness.run("down").status == 0)
    #expect(try harness.run("up", "-d").status == 0)
    #expect(log(harness, "m2").contains("discovery token is ignored since cluster already"))
    #expect(try harness.run("ctl", "get", "a").output == "a\nb\n")
    // All four make the new one.
    #expect(try harness.run("reset").status == 0)
    #expect(try harness.run("status").status == 0)
    #expect(try harness.run("ctl", "get", "a").output.isEmpty)
    #expect(harness.status()?["quorum"]?["voters"] == 4)
  }

  /// A member that ends before all have met ends the start; the next one begins with nobody.
  @Test func aStartThatFailedIsRepeated() throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    let broken = try harness.script("exit 3")
    let up = ["up", "-d", "2", "--discovery", "--base-port", String(harness.basePort)]
    let failed = try harness.run(up + ["--binary", "m2=\(broken)"])
    #expect(failed.status == 1 && failed.error.contains("m2"), "\(failed)")
    let again = try harness.run(up + ["--binary", Harness.ownEtcd])
    #expect(again.status == 0, "\(again)")
    // As a start leaves it that ended when one member had its data.
    #expect(try harness.run("down").status == 0)
    let file = harness.path("cluster.json")
    let text = try String(contentsOfFile: file, encoding: .utf8)
    #expect(text.contains("\"wasHealthy\":true"))
    try text.replacing("\"wasHealthy\":true", with: "\"wasHealthy\":false")
      .write(toFile: file, atomically: true, encoding: .utf8)
    try FileManager.default.removeItem(atPath: harness.path("m2/data"))
    let half = try harness.run("up", "-d")
    #expect(half.status == 0, "\(half)")
    #expect(try harness.run("status").status == 0)
  }

  /// The file says it, too; a member that nobody starts would keep the others waiting.
  @Test func theFileSaysIt() throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    let file = harness.directory + ".yaml"
    defer { try? FileManager.default.removeItem(atPath: file) }
    func show(_ text: String, _ more: String...) throws -> Harness.Outcome {
      try text.write(toFile: file, atomically: true, encoding: .utf8)
      return try harness.run(["config", "show", "-f", file] + more)
    }
    let flag = "--discovery http://127.0.0.1:12378/devcluster"
    #expect(try show("cluster: {discovery: true}").output.contains(flag))
    #expect(!(try show("cluster: {discovery: true}", "--discovery=false").output.contains(flag)))
    #expect(!(try show("cluster: {members: 3}").output.contains(flag)))
    let absent = try show("cluster: {discovery: true}\nmembers: {m3: {start: false}}")
    #expect(absent.status == 2 && absent.error.contains("does not start m3"), "\(absent)")
    let doubled = try show("flags: {discovery-srv: example.test}")
    #expect(
      doubled.status == 2 && doubled.error.contains("devcluster up --discovery"), "\(doubled)")
  }
}
