/// What all runs together have shown: read from the page that the last run left, added to, and written again.
///
/// The page is Markdown, and every fact in it a row of a table, `| name | seeds | lives |`: nothing is kept elsewhere.
public struct ProofRecord: Sendable, Equatable {
  public var seeds = ProofTally()
  public var lives = ProofTally()

  public init() {}

  private static let hoursOfYear = 8_766.0

  /// By the clocks of all clusters.
  public var clusterYears: Double { (seeds.hours + lives.hours) / Self.hoursOfYear }

  // MARK: Page

  private static func decimal(_ number: Double, places: Int) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let whole = Int((number * scale).rounded())
    let rest = "\(abs(whole) % Int(scale))"
    let zeros = String(repeating: "0", count: max(0, places - rest.count))
    return "\(whole / Int(scale)).\(zeros)\(rest)"
  }

  /// The page.
  public var page: String {
    """
    # Proof by simulation

    Made by `etcd-sim --proof docs/PROOF.md` (`make proof`, `make nightly`), which adds what it ran to what stands here;
    nothing is written by hand. A seed is a run of a whole cluster: members as they are, with simulated disks, clocks and
    network, three to ten kinds of faults together, clients of every service, and checks of all that they were told
    (docs/ARCHITECTURE.md, Tests). `make sim SEED=n` repeats one. A life is such a cluster that goes on for a quarter of a
    year and is mostly left alone: clients come now and then for some minutes, things go wrong then and in between, and
    every week all is mended and checked as at the end of a seed; `make lives FROM=n LIVES=1` repeats one.

    Simulated time is that of clusters; three members for an hour are an hour. No tick is left out. In a seed a tick of a
    member is 100 ms of it, as by default, and clients ask all the time, in a quarter of the seeds eight times rarer. In a life
    it is 5 or 10 s, the longest heartbeats that etcd takes (`--heartbeat-interval`, `--election-timeout` of 50 s).

    **Together: \(Self.decimal(clusterYears, places: 2)) cluster-years.**

    | what | seeds | lives |
    |---|---|---|
    \(rows(Self.facts.map { ($0.name, $0.text) }))

    ## Faults

    | kind | seeds | lives |
    |---|---|---|
    \(rows(FaultKind.allCases.map { kind in (kind.rawValue, { "\($0.counters.faults[kind] ?? 0)" }) }))

    ## What happened

    | what | seeds | lives |
    |---|---|---|
    \(rows(SimulationCounters.fields.map { field in
      (field.name, { "\($0.counters[keyPath: field.path])" })
    }))

    """
  }

  private static let facts: [(name: String, text: @Sendable (ProofTally) -> String)] = [
    ("runs", { "\($0.runs)" }), ("failures", { "\($0.failures)" }),
    (
      "open", { $0.open.isEmpty ? "none" : $0.open.sorted().map { "\($0)" }.joined(separator: " ") }
    ),
    ("last-run", { $0.last.map { "\($0.lowerBound) to \($0.upperBound)" } ?? "none" }),
    ("hours", { decimal($0.hours, places: 2) }),
  ]

  private func rows(_ facts: [(name: String, text: (ProofTally) -> String)]) -> String {
    facts.map { "| \($0.name) | \($0.text(seeds)) | \($0.text(lives)) |" }.joined(separator: "\n")
  }

  /// Reads a page that `page` wrote.
  /// - Returns: `nil` when it is none.
  public init?(page: String) {
    var facts: [Substring: [Substring]] = [:]
    for line in page.split(separator: "\n") where line.hasPrefix("| ") {
      let cells = line.split(separator: "|").map { $0.drop { $0 == " " } }
      guard cells.count == 3, let name = cells[0].split(separator: " ").first else { return nil }
      facts[name] = Array(cells.dropFirst())
    }
    guard let seeds = ProofTally(facts, column: 0), let lives = ProofTally(facts, column: 1) else {
      return nil
    }
    (self.seeds, self.lives) = (seeds, lives)
  }
}

extension ProofTally {
  fileprivate init?(_ facts: [Substring: [Substring]], column: Int) {
    func words(_ name: some StringProtocol) -> [Substring]? {
      facts[Substring(name)]?[column].split(separator: " ")
    }
    func number(_ name: some StringProtocol) -> Int? { words(name)?.first.flatMap { Int($0) } }
    guard let runs = number("runs"), let failures = number("failures"), let open = words("open"),
      let last = words("last-run")
    else { return nil }
    self.runs = runs
    self.failures = failures
    self.open = Set(open.compactMap { UInt64($0) })
    let ends = last.compactMap { UInt64($0) }
    if ends.count == 2, ends[0] <= ends[1] { self.last = ends[0]...ends[1] }
    for field in SimulationCounters.fields {
      counters[keyPath: field.path] = number(field.name) ?? 0
    }
    for kind in FaultKind.allCases {
      if let count = number(kind.rawValue), count > 0 { counters.faults[kind] = count }
    }
  }
}
