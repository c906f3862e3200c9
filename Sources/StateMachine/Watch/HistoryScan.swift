import Bytes
import MVCC

/// History that watchers have to catch up on: read in one pass for many of them, from a state of the store,
/// wherever there is time for it.
///
/// - Source: etcd `mvcc/watchable_store.go` syncWatchers.
public struct HistoryScan: Sendable {
  struct Reader: Sendable {
    let id: WatcherID
    let interval: KeyInterval
    let options: WatchOptions
    /// First revision that it has to see.
    let next: Int64
  }

  /// How much one scan does; more is left to the next one.
  struct Limits: Sendable {
    /// Bytes of events.
    var bytes = 1 << 20
    /// Changes that are looked at.
    var rows = 50_000
  }

  let readers: [Reader]
  let limits: Limits

  /// What watchers get.
  public struct Result: Sendable {
    enum Finding: Sendable {
      /// `nil` = nothing that concerns it.
      case events(EncodedEvents?)
      /// What it was to see is gone: the compacted revision.
      case compacted(Int64)
      case broken(String)
    }

    let findings: [(id: WatcherID, finding: Finding)]
    /// Revision through which everything was read.
    let through: Int64
    /// Newest revision of the state that was read.
    let revision: Int64
  }

  /// Readers that want the same, from the same revision on.
  private struct Shared: Hashable {
    let interval: KeyInterval
    let options: WatchOptions
    let next: Int64
  }

  /// Reads.
  public func run(on state: StoreSnapshot) -> Result {
    var findings: [(id: WatcherID, finding: Result.Finding)] = []
    var index = WatcherIndex(seed: 0x9e37_79b9_7f4a_7c15)
    var known: [Shared: Int] = [:]
    var writers: [(wanted: Shared, writer: EventWriter)] = []
    var byGroup: [WatcherIndex.GroupID: [Int]] = [:]
    var waiting: [(id: WatcherID, writer: Int)] = []
    var start = Int64.max
    for reader in readers {
      guard reader.next >= state.compactRevision else {
        findings.append((reader.id, .compacted(state.compactRevision)))
        continue
      }
      start = Swift.min(start, reader.next)
      let wanted = Shared(
        interval: reader.interval, options: reader.options.contents, next: reader.next)
      if let writer = known[wanted] {
        waiting.append((reader.id, writer))
        continue
      }
      let writer = writers.count
      known[wanted] = writer
      writers.append((wanted, EventWriter()))
      // Names begin with 1.
      let name = WatcherID(UInt64(writers.count))
      byGroup[index.add(name, of: reader.interval), default: []].append(writer)
      waiting.append((reader.id, writer))
    }
    guard !waiting.isEmpty else {
      return Result(findings: findings, through: 0, revision: state.revision)
    }
    var through = state.revision
    var budget = limits
    var last: Int64 = 0
    var damage: StoreError?
    do throws(StoreError) {
      try state.changes(from: start) { row in
        // All rows of a revision belong together.
        if row.revision.main != last, budget.bytes <= 0 || budget.rows <= 0 {
          through = last
          return false
        }
        last = row.revision.main
        budget.rows -= 1
        do throws(StoreError) {
          try read(row, state, index, byGroup, writers, &budget)
        } catch {
          damage = error
          return false
        }
        return true
      }
    } catch { damage = error }
    if let damage {
      findings += waiting.map { ($0.id, .broken("\(damage)")) }
      return Result(findings: findings, through: 0, revision: state.revision)
    }
    let events = writers.map { $0.writer.finish() }
    findings += waiting.map { ($0.id, .events(events[$0.writer])) }
    return Result(findings: findings, through: through, revision: state.revision)
  }

  private func read(
    _ row: ChangedRow, _ state: StoreSnapshot, _ index: WatcherIndex,
    _ byGroup: [WatcherIndex.GroupID: [Int]],
    _ writers: [(wanted: Shared, writer: EventWriter)], _ budget: inout Limits
  ) throws(StoreError) {
    var concerned: [Int] = []
    index.visit(row.key) { group in
      for number in byGroup[group] ?? [] {
        let wanted = writers[number].wanted
        if row.revision.main >= wanted.next, wanted.options.wants(row) { concerned.append(number) }
      }
    }
    guard !concerned.isEmpty else { return }
    let wantsPrevious = concerned.contains { writers[$0].wanted.options.contains(.previous) }
    let previous = wantsPrevious ? try state.previous(of: row) : nil
    for number in concerned {
      let before = writers[number].writer.bytes
      writers[number].writer.append(
        row, previous: writers[number].wanted.options.contains(.previous) ? previous : nil)
      budget.bytes -= writers[number].writer.bytes - before
    }
  }
}
