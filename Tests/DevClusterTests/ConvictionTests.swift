import Foundation
import Testing

@testable import DevClusterKit

/// The verdict sees: clients that are lied to, in each way, convict the liar; and nobody else.
@Suite(
  .serialized,
  .enabled(if: FileManager.default.isExecutableFile(atPath: Harness.ownEtcd), "needs our etcd"))
struct ConvictionTests {
  /// What clients do who can notice it, and the expectation that is violated.
  private static func evidence(_ lie: Liar.Lie) -> (load: String, expectation: String?) {
    switch lie {
    case .none: ("mixed", nil)
    case .staleReads, .lostWrites: ("register", "linearizable")
    case .earlyLeases: ("lease", "leases")
    case .skippedEvents: ("watch", "watch")
    case .sharedLocks: ("lock", "locks")
    }
  }

  @Test(arguments: Liar.Lie.allCases)
  func liarsAreConvicted(_ lie: Liar.Lie) async throws {
    let (load, expectation) = Self.evidence(lie)
    let harness = try Harness(members: 1)
    let file = harness.directory + ".yaml"
    defer {
      try? FileManager.default.removeItem(atPath: file)
      try? FileManager.default.removeItem(atPath: harness.directory)
    }
    try """
    name: a liar
    cluster: {members: 1}
    load: {kind: \(load), clients: 6, keys: 2, rate: 200, time: 1500ms}
    """.write(toFile: file, atomically: true, encoding: .utf8)
    let member = "http://127.0.0.1:\(harness.basePort)"
    let found = try await Liar.with(lie, before: member) { name in
      try harness.run([
        "scenario", "run", file, "--seed", "3", "--ports", String(harness.basePort), "--through",
        "http://\(name)",
      ])
    }
    guard let expectation else {
      #expect(found.status == 0, "\(found.output) \(found.error)")
      return
    }
    #expect(found.status == 1, "\(lie): \(found.output) \(found.error)")
    #expect(found.output.contains("VIOLATED: a liar: \(expectation): "), "\(lie): \(found.output)")
    // What shows it is a handful of operations, with the command that runs it again.
    let shown = found.output.split(separator: "\n").filter { $0.hasPrefix("    client ") }
    #expect(expectation == "watch" || (1...100).contains(shown.count))
    #expect(found.output.contains("again: devcluster scenario run \(file) --seed 3 "))
    // The file alone says the same.
    #expect(try harness.run("scenario", "check", harness.path("history.jsonl")).status == 1)
  }
}
