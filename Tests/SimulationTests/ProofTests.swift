import Simulation
import Testing

/// What runs have shown is kept in a page that the next run reads.
@Suite struct ProofTests {
  private func result(_ seed: UInt64, _ problem: String? = nil) -> SeedResult {
    var counters = SimulationCounters()
    counters.events = 100
    counters.milliseconds = 36_000
    counters.faults = [.kill: 2, .lyingSync: 1]
    return SeedResult(seed: seed, digest: seed << 32, counters: counters, problem: problem)
  }

  @Test func resultsGoThroughLines() throws {
    for problem in [nil, "seed 7: options\n  m1 failed:\tsomething"] {
      let sent = result(7, problem)
      let read = try #require(SeedResult(line: sent.line))
      #expect(!sent.line.contains("\n"))
      #expect(read.counters == sent.counters && read.digest == sent.digest)
      #expect(read.problem == problem?.replacing("\t", with: " "))
    }
    let long = result(7, String(repeating: "x\n", count: 10_000))
    #expect(long.line.utf8.count < 4096, "lines of several processes would mix")
    for wrong in ["", "7", "7\t1\t\t", "x\t1\t\t", "7\t1\tevents=1"] {
      #expect((SeedResult(line: wrong) == nil) == (wrong != "7\t1\t\t"), "\(wrong)")
    }
  }

  @Test func pagesAddUp() throws {
    var record = ProofRecord()
    for seed in 1...10 as ClosedRange<UInt64> {
      record.seeds.add(result(seed, seed % 5 == 0 ? "wrong" : nil))
    }
    record.seeds.finish(1...10)
    record.lives.add(result(5))
    record.lives.finish(5...5)
    #expect(record.seeds.runs == 10 && record.seeds.failures == 2 && record.seeds.open == [5, 10])
    #expect(record.seeds.counters.faults[.kill] == 20)
    #expect(record.seeds.hours == 0.1)
    var read = try #require(ProofRecord(page: record.page))
    #expect(read == record)
    // One of them passes now.
    read.seeds.add(result(5))
    read.seeds.finish(5...5)
    let again = try #require(ProofRecord(page: read.page))
    #expect(again.seeds.runs == 11 && again.seeds.failures == 2)
    #expect(again.seeds.open == [10] && again.seeds.last == 5...5)
    #expect(again.lives == record.lives)
    #expect(again.page.contains("| kill | 22 | 2 |"))
    #expect(ProofRecord(page: "# Something else\n") == nil)
    #expect(ProofRecord(page: "| kill | 22 |\n") == nil)
  }

  @Test func yearsAreThoseOfBoth() {
    var record = ProofRecord()
    var counters = SimulationCounters()
    counters.milliseconds = 4_383 * 3_600_000
    let half = SeedResult(seed: 1, digest: 0, counters: counters, problem: nil)
    record.seeds.add(half)
    record.lives.add(half)
    record.lives.add(half)
    #expect(record.clusterYears == 1.5)
    #expect(record.page.contains("1.50 cluster-years"))
  }

  @Test func countersKnowAllOfTheirFields() {
    var counters = SimulationCounters()
    for (number, field) in SimulationCounters.fields.enumerated() {
      counters[keyPath: field.path] = number + 1
    }
    for (number, kind) in FaultKind.allCases.enumerated() { counters.faults[kind] = number + 1 }
    #expect(SimulationCounters(counters.description) == counters)
    let names = Mirror(reflecting: counters).children.compactMap(\.label)
    #expect(names.count == SimulationCounters.fields.count + 1, "a field without a name: \(names)")
    var twice = counters
    twice += counters
    #expect(
      twice.events == 2 * counters.events && twice.faults[.drop] == 2 * counters.faults[.drop]!)
  }

  /// Three to ten kinds a run, and all of them over some runs; single members have none of several.
  @Test func seedsCombineFaults() {
    var seen: Set<FaultKind> = []
    for seed in 1...200 as ClosedRange<UInt64> {
      let options = SimulationOptions.varied(seed: seed)
      #expect((3...10).contains(options.faults.count))
      #expect(Set(options.faults).count == options.faults.count)
      if options.members == 1 {
        #expect(!options.faults.contains(.splitBothWays) && !options.faults.contains(.flippedLog))
      }
      seen.formUnion(options.faults)
    }
    #expect(seen == Set(FaultKind.allCases))
    #expect(FaultKind.allCases.count >= 25)
  }
}
