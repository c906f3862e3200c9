/// What all runs of one sort have shown, of seeds or of lives.
public struct ProofTally: Sendable, Equatable {
  /// Runs; one that was repeated counts twice.
  public internal(set) var runs = 0
  /// Runs that failed, whether that is mended or not.
  public internal(set) var failures = 0
  /// Those that failed when they were last run.
  public internal(set) var open: Set<UInt64> = []
  /// What was run last.
  public internal(set) var last: ClosedRange<UInt64>?
  public internal(set) var counters = SimulationCounters()

  public init() {}

  public mutating func add(_ result: SeedResult) {
    runs += 1
    counters += result.counters
    if result.problem == nil {
      open.remove(result.seed)
    } else {
      failures += 1
      open.insert(result.seed)
    }
  }

  /// A run of these is over.
  public mutating func finish(_ range: ClosedRange<UInt64>) { last = range }

  /// Hours by the clocks of the clusters.
  public var hours: Double { Double(counters.milliseconds) / 3_600_000 }
}
