import Bytes
import EtcdAPI
import Protobuf
import Raft
import TestSupport
import Testing

@testable import MVCC

/// A write in steps leaves what it leaves when it is done at once, row by row.
@Suite struct TransactionTests {
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

  private func run(
    _ store: inout MVCCStore, _ transaction: Transaction, limit: Int
  ) throws -> (KVResult, Int) {
    var transaction = transaction
    var steps = 0
    while transaction.result == nil {
      var budget = limit
      try store.step(&transaction, within: &budget)
      steps += 1
    }
    return (try #require(transaction.result), steps)
  }

  @Test(arguments: [1, 7, 500])
  func anIntervalIsDeletedAsAtOnce(limit: Int) throws {
    // Stores share their rows when copied, and only one of them may write.
    var atOnce = try filled(900, lease: 0)
    var inSteps = try filled(900, lease: 0)
    let request = Etcdserverpb.DeleteRangeRequest(key: "key1", rangeEnd: "key8")
    let expected = try atOnce.apply(request)
    let before = inSteps.snapshot()
    let (result, steps) = try run(&inSteps, Transaction(deleting: request), limit: limit)
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
    var bulk = try #require(begun)
    while !bulk.isDone {
      var budget = limit
      inSteps.step(&bulk, within: &budget)
    }
    inSteps.finish(bulk)
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
  }

  /// Random transactions in steps of any size answer, refuse and leave what they do at once.
  @Test(arguments: 0..<8)
  func transactionsInStepsAreTransactions(seed: UInt64) throws {
    // Two stores that get the same: only one owner may write to what copies share.
    var atOnce = MVCCStore(committed: MemoryRows([:]))
    var inSteps = MVCCStore(committed: MemoryRows([:]))
    var requests = RandomRequests(random: SplitMix64(seed: seed))
    var unfinished = 0
    for _ in 0..<400 {
      let put = requests.put()
      let first = try Answer { try atOnce.apply(put) }
      #expect(try Answer { try inSteps.apply(put) } == first)
      let request = requests.txn(atOnce.revision)
      let expected = try Answer { try atOnce.apply(request) }
      let limit = requests.below(6) + 1
      let before = try inSteps.snapshot().hash(at: 0)
      let found = try Answer {
        let (result, steps) = try run(&inSteps, Transaction(request), limit: limit)
        if steps > 1 { unfinished += 1 }
        if !result.isComplete { unfinished += 1 }
        return result
      }
      #expect(found == expected, "seed \(seed), \(request)")
      #expect(inSteps.revision == atOnce.revision)
      if case .failed = found { #expect(try inSteps.snapshot().hash(at: 0) == before) }
    }
    #expect(unfinished > 100)
    #expect(try inSteps.snapshot().hash(at: 0) == atOnce.snapshot().hash(at: 0))
  }

  /// A comparison of an interval decides by its last key, too, and by none when there is none.
  @Test func aComparisonGoesOnWhereItStopped() throws {
    var store = try filled(300, lease: 0)
    for (key, value, holds) in [("key", "v", true), ("key", "w", false), ("nokey", "v", false)] {
      let compare = Etcdserverpb.Compare(
        result: .equal, target: .value, key: Bytes(key), targetUnion: .value(Bytes(value)),
        rangeEnd: Bytes(key + "~"))
      let (result, steps) = try run(
        &store, Transaction(Etcdserverpb.TxnRequest(compare: [compare])), limit: 10)
      guard case .txn(_, let succeeded, _) = result else {
        Issue.record("\(result)")
        return
      }
      #expect(succeeded == holds)
      #expect(!holds || steps > 20)
    }
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
