import Simulation
import Testing

/// Files that a start finds superfluous.
@Suite struct CleaningTests {
  /// Snapshots, and segments of the log, in their order.
  private func files(_ disk: SimulatedFileSystem) throws -> (
    snapshots: [String], segments: [String]
  ) {
    (
      try disk.list("data/member/snap").filter { $0.hasSuffix(".snap") }.sorted(),
      try disk.list("data/member/wal").filter { $0.hasSuffix(".wal") }.sorted()
    )
  }

  /// The second number of a name: of a snapshot its index, of a segment its first.
  private func index(_ name: String) -> UInt64? {
    UInt64(name.prefix { $0 != "." }.split(separator: "-")[1], radix: 16)
  }

  /// How many files are kept is what this start is told: those of a process that kept more, or died before it
  /// cleaned, go.
  @Test func aStartRemovesOldFiles() throws {
    var script = CrashScript(seed: 5, steps: 200)
    script.options.segmentsKept = 0
    script.options.snapshotsKept = 0
    let disk = SimulatedFileSystem()
    var progress = CrashScript.Progress()
    try script.run(disk, &progress)
    let before = try files(disk)
    #expect(before.snapshots.count > 10 && before.segments.count > 10)
    script.options.segmentsKept = 1
    script.options.snapshotsKept = 2
    let member = try script.open(disk)
    let after = try files(disk)
    #expect(after.snapshots == before.snapshots.suffix(2))
    let newest = try #require(after.snapshots.last.flatMap(index))
    #expect(after.segments.dropFirst().allSatisfy { index($0).map { $0 > newest } ?? false })
    #expect(try script.state(member) == progress.states.last)
    try member.close()
    // What is left can be opened.
    let again = try script.open(disk)
    #expect(try script.state(again) == progress.states.last)
    try again.close()
  }
}
