import Bytes

/// The index from key to revisions: a copy-on-write B+tree.
///
/// Copying the struct is an O(1) snapshot; the next write copies only the nodes on its path. Values
/// are in the leaves; a branch keeps the first key of each child and the number of live keys below,
/// so that counting a range costs O(log n).
struct KeyIndex: Sendable {
  /// Entries of a node: 64 × 56 bytes make a leaf of about 3.5 KiB.
  static let nodeMax = 64

  struct Entry: Sendable {
    let key: IndexKey
    var history: KeyHistory
  }

  final class Node: @unchecked Sendable {
    // @unchecked: changed only while uniquely referenced by one index, see `unique`.
    var entries: ContiguousArray<Entry> = []
    var firstKeys: ContiguousArray<IndexKey> = []
    var children: ContiguousArray<Node> = []
    /// Keys below that exist at the newest revision.
    var live = 0

    init() {}

    /// A leaf with these entries.
    init(leaf entries: ContiguousArray<Entry>) {
      self.entries = entries
      live = entries.reduce(0) { $0 + ($1.history.isLive ? 1 : 0) }
    }

    var isLeaf: Bool { children.isEmpty }
    var count: Int { isLeaf ? entries.count : children.count }

    func copy() -> Node {
      let node = Node()
      node.entries.reserveCapacity(isLeaf ? KeyIndex.nodeMax : 0)
      node.entries.append(contentsOf: entries)
      node.firstKeys = firstKeys
      node.children = children
      node.live = live
      return node
    }

    /// Position of the first entry that is not below `key`.
    func lowerBound(_ key: IndexKey) -> Int {
      var low = 0
      var high = entries.count
      while low < high {
        let middle = (low + high) / 2
        if entries[middle].key < key { low = middle + 1 } else { high = middle }
      }
      return low
    }

    /// The child that holds `key`: the last that starts at or before it.
    func childIndex(_ key: IndexKey) -> Int {
      var low = 0
      var high = firstKeys.count
      while low < high {
        let middle = (low + high) / 2
        if key < firstKeys[middle] { high = middle } else { low = middle + 1 }
      }
      return Swift.max(low - 1, 0)
    }
  }

  private(set) var root = Node()
  /// Keys with any revision, tombstoned ones included.
  private(set) var count = 0

  init() {}

  /// An index of leaves in key order, none of them empty.
  init(leaves: [Node]) {
    count = leaves.reduce(0) { $0 + $1.count }
    var level = leaves
    while level.count > 1 {
      // Branches of one level differ by at most one child.
      let groups = (level.count + Self.nodeMax - 1) / Self.nodeMax
      level = (0..<groups).map { group in
        let own = level[group * level.count / groups..<(group + 1) * level.count / groups]
        let branch = Node()
        branch.children = ContiguousArray(own)
        branch.firstKeys = ContiguousArray(own.map { Self.firstKey($0) })
        branch.live = own.reduce(0) { $0 + $1.live }
        return branch
      }
    }
    if let top = level.first { root = top }
  }

  /// Keys that exist at the newest revision.
  var liveCount: Int { root.live }

  /// The history of a key.
  func find(_ key: Bytes) -> KeyHistory? { find(IndexKey(probe: key)) }

  func find(_ probe: IndexKey) -> KeyHistory? {
    var node = root
    while !node.isLeaf { node = node.children[node.childIndex(probe)] }
    let position = node.lowerBound(probe)
    guard position < node.entries.count, node.entries[position].key == probe else { return nil }
    return node.entries[position].history
  }

  // MARK: Writing

  /// Adds a revision to a key, creating the key when it is new.
  mutating func append(_ key: Bytes, _ revision: KeyRevision) {
    append(IndexKey(probe: key), revision)
  }

  /// - Parameter key: may share storage; a new entry gets its own.
  mutating func append(_ key: IndexKey, _ revision: KeyRevision) {
    unique(&root)
    if let right = Self.append(key, revision, to: root, added: &count) {
      let branch = Node()
      branch.children = [root, right]
      branch.firstKeys = [Self.firstKey(root), Self.firstKey(right)]
      branch.live = root.live + right.live
      root = branch
    }
  }

  /// - Returns: the new right sibling when the node was split.
  private static func append(
    _ key: IndexKey, _ revision: KeyRevision, to node: Node, added: inout Int
  ) -> Node? {
    if node.isLeaf {
      let position = node.lowerBound(key)
      if position < node.entries.count, node.entries[position].key == key {
        let before = node.entries[position].history.isLive
        node.entries[position].history.append(revision)
        node.live += (revision.isTombstone ? 0 : 1) - (before ? 1 : 0)
        return nil
      }
      let entry = Entry(key: key.detached(), history: KeyHistory(revision))
      if node.entries.capacity < nodeMax { node.entries.reserveCapacity(nodeMax) }
      added += 1
      node.live += revision.isTombstone ? 0 : 1
      guard node.entries.count == nodeMax else {
        node.entries.insert(entry, at: position)
        return nil
      }
      // A key behind all others: keep the left leaf full, keys that grow fill their leaves.
      let cut = position == nodeMax ? nodeMax : nodeMax / 2
      let right = Node()
      right.entries.reserveCapacity(nodeMax)
      right.entries.append(contentsOf: node.entries[cut...])
      node.entries.removeSubrange(cut...)
      if position <= cut && cut < nodeMax {
        node.entries.insert(entry, at: position)
      } else {
        right.entries.insert(entry, at: position - cut)
      }
      right.live = right.entries.reduce(0) { $0 + ($1.history.isLive ? 1 : 0) }
      node.live -= right.live
      return right
    }
    let index = node.childIndex(key)
    unique(&node.children[index])
    let child = node.children[index]
    let before = child.live
    let right = append(key, revision, to: child, added: &added)
    node.firstKeys[index] = firstKey(child)
    node.live += child.live + (right?.live ?? 0) - before
    guard let right else { return nil }
    node.children.insert(right, at: index + 1)
    node.firstKeys.insert(firstKey(right), at: index + 1)
    guard node.children.count > nodeMax else { return nil }
    return splitBranch(node, at: index + 1 == nodeMax ? nodeMax - 1 : nodeMax / 2)
  }

  private static func splitBranch(_ node: Node, at cut: Int) -> Node {
    let right = Node()
    right.children.append(contentsOf: node.children[cut...])
    right.firstKeys.append(contentsOf: node.firstKeys[cut...])
    node.children.removeSubrange(cut...)
    node.firstKeys.removeSubrange(cut...)
    right.live = right.children.reduce(0) { $0 + $1.live }
    node.live -= right.live
    return right
  }

  private static func firstKey(_ node: Node) -> IndexKey {
    node.isLeaf ? node.entries[0].key : node.firstKeys[0]
  }

  /// Makes a node safe to change: copies it when a snapshot shares it.
  private static func unique(_ node: inout Node) {
    if !isKnownUniquelyReferenced(&node) { node = node.copy() }
  }

  private func unique(_ node: inout Node) { Self.unique(&node) }

  // MARK: Reading

  /// Calls `body` for every entry with `start` ≤ key < `end` in order, until it returns false.
  /// - Parameter end: `nil` for no end.
  @discardableResult
  func scan(from start: Bytes, to end: Bytes?, _ body: (Entry) -> Bool) -> Bool {
    let end = end.map { IndexKey(probe: $0) }
    return Self.scan(root, IndexKey(probe: start), end, body)
  }

  /// What a scan of some keys found.
  struct Page {
    /// Keys that `pick` chose something of, and what.
    var keys: [Bytes] = []
    var found: [KeyRevision] = []
    /// Keys that were looked at.
    var visited = 0
    /// The smallest key that was not; `nil` at the end of the interval.
    var next: Bytes?
  }

  /// Looks at `limit` keys with `start` ≤ key < `end` at most, in order.
  func page(
    from start: Bytes, to end: Bytes?, _ limit: Int, _ pick: (KeyHistory) -> KeyRevision?
  ) -> Page {
    var page = Page()
    scan(from: start, to: end) { entry in
      page.visited += 1
      if let revision = pick(entry.history) {
        page.keys.append(entry.key.bytes)
        page.found.append(revision)
      }
      guard page.visited == limit else { return true }
      // The smallest key behind this one.
      var writer = ByteWriter(capacity: entry.key.bytes.count + 1)
      writer.append(entry.key.bytes)
      writer.append(0)
      page.next = writer.finish()
      return false
    }
    return page
  }

  private static func scan(
    _ node: Node, _ start: IndexKey?, _ end: IndexKey?, _ body: (Entry) -> Bool
  ) -> Bool {
    if node.isLeaf {
      var position = start.map { node.lowerBound($0) } ?? 0
      while position < node.entries.count {
        let entry = node.entries[position]
        if let end, !(entry.key < end) { return false }
        guard body(entry) else { return false }
        position += 1
      }
      return true
    }
    let first = start.map { node.childIndex($0) } ?? 0
    for index in first..<node.children.count {
      if index > first, let end, !(node.firstKeys[index] < end) { return false }
      guard scan(node.children[index], index == first ? start : nil, end, body) else {
        return false
      }
    }
    return true
  }

  /// Live keys with `start` ≤ key < `end`.
  /// - Complexity: O(log n).
  func countLive(from start: Bytes, to end: Bytes?) -> Int {
    let below = Self.countLive(root, below: IndexKey(probe: start))
    let upTo = end.map { Self.countLive(root, below: IndexKey(probe: $0)) } ?? root.live
    return Swift.max(upTo - below, 0)
  }

  private static func countLive(_ root: Node, below key: IndexKey) -> Int {
    var node = root
    var total = 0
    while !node.isLeaf {
      let index = node.childIndex(key)
      for left in node.children[..<index] { total += left.live }
      node = node.children[index]
    }
    for entry in node.entries[..<node.lowerBound(key)] where entry.history.isLive { total += 1 }
    return total
  }

  // MARK: Compaction

  /// Revisions that are removed in about the time of a visit to a key.
  static let dropsOfAVisit = 16

  /// Compacts keys from `start` on.
  /// - Parameters:
  ///   - limit: keys that are visited, or sixteen times as many revisions that are removed, or some of both; a key
  ///     with more goes by parts.
  ///   - dropped: called for every revision that is removed.
  /// - Returns: the key to go on with; `nil` when the end was reached.
  mutating func compact(
    from start: Bytes, limit: Int, at main: Int64, dropped: (KeyRevision) -> Void
  ) -> Bytes? {
    var changed: [(key: Bytes, drops: Int)] = []
    var left = limit * Self.dropsOfAVisit
    var next: Bytes?
    scan(from: start, to: nil) { entry in
      let superseded = left > 0 ? entry.history.superseded(at: main) : 0
      let drops = Swift.min(superseded, left)
      if drops > 0 { changed.append((entry.key.bytes, drops)) }
      if left == 0 || drops < superseded {
        next = entry.key.bytes
        return false
      }
      left = Swift.max(left - Self.dropsOfAVisit - drops, 0)
      return true
    }
    for (key, drops) in changed {
      unique(&root)
      if !Self.drop(drops, of: IndexKey(probe: key), in: root, dropped: dropped) { count -= 1 }
    }
    while !root.isLeaf, root.children.count <= 1 {
      root = root.children.first ?? Node()
    }
    return next
  }

  /// - Returns: false when nothing of the key is left.
  private static func drop(
    _ drops: Int, of key: IndexKey, in node: Node, dropped: (KeyRevision) -> Void
  ) -> Bool {
    if node.isLeaf {
      let position = node.lowerBound(key)
      let stays = node.entries[position].history.dropFirst(drops, dropped: dropped)
      if !stays { node.entries.remove(at: position) }
      return stays
    }
    let index = node.childIndex(key)
    unique(&node.children[index])
    let child = node.children[index]
    if drop(drops, of: key, in: child, dropped: dropped) { return true }
    if child.count == 0 {
      node.children.remove(at: index)
      node.firstKeys.remove(at: index)
    } else {
      node.firstKeys[index] = firstKey(child)
      joinNeighbours(node, index)
    }
    return false
  }

  /// Joins a child that became small with the one after or before it.
  private static func joinNeighbours(_ node: Node, _ index: Int) {
    guard node.children[index].count < nodeMax / 4, node.children.count > 1 else { return }
    let left = index + 1 < node.children.count ? index : index - 1
    guard node.children[left].count + node.children[left + 1].count <= nodeMax * 3 / 4,
      node.children[left].isLeaf == node.children[left + 1].isLeaf
    else { return }
    unique(&node.children[left])
    let joined = node.children[left]
    let right = node.children[left + 1]
    joined.entries.append(contentsOf: right.entries)
    joined.children.append(contentsOf: right.children)
    joined.firstKeys.append(contentsOf: right.firstKeys)
    joined.live += right.live
    node.children.remove(at: left + 1)
    node.firstKeys.remove(at: left + 1)
  }
}
