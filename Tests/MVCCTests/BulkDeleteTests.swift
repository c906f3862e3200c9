import Bytes
import EtcdAPI
import Protobuf
import Testing

@testable import MVCC

/// A deletion in steps leaves what a deletion at once leaves, row by row.
@Suite struct BulkDeleteTests {
  private func filled(_ keys: Int, lease: Int64) throws -> MVCCStore {
    var store = MVCCStore(committed: MemoryRows([:]))
    if lease != 0 {
      _ = try store.apply(Etcdserverpb.LeaseGrantRequest(ttl: 100, id: lease), minTTL: 1)
    }
    for number in 0..<keys {
      // In no order, and some deleted before.
      let key = Bytes("key\((number &* 7919) % keys)")
      _ = try store.apply(Etcdserverpb.PutRequest(key: key, value: "v", lease: lease))
      if lease == 0, number % 5 == 0 {
        _ = try store.apply(Etcdserverpb.DeleteRangeRequest(key: key))
      }
    }
    return store
  }

  private func run(_ store: inout MVCCStore, _ bulk: BulkDelete, limit: Int) -> (KVResult, Int) {
    var bulk = bulk
    var steps = 0
    while !bulk.isDone {
      store.step(&bulk, limit: limit)
      steps += 1
    }
    return (store.finish(bulk), steps)
  }

  @Test(arguments: [1, 7, 500])
  func anIntervalIsDeletedAsAtOnce(limit: Int) throws {
    // Stores share their rows when copied, and only one of them may write.
    var atOnce = try filled(900, lease: 0)
    var inSteps = try filled(900, lease: 0)
    let request = Etcdserverpb.DeleteRangeRequest(key: "key1", rangeEnd: "key8")
    let expected = try atOnce.apply(request)
    let begun = inSteps.beginDelete(request, over: 100)
    let bulk = try #require(begun)
    let before = inSteps.snapshot()
    let (result, steps) = run(&inSteps, bulk, limit: limit)
    #expect(steps > 1)
    #expect("\(result)" == "\(expected)")
    #expect(inSteps.revision == atOnce.revision)
    #expect(try inSteps.snapshot().hash(at: 0) == atOnce.snapshot().hash(at: 0))
    // Who read before sees nothing of it.
    let range = Etcdserverpb.RangeRequest(key: "key1", rangeEnd: "key8", countOnly: true)
    #expect(try before.range(range).count > 100)
    #expect(try inSteps.snapshot().range(range).count == 0)
  }

  @Test(arguments: [1, 100])
  func aLeaseIsRevokedAsAtOnce(limit: Int) throws {
    var atOnce = try filled(2_000, lease: 7)
    var inSteps = try filled(2_000, lease: 7)
    let request = Etcdserverpb.LeaseRevokeRequest(id: 7)
    try atOnce.apply(request)
    let begun = inSteps.beginRevoke(request, over: 100)
    let bulk = try #require(begun)
    _ = run(&inSteps, bulk, limit: limit)
    #expect(inSteps.revision == atOnce.revision)
    #expect(try inSteps.snapshot().hash(at: 0) == atOnce.snapshot().hash(at: 0))
    #expect(!inSteps.leases.contains(7))
    // The keys hang on nothing any more.
    _ = try inSteps.apply(Etcdserverpb.LeaseGrantRequest(ttl: 100, id: 7), minTTL: 1)
    #expect(inSteps.leases.leases[7]?.keys.count == 0)
  }

  @Test func fewKeysAreDeletedAtOnce() throws {
    var store = try filled(50, lease: 7)
    let small = store.beginRevoke(Etcdserverpb.LeaseRevokeRequest(id: 7), over: 50)
    #expect(small == nil)
    let none = store.beginRevoke(Etcdserverpb.LeaseRevokeRequest(id: 8), over: 1)
    #expect(none == nil)
    let withPairs = store.beginDelete(
      Etcdserverpb.DeleteRangeRequest(key: "k", rangeEnd: "l", prevKv: true), over: 1)
    #expect(withPairs == nil, "its answer holds the pairs")
    let single = store.beginDelete(Etcdserverpb.DeleteRangeRequest(key: "key1"), over: 0)
    #expect(single == nil)
  }

  /// Keys in parts are the same keys, whatever their number, and a copy does not see later changes.
  @Test func keysOfALeaseAreASet() {
    var keys = LeaseKeys()
    var model: Set<Bytes> = []
    for number in 0..<5_000 {
      let key = Bytes("k\((number &* 31) % 3_000)")
      if number % 3 == 2 {
        keys.remove(key)
        model.remove(key)
      } else {
        keys.insert(key)
        model.insert(key)
      }
    }
    #expect(keys.count == model.count && Set(keys) == model)
    #expect(keys.fieldBytes == model.reduce(0) { $0 + 2 + $1.count })
    let copy = keys
    for key in model { keys.remove(key) }
    #expect(keys.isEmpty && keys.fieldBytes == 0 && Set(copy) == model)
  }
}
