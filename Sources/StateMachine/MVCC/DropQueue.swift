/// Rows that a compaction removes, on their way to the backend in revision order.
///
/// The index gives them in key order, which scatters a batch of them over the whole file; in revision
/// order every page is written once. Sorting a large compaction at once would hold everything else up,
/// so a run of revisions is sorted when its turn comes: it is cut into narrower runs until one fits.
struct DropQueue: Sendable {
  typealias Drop = (revision: Revision, isTombstone: Bool)

  /// Rows with `low` ≤ main < `low + width`.
  private struct Run: Sendable {
    let low: Int64
    let width: Int64
    var drops: [Drop] = []
  }

  private static let parts = 64

  /// The next run is the last element.
  private var runs: [Run]
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  /// - Parameter revision: the newest main revision that may be added.
  init(upTo revision: Int64) {
    // Nobody counts that far; the bounds of runs must not overflow.
    runs = Self.cut(low: 0, width: Swift.min(Swift.max(revision, 0), 1 << 62) + 1)
  }

  /// Runs in falling order that together are as wide.
  private static func cut(low: Int64, width: Int64) -> [Run] {
    let part = Swift.max(width, 1) / Int64(parts) + 1
    return (0..<parts).reversed().map { Run(low: low + Int64($0) * part, width: part) }
  }

  private static func put(_ drop: Drop, into runs: inout [Run]) {
    // Damage may have left revisions outside: they go with the nearest.
    let last = runs[runs.count - 1]
    let part = (Swift.max(drop.revision.main, last.low) - last.low) / last.width
    runs[Swift.max(runs.count - 1 - Int(part), 0)].drops.append(drop)
  }

  /// Adds a row; only before the first `next`.
  mutating func add(_ drop: Drop) {
    Self.put(drop, into: &runs)
    count += 1
  }

  /// Takes the oldest rows: at most `limit`, or all of one main revision, sorted.
  mutating func next(_ limit: Int) -> [Drop] {
    while let run = runs.popLast() {
      if run.drops.isEmpty { continue }
      guard run.drops.count > limit, run.width > 1 else {
        count -= run.drops.count
        return run.drops.sorted { $0.revision < $1.revision }
      }
      var parts = Self.cut(low: run.low, width: run.width)
      for drop in run.drops { Self.put(drop, into: &parts) }
      runs += parts.filter { !$0.drops.isEmpty }
    }
    return []
  }

  /// All rows that are left, in no order.
  var rest: [Drop] { runs.flatMap(\.drops) }
}
