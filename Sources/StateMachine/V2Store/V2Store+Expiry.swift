/// Nodes by the time they end: a binary heap in which what changed meanwhile is found out late.
/// A node is listed for every lifetime it had; only the one it has now counts.
struct ExpiryQueue: Hashable, Sendable {
  struct Item: Hashable, Sendable {
    let time: Int64
    let path: V2Path

    func isBefore(_ other: Item) -> Bool {
      time != other.time
        ? time < other.time : path.names.lexicographicallyPrecedes(other.path.names)
    }
  }

  private(set) var heap: [Item] = []
  /// Nodes that have a lifetime; at most as many as the heap has items.
  var live = 0

  /// Whether most items are out of date.
  var isStale: Bool { heap.count > 2 * live + 64 }

  var first: Item? { heap.first }

  static func == (a: ExpiryQueue, b: ExpiryQueue) -> Bool { a.live == b.live }

  func hash(into hasher: inout Hasher) { hasher.combine(live) }

  init() {}

  init(_ items: [Item]) {
    for item in items { add(item) }
    live = items.count
  }

  mutating func add(_ item: Item) {
    heap.append(item)
    var child = heap.count - 1
    while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].isBefore(heap[least]) {
        least = child
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

extension V2Store {
  /// Removes what ended at `now` or before.
  /// - Parameter now: nanoseconds since 1970, as the SYNC request says.
  /// - Returns: one event per node that ended, directories with what is in them counting as one.
  public mutating func deleteExpiredKeys(now: Int64) -> [V2Event] {
    var events: [V2Event] = []
    while let item = expiries.first, item.time <= now {
      expiries.removeFirst()
      guard let node = try? lookUp(item.path), node.expiration == item.time else { continue }
      events.append(takeOut(.expire, item.path, node))
      stats.expireCount &+= 1
      local.activity.expired += 1
    }
    return events
  }

  /// Notes that the node at `path` got a lifetime.
  mutating func expect(_ time: Int64, _ path: V2Path) {
    expiries.live += 1
    expiries.add(ExpiryQueue.Item(time: time, path: path))
    if expiries.isStale { indexExpiries() }
  }

  /// Builds the queue from the tree.
  mutating func indexExpiries() {
    var items: [ExpiryQueue.Item] = []
    func collect(_ node: V2Node, _ names: [V2Name]) {
      if let time = node.expiration { items.append(.init(time: time, path: V2Path(names: names))) }
      for (name, child) in node.children ?? [:] { collect(child, names + [name]) }
    }
    collect(root, [])
    expiries = ExpiryQueue(items)
  }
}
