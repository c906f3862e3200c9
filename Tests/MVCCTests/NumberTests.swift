import Bytes
import EtcdAPI
import Protobuf
import TestSupport
import Testing

@testable import MVCC

/// Numbers of a file may be any: those that leave no room for the next change are damage, not the end of
/// the member.
@Suite struct NumberTests {
  private func row(_ main: Int64, version: Int64 = 1, created: Int64 = 1) -> (Bytes, Bytes) {
    let pair = Mvccpb.KeyValue(
      key: "k", createRevision: created, modRevision: main, version: version, value: "v")
    return (Revision(main: main).encoded(), pair.encoded())
  }

  private func restored(_ row: (Bytes, Bytes), meta: [Bytes: Bytes] = [:]) throws -> MVCCStore {
    try MVCCStore.restore(from: MemoryRows([.key: [row.0: row.1], .meta: meta]))
  }

  @Test(arguments: [
    (Int64.max, Int64(1)), ((1 << 62) + 1, 1), (-1, 1), (.min, 1), (5, .max), (5, -1),
  ])
  func aRowOutOfRangeIsDamage(_ main: Int64, _ version: Int64) throws {
    do {
      var store = try restored(row(main, version: version))
      _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "w"))
      Issue.record("restored")
    } catch let error as StoreError {
      guard case .damaged(let text) = error else { throw error }
      #expect(text.hasSuffix("of bucket key has numbers out of range"), "\(text)")
    }
  }

  @Test(arguments: ["scheduledCompactRev", "finishedCompactRev"] as [Bytes], [.max, -7])
  func aCompactionOutOfRangeIsDamage(_ name: Bytes, _ revision: Int64) throws {
    #expect(throws: StoreError.self) {
      var store = try restored(row(5), meta: [name: Revision(main: revision).encoded()])
      _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "w"))
    }
  }

  /// Etcd before 3.5.14 removed the newest rows when a compaction was asked for at their revision.
  /// - Source: etcd issue 17780.
  @Test(arguments: ["scheduledCompactRev", "finishedCompactRev"] as [Bytes])
  func theRevisionIsNeverBelowACompaction(_ name: Bytes) throws {
    let store = try restored(row(5), meta: [name: Revision(main: 9).encoded()])
    #expect(store.revision == 9 && store.compactRevision == 9)
  }

  /// What is in range is taken as it is, at the end of the range too, and whatever the creation's revision.
  @Test(arguments: [MVCCStore.revisionMax, .max, .min, 0])
  func theLastNumbersAreTaken(_ created: Int64) throws {
    let last = MVCCStore.revisionMax
    var store = try restored(row(last, version: last, created: created))
    _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "w"))
    _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "x"))
    #expect(store.revision == last + 2)
    var small = try restored(row(7, created: created))
    _ = try small.apply(Etcdserverpb.DeleteRangeRequest(key: "k"))
    #expect(small.revision == 8)
  }
}
