import Bytes
import EtcdAPI
import Testing

@testable import MVCC

/// Rows that are written by name: what waits for the backend and what is in it read as one.
/// - Source: etcd issue 17230.
@Suite struct SmallRowTests {
  private enum Step: CaseIterable {
    case putFirst, putSecond, deleteFirst, deleteSecond, freeze, commit
  }

  /// Every sequence of six steps against a dictionary.
  @Test func everySequenceReadsAsAMap() throws {
    let steps = Step.allCases
    let keys: [Bytes] = ["a", "b"]
    var wrong = 0
    for number in 0..<46_656 {  // 6 to the 6th
      var backend = MemoryBackend()
      var store = try MVCCStore.restore(from: backend.state())
      var model: [Bytes: Bytes] = [:]
      var frozen: FrozenBatch?
      var rest = number
      for place in 0..<6 {
        let value = Bytes([UInt8(place)])
        let step = steps[rest % steps.count]
        rest /= steps.count
        func put(_ key: Bytes, _ value: Bytes?) {
          store.put(.cluster, key, value)
          model[key] = value
        }
        switch step {
        case .putFirst: put(keys[0], value)
        case .putSecond: put(keys[1], value)
        case .deleteFirst: put(keys[0], nil)
        case .deleteSecond: put(keys[1], nil)
        case .freeze: if frozen == nil { frozen = store.freeze(appliedIndex: 1, term: 1) }
        case .commit:
          if let batch = frozen { store.didCommit(try backend.commit(batch)) }
          frozen = nil
        }
      }
      let rows = try store.rows(.cluster)
      let isRight =
        try keys.allSatisfy { try store.get(.cluster, $0) == model[$0] }
        && rows.map(\.key) == model.keys.sorted() && rows.allSatisfy { model[$0.key] == $0.value }
      if !isRight { wrong += 1 }
    }
    #expect(wrong == 0)
  }
}
