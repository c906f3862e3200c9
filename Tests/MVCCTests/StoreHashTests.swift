import Bytes
import EtcdAPI
import Raft
import Testing

@testable import MVCC

/// What members compare after a compaction.
@Suite struct StoreHashTests {
  private func store(_ puts: Int) throws -> MVCCStore {
    var store = try MVCCStore.restore(from: MemoryBackend().state())
    for n in 0..<puts {
      _ = try store.apply(
        Etcdserverpb.PutRequest(key: Bytes("k\(n % 3)"), value: Bytes("v\(n)")))
    }
    return store
  }

  private func finish(_ store: inout MVCCStore) {
    while store.isCompacting { _ = store.compactStep(limit: 1, dropsMax: 1000) }
  }

  /// Go etcd hashes what it compacts as it was before, seen from the compaction before.
  @Test func aCompactionIsHashedAsItFoundTheStore() throws {
    var store = try store(10)
    let before = try store.snapshot().hash(at: 7)
    _ = try store.compact(to: 7)
    let begun = store.takeNewCompaction()
    finish(&store)
    #expect(try begun?.hash() == before)
    #expect(before.compactRevision == -1 && before.revision == 7)
    #expect(store.takeNewCompaction() == nil)

    _ = try store.apply(Etcdserverpb.DeleteRangeRequest(key: "k1"))
    let next = try store.snapshot().hash(at: 10)
    _ = try store.compact(to: 10)
    let second = store.takeNewCompaction()
    // Later writes and steps leave the state alone that is hashed.
    finish(&store)
    _ = try store.apply(Etcdserverpb.PutRequest(key: "new", value: "v"))
    #expect(try second?.hash() == next)
    #expect(next.compactRevision == 7)
    #expect(try store.snapshot().hash(at: 10) != next)
  }

  /// Members are at different places inside a compaction that another one overtakes.
  @Test func aCompactionThatOvertakesAnotherHasNoHash() throws {
    var store = try store(12)
    _ = try store.compact(to: 5)
    _ = store.takeNewCompaction()
    _ = try store.compact(to: 8)
    #expect(store.takeNewCompaction() == nil)
    finish(&store)
    _ = try store.compact(to: 9)
    #expect(store.takeNewCompaction() != nil)
  }

  /// Where nothing but a tombstone at the target is kept, what an earlier compaction kept is not counted
  /// by a compaction, and is by `HashKV`. Both as in Go.
  @Test func aTombstoneAtTheTargetCountsAsKept() throws {
    var store = try MVCCStore.restore(from: MemoryBackend().state())
    _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "v"))
    _ = try store.compact(to: 2)
    finish(&store)
    _ = try store.apply(Etcdserverpb.DeleteRangeRequest(key: "k"))
    let asked = try store.snapshot().hash(at: 3)
    _ = store.takeNewCompaction()
    _ = try store.compact(to: 3)
    let begun = store.takeNewCompaction()
    let hash = try #require(begun).hash()
    #expect(hash.revision == 3 && hash.compactRevision == 2)
    #expect(hash.hash != asked.hash)
  }
}
