import EtcdAPI

/// Leases by the time at which something is due for them. Setting a later time costs one dictionary
/// write: the queue keeps the old place, which is corrected when it comes up.
///
/// - Units: milliseconds on the lease clock (`Lessor`).
struct DueQueue: Sendable {
  struct Place: Sendable {
    let time: Int64
    let id: LeaseID

    func precedes(_ other: Place) -> Bool {
      time == other.time ? id < other.id : time < other.time
    }
  }

  private struct Entry: Sendable {
    var due: Int64
    /// Time under which the entry stands in the heap; places with other times are void.
    var queued: Int64
  }

  private var entries: [LeaseID: Entry] = [:]
  /// Binary heap, earliest first.
  var heap: [Place] = []

  init() {}

  /// - Parameter sorted: each id once, by time.
  init(sorted: [(id: LeaseID, due: Int64)]) {
    entries.reserveCapacity(sorted.count)
    heap.reserveCapacity(sorted.count)
    for (id, due) in sorted {
      entries[id] = Entry(due: due, queued: due)
      // What is sorted is a heap.
      heap.append(Place(time: due, id: id))
    }
  }

  var count: Int { entries.count }
  /// Places in memory, void ones included.
  var places: Int { heap.count }

  func due(of id: LeaseID) -> Int64? { entries[id]?.due }

  mutating func set(_ id: LeaseID, due: Int64) {
    guard let entry = entries[id] else {
      entries[id] = Entry(due: due, queued: due)
      push(Place(time: due, id: id))
      return
    }
    if due < entry.queued {
      entries[id] = Entry(due: due, queued: due)
      push(Place(time: due, id: id))
    } else {
      entries[id] = Entry(due: due, queued: entry.queued)
    }
  }

  mutating func remove(_ id: LeaseID) {
    guard entries.removeValue(forKey: id) != nil else { return }
    if heap.count > 2 * entries.count + Self.voidPlacesMax { rebuild() }
  }

  /// The next id that is due. It stays, is not due before `again` a second time, and keeps its time.
  /// - Parameter steps: places that may still be looked at; counted down.
  mutating func takeDue(now: Int64, again: Int64, steps: inout Int) -> LeaseID? {
    while steps > 0, let first = heap.first, first.time <= now {
      steps -= 1
      guard let entry = entries[first.id], entry.queued == first.time else {
        popFirst()
        continue
      }
      let next = entry.due > now ? entry.due : again
      entries[first.id]!.queued = next
      replaceFirst(Place(time: next, id: first.id))
      if entry.due <= now { return first.id }
    }
    return nil
  }

  /// Brings an id up again at `time`, earlier than `takeDue` promised.
  mutating func recall(_ id: LeaseID, at time: Int64) {
    guard let entry = entries[id], time < entry.queued else { return }
    entries[id]!.queued = time
    push(Place(time: time, id: id))
  }

  /// Guarantees:
  /// 1. No place comes before its parent: the earliest is in front.
  /// 2. Every entry has a place at the time that it names.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    for child in heap.indices.dropFirst() where heap[child].precedes(heap[(child - 1) / 2]) {
      return "1: place \(child) of \(heap.count) comes before its parent"
    }
    var missing = entries
    for place in heap where missing[place.id]?.queued == place.time { missing[place.id] = nil }
    return missing.keys.min().map { "2: \(missing.count) have no place, \($0) one of them" }
  }

  // MARK: Heap

  private static let voidPlacesMax = 1024

  private mutating func rebuild() {
    heap.removeAll(keepingCapacity: true)
    for (id, entry) in entries { heap.append(Place(time: entry.queued, id: id)) }
    heap.sort { $0.precedes($1) }
  }

  private mutating func push(_ place: Place) {
    heap.append(place)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func popFirst() {
    let last = heap.removeLast()
    if !heap.isEmpty { replaceFirst(last) }
  }

  private mutating func replaceFirst(_ place: Place) {
    heap[0] = place
    var parent = 0
    while true {
      var least = parent
      let (left, right) = (2 * parent + 1, 2 * parent + 2)
      if left < heap.count, heap[left].precedes(heap[least]) { least = left }
      if right < heap.count, heap[right].precedes(heap[least]) { least = right }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
