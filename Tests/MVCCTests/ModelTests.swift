import Bytes
import EtcdAPI
import Raft
import Testing

@testable import MVCC

/// Random requests against a model that keeps everything, with commits, restores and compactions at
/// random moments.
@Suite struct ModelTests {
  private struct Run<B: Backend> {
    var requests: RandomRequests
    var backend: B
    var store: MVCCStore
    var model = Model()
    var frozen: FrozenBatch?
    var index: UInt64 = 0

    init(seed: UInt64, _ backend: B) throws {
      requests = RandomRequests(random: SplitMix64(seed: seed))
      self.backend = backend
      store = try MVCCStore.restore(from: backend.state())
    }

    mutating func step(_ context: String) throws {
      index += 1
      switch requests.below(100) {
      case 0..<34:
        let request = requests.put()
        let got = try Answer { try store.apply(request) }
        #expect(got == model.transact { try $0.put(request) }, "\(context) \(request)")
      case 34..<46:
        let request = requests.delete()
        let got = try Answer { try store.apply(request) }
        #expect(got == model.transact { $0.delete(request) }, "\(context) \(request)")
      case 46..<62:
        let request = requests.txn(model.revision)
        let got = try Answer { try store.apply(request) }
        #expect(got == model.txn(request), "\(context) \(request)")
      case 62..<84:
        let request = requests.range(model.revision)
        let got = try Answer { .range(try store.snapshot().range(request)) }
        #expect(got == model.transact { try $0.range(request) }, "\(context) \(request)")
      case 84..<87:
        let target = model.revision + 1 - Int64(requests.below(12))
        let got = try Answer { try store.compact(to: target) }
        #expect(got == model.compact(target), "\(context) compact \(target)")
      case 87..<92:
        _ = store.compactStep(
          limit: 1 + requests.below(5), dropsMax: 1 + requests.below(4))
      case 92..<96:
        if frozen == nil { frozen = store.freeze(appliedIndex: LogIndex(index), term: 1) }
      default: try commit()
      }
      #expect(store.checkInvariants() == nil, "\(context)")
      #expect(store.revision == model.revision, "\(context)")
      #expect(store.liveKeys == model.pairs(at: model.revision).count, "\(context)")
    }

    mutating func commit() throws {
      guard let batch = frozen else { return }
      store.didCommit(try backend.commit(batch))
      frozen = nil
    }

    /// A snapshot taken before later writes still reads what it saw.
    mutating func checkSnapshot(_ context: String) throws {
      let snapshot = store.snapshot()
      let before = model
      for number in 0..<6 { try step("\(context).\(number)") }
      try commit()
      let all = Etcdserverpb.RangeRequest(key: Bytes([UInt8(0)]), rangeEnd: Bytes([UInt8(0)]))
      let got = try Answer { .range(try snapshot.range(all)) }
      #expect(
        got
          == .range(
            revision: before.revision, pairs: before.pairs(at: before.revision), more: false,
            count: Int64(before.pairs(at: before.revision).count)), "\(context)")
    }

    /// Writes everything out and reads it back: nothing that a client can see may change.
    mutating func restart(_ context: String) throws {
      try commit()
      frozen = store.freeze(appliedIndex: LogIndex(index), term: 1)
      try commit()
      let before = try store.snapshot().hash(at: 0)
      #expect(try store.consistentIndex().rawValue == index)
      store = try MVCCStore.restore(from: backend.state())
      #expect(store.checkInvariants() == nil, "\(context)")
      let after = try store.snapshot().hash(at: 0)
      #expect(after.hash == before.hash, "\(context)")
      #expect(after.revision == before.revision && store.revision == model.revision, "\(context)")
      #expect(store.compactRevision == model.compacted, "\(context)")
      try checkAllRevisions(context)
    }

    /// Every readable revision shows what it always showed.
    func checkAllRevisions(_ context: String) throws {
      for revision in stride(from: max(model.compacted, 1), through: model.revision, by: 7) {
        let request = Etcdserverpb.RangeRequest(
          key: Bytes([UInt8(0)]), rangeEnd: Bytes([UInt8(0)]), revision: revision)
        let got = try Answer { .range(try store.snapshot().range(request)) }
        let expected = try model.range(request)
        #expect(got == expected, "\(context) at \(revision)")
      }
    }
  }

  private func run<B: Backend>(seed: UInt64, steps: Int, _ backend: B) throws {
    print("seed \(seed)")
    var run = try Run(seed: seed, backend)
    for step in 0..<steps {
      try run.step("seed \(seed) step \(step)")
      if step % 90 == 89 { try run.restart("seed \(seed) restart \(step)") }
      if step % 50 == 49 { try run.checkSnapshot("seed \(seed) snapshot \(step)") }
    }
  }

  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func agreesInMemory(seed: UInt64) throws {
    try run(seed: seed, steps: 450, MemoryBackend())
  }

  @Test(arguments: 101...104 as ClosedRange<UInt64>)
  func agreesOverAFile(seed: UInt64) throws {
    try run(seed: seed, steps: 350, FileBackend())
  }

  /// Members compact at their own pace and must agree on the hash all the same.
  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func hashDoesNotDependOnCompactionProgress(seed: UInt64) throws {
    var requests = RandomRequests(random: SplitMix64(seed: seed))
    var backend = MemoryBackend()
    var store = try MVCCStore.restore(from: backend.state())
    for _ in 0..<150 {
      _ = try Answer { try store.apply(requests.put()) }
      if requests.below(4) == 0 { _ = try Answer { try store.apply(requests.delete()) } }
    }
    if seed % 2 == 0 {
      // No key is left: what a compaction keeps still counts.
      _ = try store.apply(
        Etcdserverpb.DeleteRangeRequest(key: Bytes([0]), rangeEnd: Bytes([0])))
      #expect(store.liveKeys == 0)
    } else {
      _ = try store.apply(Etcdserverpb.PutRequest(key: "stays", value: "v"))
    }
    store.didCommit(try backend.commit(store.freeze(appliedIndex: 1, term: 1)))
    _ = try store.compact(to: store.revision - 20)
    let expected = try store.snapshot().hash(at: 0)
    var rounds: UInt64 = 1
    while store.isCompacting {
      _ = store.compactStep(limit: 7, dropsMax: 5)
      #expect(try store.snapshot().hash(at: 0) == expected)
      rounds += 1
      store.didCommit(try backend.commit(store.freeze(appliedIndex: LogIndex(rounds), term: 1)))
      #expect(try store.snapshot().hash(at: 0) == expected)
      let restored = try MVCCStore.restore(from: backend.state())
      #expect(try restored.snapshot().hash(at: 0).hash == expected.hash)
    }
    #expect(rounds > 3)
    for at in (store.revision - 20)...store.revision {
      #expect(try store.snapshot().hash(at: at).revision == at)
    }
    #expect(throws: StoreError.compacted) {
      try store.snapshot().hash(at: store.revision - 21)
    }
    #expect(throws: StoreError.futureRevision) {
      try store.snapshot().hash(at: store.revision + 1)
    }
  }
}
