import Bytes
import EtcdAPI
import Raft
import Testing

@testable import MVCC

/// What those who watch are told of the past.
@Suite struct HistoryTests {
  private func history(of state: StoreSnapshot, from start: Int64) throws -> [String] {
    var changes: [String] = []
    try state.changes(from: start) { row in
      changes.append("\(row.revision) \(row.isTombstone) \(row.pair)")
      return true
    }
    return changes
  }

  /// From every revision that is not compacted a restarted member tells what it told before, deletions of which nothing
  /// else is left among them.
  /// - Source: etcd issues 18089 and 19179.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func aRestartChangesNothing(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var backend = MemoryBackend()
    var store = try MVCCStore.restore(from: backend.state())
    var deletions = 0
    for step in 1...30 as ClosedRange<UInt64> {
      for _ in 0..<8 {
        let key = Bytes("k\(random.below(4))")
        if random.below(2) == 0 {
          _ = try store.apply(Etcdserverpb.PutRequest(key: key, value: Bytes("\(step)")))
        } else {
          _ = try store.apply(Etcdserverpb.DeleteRangeRequest(key: key))
        }
      }
      _ = try? store.compact(to: store.revision - Int64(random.below(3)))
      while store.isCompacting { _ = store.compactStep(limit: 100, dropsMax: .max) }
      store.didCommit(
        try backend.commit(store.freeze(appliedIndex: LogIndex(step), term: 1)))
      let restored = try MVCCStore.restore(from: backend.state())
      for start in store.compactRevision...store.revision {
        let told = try history(of: store.snapshot(), from: start)
        #expect(try history(of: restored.snapshot(), from: start) == told, "seed \(seed)")
        if start == store.compactRevision, told.first?.contains("true") == true { deletions += 1 }
      }
    }
    #expect(deletions > 0, "no history began with a deletion")
  }
}
