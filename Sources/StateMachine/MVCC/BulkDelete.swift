import Bytes
import EtcdAPI
import Protobuf

/// A deletion of very many keys under way: done in steps, so that whoever applies it can do other things
/// in between, and still one transaction: all keys share one revision, and nobody sees a part of it who
/// reads from a snapshot taken before.
///
/// - Source: etcd deletes in the order of the keys; so must this, as rows are hashed.
public struct BulkDelete: Sendable {
  enum Source: Sendable {
    /// What is left of an interval; `nil` = done.
    case interval(next: Bytes?, end: Bytes?)
    /// Parts of a lease's keys: those still to be sorted, and then merged.
    case lease(LeaseID, KeyMerge)
  }

  /// Keys between two looks at the budget.
  static let pageKeys = 256

  var source: Source
  /// Keys deleted so far.
  public internal(set) var deleted: Int64 = 0
  public internal(set) var isDone = false
}

/// Puts parts of a set of keys in order, a little at a time.
struct KeyMerge: Sendable {
  private var unsorted: [Set<Bytes>]
  private var sorted: [[Bytes]] = []
  /// Places in `sorted` by the key that comes next there: a binary heap, smallest in front.
  private var heap: [Int] = []
  private var positions: [Int] = []

  init(_ keys: LeaseKeys) { unsorted = keys.parts }

  private func key(_ part: Int) -> Bytes { sorted[part][positions[part]] }

  /// Sorts one more part. - Returns: the keys that this took; `nil` when all are sorted.
  mutating func sortSome() -> Int? {
    guard let part = unsorted.popLast() else { return nil }
    guard !part.isEmpty else { return 0 }
    sorted.append(part.sorted())
    positions.append(0)
    heap.append(sorted.count - 1)
    siftUp(heap.count - 1)
    return part.count
  }

  /// The next key in order; all parts must be sorted.
  mutating func next() -> Bytes? {
    guard let part = heap.first else { return nil }
    let found = key(part)
    positions[part] += 1
    if positions[part] == sorted[part].count {
      sorted[part] = []
      heap.swapAt(0, heap.count - 1)
      heap.removeLast()
    }
    siftDown()
    return found
  }

  private mutating func siftUp(_ from: Int) {
    var place = from
    while place > 0 {
      let parent = (place - 1) / 2
      guard key(heap[place]) < key(heap[parent]) else { return }
      heap.swapAt(place, parent)
      place = parent
    }
  }

  private mutating func siftDown() {
    var place = 0
    while true {
      var least = place
      for child in [2 * place + 1, 2 * place + 2]
      where child < heap.count && key(heap[child]) < key(heap[least]) { least = child }
      if least == place { return }
      heap.swapAt(place, least)
      place = least
    }
  }
}

extension MVCCStore {
  /// Begins to revoke a lease whose keys are more than `limit`.
  /// - Returns: `nil` when they are not, or there is no such lease: `apply` does it at once.
  public mutating func beginRevoke(
    _ request: Etcdserverpb.LeaseRevokeRequest, over limit: Int
  ) -> BulkDelete? {
    let id = LeaseID(request.id)
    guard let lease = leases.leases[id], lease.keys.count > limit else { return nil }
    beginTransaction()
    leases.forget(id)
    return BulkDelete(source: .lease(id, KeyMerge(lease.keys)))
  }

  /// Deletes some more keys.
  /// - Parameter budget: keys that are looked at or deleted, about; what was is taken off.
  public mutating func step(_ bulk: inout BulkDelete, within budget: inout Int) {
    let taken = min(budget, BulkDelete.pageKeys)
    budget -= taken
    step(&bulk, limit: taken)
  }

  private mutating func step(_ bulk: inout BulkDelete, limit: Int) {
    precondition(!bulk.isDone, "a deletion goes on behind its end")
    switch bulk.source {
    case .interval(let next, let end):
      guard let start = next else {
        bulk.isDone = true
        return
      }
      bulk.source = .interval(next: deleteSome(from: start, to: end, limit, &bulk), end: end)
    case .lease(let id, var merge):
      // The merge has one owner, or every step would copy it.
      bulk.source = .interval(next: nil, end: nil)
      var left = limit
      while left > 0, let sorted = merge.sortSome() { left -= sorted + 1 }
      while left > 0 {
        guard let key = merge.next() else {
          bulk.isDone = true
          put(.lease, Self.leaseKey(id), nil)
          break
        }
        bulk.deleted += delete(key)
        left -= 1
      }
      bulk.source = .lease(id, merge)
    }
  }

  /// - Returns: where to go on; `nil` at the end.
  private mutating func deleteSome(
    from start: Bytes, to end: Bytes?, _ limit: Int, _ bulk: inout BulkDelete
  ) -> Bytes? {
    let page = index.page(from: start, to: end, limit) { $0.isLive ? $0.newest : nil }
    for key in page.keys { bulk.deleted += delete(key) }
    if page.next == nil { bulk.isDone = true }
    return page.next
  }

  /// Ends a revocation: the revision grows.
  public mutating func finish(_ bulk: BulkDelete) {
    precondition(bulk.isDone, "a deletion is finished after \(bulk.deleted) keys")
    endTransaction()
  }
}
