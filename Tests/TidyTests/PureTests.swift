import Foundation
import Testing

/// Pure targets know no time, no chance and no tasks: what they do follows from what they are given, so that
/// the simulation can run them a hundred thousand times and get the same again.
@Suite struct PureTests {
  static let targets = [
    "Bytes", "GoText", "JSON", "Protobuf", "EtcdAPI", "Checkers", "Concurrency", "Raft",
    "StateMachine", "Member",
  ]

  /// A line of code that asks the world for something.
  private let impure =
    #/\b(?:Task|async|await|ContinuousClock|SuspendingClock|clock_gettime|gettimeofday|WallClock|monotonicNanoseconds|SystemRandomNumberGenerator|getenv|Mutex|Atomic|Thread|DispatchQueue)\b|\.random\(/#
    .wordBoundaryKind(.simple)

  /// Lines with the reason why they are there nevertheless.
  private static let known: Set<String> = []

  @Test(arguments: targets)
  func noClockNoChanceNoTasks(_ target: String) {
    let files = TidyTests.sources("Sources/" + target)
    #expect(!files.isEmpty)
    for (path, text) in files {
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      for (at, line) in lines.enumerated() {
        let code = String(line.split(separator: "//", omittingEmptySubsequences: false)[0])
        guard code.contains(impure) else { continue }
        let found = code.trimmingCharacters(in: .whitespaces)
        if Self.known.contains("\(target): \(found)") { continue }
        Issue.record("\(path):\(at + 1) of a pure target asks the world: \(found)")
      }
    }
  }

  @Test(arguments: [
    ("let now = ContinuousClock.now", true), ("Task { await x() }", true),
    ("let n = Int.random(in: 0..<4)", true), ("let seconds = clock.now", false),
    ("func taskCount() -> Int {", false),
  ])
  func theRuleSees(_ line: String, _ isFound: Bool) {
    #expect(line.contains(impure) == isFound)
  }
}
