/// What a run of one seed gave, as one process tells another: a line.
public struct SeedResult: Sendable, Equatable {
  public let seed: UInt64
  public var digest: UInt64
  public var counters: SimulationCounters
  /// What was wrong first, with the options of the run; `nil` when nothing was.
  public var problem: String?

  public init(seed: UInt64, digest: UInt64, counters: SimulationCounters, problem: String?) {
    self.seed = seed
    self.digest = digest
    self.counters = counters
    self.problem = problem
  }

  /// Runs a seed.
  public init(_ options: SimulationOptions, log: ((String) -> Void)? = nil) {
    let cluster = Cluster(options, log: log)
    cluster.run()
    self.init(
      seed: options.seed, digest: cluster.digest, counters: cluster.counters,
      problem: cluster.problems.first.map { "\(options)\n  \($0)" })
  }

  /// Characters of a problem that are told: lines of several processes on one pipe stay whole up to 4 KiB.
  private static let problemMax = 1_500

  /// Without the end of the line.
  public var line: String {
    let text = (problem ?? "").prefix(Self.problemMax).map {
      $0 == "\n" ? "\u{1}" : $0 == "\t" ? " " : String($0)
    }
    return "\(seed)\t\(String(digest, radix: 16))\t\(counters)\t\(text.joined())"
  }

  /// - Returns: `nil` when it is no such line.
  public init?(line: some StringProtocol) {
    let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
    guard parts.count == 4, let seed = UInt64(parts[0]), let digest = UInt64(parts[1], radix: 16)
    else { return nil }
    let problem = parts[3].map { $0 == "\u{1}" ? "\n" : String($0) }.joined()
    self.init(
      seed: seed, digest: digest, counters: SimulationCounters(parts[2]),
      problem: problem.isEmpty ? nil : problem)
  }
}
