import Bytes
import MVCC

/// Intervals of keys with a value each, and which of them hold a key. A value with one owner.
///
/// - Complexity: O(log n) to insert, remove and find; O(log n + found) for all that hold a key.
/// - Source: Seidel and Aragon, "Randomized Search Trees" (1996), ordered by start and end; every node knows
///   the largest end below it (Cormen et al., "Interval trees"). The priorities are hashes of the
///   intervals, so that equal contents have equal shape whatever came first.
struct IntervalTree<Value: Sendable>: Sendable {
  private struct Node {
    let interval: KeyInterval
    let priority: UInt64
    var value: Value
    /// `nil` = an interval below has no end.
    var lastEnd: Bytes?
    var left = IntervalTree.none
    var right = IntervalTree.none
  }

  private static var none: Int32 { -1 }

  private var nodes: ContiguousArray<Node?> = []
  private var free: [Int32] = []
  private var root = IntervalTree.none

  /// Intervals in the tree.
  private(set) var count = 0

  /// Clients choose the intervals: with priorities that they could compute they would make the tree a list.
  private let seed: UInt64

  init(seed: UInt64) { self.seed = seed }

  // MARK: Nodes

  private subscript(_ at: Int32) -> Node {
    get {
      guard let node = nodes[Int(at)] else { preconditionFailure("node \(at) was given back") }
      return node
    }
    set { nodes[Int(at)] = newValue }
  }

  private mutating func make(_ interval: KeyInterval, _ value: Value) -> Int32 {
    let node = Node(
      interval: interval, priority: priority(of: interval), value: value,
      lastEnd: interval.end)
    if let at = free.popLast() {
      self[at] = node
      return at
    }
    nodes.append(node)
    precondition(nodes.count < Int(Int32.max), "2^31 intervals are watched")
    return Int32(truncatingIfNeeded: nodes.count - 1)
  }

  private mutating func giveBack(_ at: Int32) {
    nodes[Int(at)] = nil
    free.append(at)
  }

  /// Places that are kept while the tree is empty.
  private static var nodesKept: Int { 1_024 }

  /// FNV-1a over both ends, mixed once more: neighbours must not get neighbouring priorities.
  private func priority(of interval: KeyInterval) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
    func add(_ bytes: Bytes) {
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
    add(interval.start)
    hash = (hash ^ 0x1ff) &* 0x100_0000_01b3
    if let end = interval.end { add(end) }
    hash = (hash ^ hash >> 31) &* (seed | 1)
    hash ^= hash >> 29
    return hash &* 0x9e37_79b9_7f4a_7c15
  }

  private static func precedes(_ a: KeyInterval, _ b: KeyInterval) -> Bool {
    if a.start != b.start { return a.start < b.start }
    guard let first = a.end else { return false }
    guard let second = b.end else { return true }
    return first < second
  }

  /// Recomputes what a node knows of those below it.
  private mutating func update(_ at: Int32) {
    var node = self[at]
    var last = node.interval.end
    for child in [node.left, node.right] where child != Self.none {
      guard let known = last, let below = self[child].lastEnd else {
        last = nil
        break
      }
      if known < below { last = below }
    }
    node.lastEnd = last
    self[at] = node
  }

  // MARK: Changes

  /// The value of an interval; setting `nil` removes it.
  subscript(_ interval: KeyInterval) -> Value? {
    get { find(interval).map { self[$0].value } }
    set {
      let found = find(interval)
      switch (found, newValue) {
      case (let at?, let value?): self[at].value = value
      case (nil, let value?): insert(interval, value)
      case (.some, nil):
        root = removed(interval, from: root)
        if count == 0, nodes.count > Self.nodesKept {
          nodes = []
          free = []
        }
      case (nil, nil): break
      }
    }
  }

  private func find(_ interval: KeyInterval) -> Int32? {
    var at = root
    while at != Self.none {
      let node = self[at]
      if node.interval == interval { return at }
      at = Self.precedes(interval, node.interval) ? node.left : node.right
    }
    return nil
  }

  private mutating func insert(_ interval: KeyInterval, _ value: Value) {
    let fresh = make(interval, value)
    count += 1
    root = inserted(fresh, into: root)
  }

  private mutating func inserted(_ fresh: Int32, into at: Int32) -> Int32 {
    guard at != Self.none else { return fresh }
    if self[fresh].priority > self[at].priority {
      let (left, right) = split(at, before: self[fresh].interval)
      self[fresh].left = left
      self[fresh].right = right
      update(fresh)
      return fresh
    }
    if Self.precedes(self[fresh].interval, self[at].interval) {
      self[at].left = inserted(fresh, into: self[at].left)
    } else {
      self[at].right = inserted(fresh, into: self[at].right)
    }
    update(at)
    return at
  }

  /// Cuts a tree into what precedes an interval and what follows it.
  private mutating func split(_ at: Int32, before interval: KeyInterval) -> (Int32, Int32) {
    guard at != Self.none else { return (Self.none, Self.none) }
    if Self.precedes(self[at].interval, interval) {
      let (left, right) = split(self[at].right, before: interval)
      self[at].right = left
      update(at)
      return (at, right)
    }
    let (left, right) = split(self[at].left, before: interval)
    self[at].left = right
    update(at)
    return (left, at)
  }

  private mutating func removed(_ interval: KeyInterval, from at: Int32) -> Int32 {
    let node = self[at]
    if node.interval == interval {
      giveBack(at)
      count -= 1
      return joined(node.left, node.right)
    }
    if Self.precedes(interval, node.interval) {
      self[at].left = removed(interval, from: node.left)
    } else {
      self[at].right = removed(interval, from: node.right)
    }
    update(at)
    return at
  }

  /// One tree of two, of which the first precedes the second.
  private mutating func joined(_ left: Int32, _ right: Int32) -> Int32 {
    if left == Self.none { return right }
    if right == Self.none { return left }
    if self[left].priority > self[right].priority {
      self[left].right = joined(self[left].right, right)
      update(left)
      return left
    }
    self[right].left = joined(left, self[right].left)
    update(right)
    return right
  }

  // MARK: Search

  /// Calls `body` with the value of every interval that holds a key, in the order of the intervals.
  func visit(holding key: Bytes, _ body: (Value) -> Void) { visit(root, key, body) }

  private func visit(_ at: Int32, _ key: Bytes, _ body: (Value) -> Void) {
    guard at != Self.none else { return }
    let node = self[at]
    // Everything below ends before the key.
    if let last = node.lastEnd, last <= key { return }
    visit(node.left, key, body)
    // What follows begins behind it.
    guard node.interval.start <= key else { return }
    if node.interval.contains(key) { body(node.value) }
    visit(node.right, key, body)
  }

  // MARK: Invariants

  /// Guarantees:
  /// 1. Nodes are ordered by their intervals, left to right.
  /// 2. No node has a smaller priority than one below it.
  /// 3. Every node knows the last end below it.
  /// 4. Every node is reached once.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    var seen = 0
    var last: KeyInterval?
    func check(_ at: Int32, _ above: UInt64) -> (problem: String?, lastEnd: Bytes?, isEmpty: Bool) {
      guard at != Self.none else { return (nil, nil, true) }
      let node = self[at]
      seen += 1
      guard node.priority <= above else { return ("2: \(node.interval)", nil, false) }
      let left = check(node.left, node.priority)
      if let problem = left.problem { return (problem, nil, false) }
      if let last, !Self.precedes(last, node.interval) {
        return ("1: \(node.interval) behind \(last)", nil, false)
      }
      last = node.interval
      let right = check(node.right, node.priority)
      if let problem = right.problem { return (problem, nil, false) }
      var end = node.interval.end
      for child in [left, right] where !child.isEmpty {
        if let known = end, let below = child.lastEnd { end = max(known, below) } else { end = nil }
      }
      guard end == node.lastEnd else { return ("3: \(node.interval)", nil, false) }
      return (nil, end, false)
    }
    if let problem = check(root, .max).problem { return problem }
    return seen == count ? nil : "4: \(seen) of \(count) intervals are reached"
  }
}
