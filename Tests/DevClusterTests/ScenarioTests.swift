import FaultRelay
import Foundation
import Testing

@testable import DevClusterKit

/// Scenarios on real members.
@Suite(
  .serialized,
  .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd"))
struct ScenarioTests {
  @Test func aScenarioIsRunJudgedAndJudgedAgain() throws {
    let harness = try Harness()
    let file = harness.directory + ".yaml"
    defer {
      try? FileManager.default.removeItem(atPath: file)
      try? FileManager.default.removeItem(atPath: harness.directory)
    }
    try """
    name: all kinds of work
    cluster: {members: 3}
    load: {kind: mixed, clients: 6, keys: 2, rate: 200, time: 3s}
    steps: [{at: 500ms, kill: leader, for: 1s}]
    """.write(toFile: file, atomically: true, encoding: .utf8)
    let found = try harness.run("scenario", "run", file, "--seed", "5")
    #expect(found.status == 0, "\(found.output) \(found.error)")
    #expect(
      found.output.contains("ok: all kinds of work: ") && found.output.contains("kill leader"))
    #expect(!FileManager.default.fileExists(atPath: harness.path("cluster")))
    let history = harness.path("history.jsonl")
    let page = try String(contentsOfFile: harness.path("history.html"), encoding: .utf8)
    #expect(page.contains("<title>ok: all kinds of work</title>") && page.contains("kill leader"))
    let again = try harness.run("scenario", "check", history)
    #expect(again.status == 0 && again.output.hasPrefix("ok: all kinds of work: "))
    let text = try String(contentsOfFile: history, encoding: .utf8)
    for kind in ["put", "compare", "add", "grant", "lock", "guarded", "read"] {
      #expect(text.contains("\"op\":\"\(kind)\""), "\(kind)")
    }
    #expect(text.contains("\"watch\":") && text.contains("\"event\":\"leader\""))
    // A revision that two writes got: one line changed.
    let lines = text.split(separator: "\n")
    let forged = try #require(lines.first { $0.contains("\"op\":\"put\"") && $0.contains("wrote") })
    let twin = forged.replacing("\"client\":", with: "\"client\":9")
    try (text + twin + "\n").write(toFile: history, atomically: true, encoding: .utf8)
    let bad = try harness.run("scenario", "check", history)
    #expect(bad.status == 1 && bad.output.hasPrefix("VIOLATED: all kinds of work: linearizable: "))
    #expect(bad.output.contains("again: devcluster scenario run \(file) --seed 5\n"))
  }

  @Test func whatCannotBeRunSaysSo() throws {
    let harness = try Harness()
    defer { try? FileManager.default.removeItem(atPath: harness.directory) }
    #expect(try harness.run("scenario", "run", "/nowhere.yaml").status == 2)
    #expect(try harness.run("scenario", "check", "/nowhere.jsonl").status == 2)
    let start = try harness.run(
      "scenario", "run", Self.folder + "/leader-isolated.yaml", "--binary", "/nowhere")
    #expect(start.status == 125 && start.error.contains("there is no program at /nowhere"))
    let list = try harness.run("scenario", "list", Self.folder)
    #expect(list.status == 0)
    for name in ShippedScenarioTests.all { #expect(list.output.contains("/\(name).yaml ")) }
    #expect(list.output.split(separator: "\n").count == ShippedScenarioTests.all.count + 1)
  }

  /// The scenarios that are shipped.
  static let folder =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path + "/conf/scenarios"
}

/// The scenarios that are shipped, on ours; with `SCENARIOS=all` (`make nightly`) all of them, on the official
/// etcd, too.
@Suite(
  .serialized,
  .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd"),
  .enabled(if: Relay.knowsOwners, "this system does not say who owns a socket"))
struct ShippedScenarioTests {
  private static let short = ["leader-isolated", "split-two-three", "stops"]
  static let all =
    short + [
      "chaos", "cuts", "disks", "follower-behind", "kills", "member-replaced", "slow-links",
    ]
  private static let isNight = ProcessInfo.processInfo.environment["SCENARIOS"] == "all"
  /// What the official etcd can run: the flag of one came with 3.5.15.
  private static let official = isOlder ? all.filter { $0 != "follower-behind" } : all
  private static let isOlder = !Harness.officialTakes("--experimental-snapshot-catchup-entries=10")

  @Test(arguments: isNight ? all : short)
  func oursHolds(_ name: String) throws { try run(name) }

  @Test(
    .enabled(if: isNight && Harness.officialEtcd != nil, "for make nightly"), arguments: official)
  func theOfficialHolds(_ name: String) throws {
    try run(name, "--binary", try #require(Harness.officialEtcd))
  }

  /// Go's members until 3.5.15 renew leases as long as they take themselves for the leader.
  private static func isKnown(_ output: String) -> Bool {
    let lines = output.split(separator: "\n")
    guard isOlder, let first = lines.firstIndex(where: { $0.contains("VIOLATED:") }),
      let end = lines[first...].firstIndex(where: { $0.hasPrefix("in ") })
    else { return false }
    return lines[first..<end].allSatisfy { $0.contains(": renew ") }
  }

  private func run(_ name: String, _ more: String...) throws {
    let harness = try Harness()
    let found = try harness.run(["scenario", "run", "\(ScenarioTests.folder)/\(name).yaml"] + more)
    let isFine = found.status == 0 || (!more.isEmpty && Self.isKnown(found.output))
    // What was violated stays there to be looked at.
    #expect(isFine, "\(found.output) \(found.error)")
    if isFine { try FileManager.default.removeItem(atPath: harness.directory) }
  }
}
