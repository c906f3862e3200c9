import Bytes

/// One change of a bucket's key. Operations of a bucket are sorted by key, each key once.
public struct BoltOperation: Sendable {
  public let key: Bytes
  /// The new value; `nil` deletes the key.
  public let value: Bytes?
  let flags: UInt32

  public init(key: Bytes, value: Bytes?) { self.init(key: key, value: value, flags: 0) }

  init(key: Bytes, value: Bytes?, flags: UInt32) {
    self.key = key
    self.value = value
    self.flags = flags
  }
}

/// Rewrites B+trees copy-on-write: one pass down and up per tree for a whole sorted batch.
///
/// 1. Walk down only into children that have operations; merge operations into leaves in memory.
/// 2. On the way up, join nodes that deletions left under a quarter page with a neighbour.
/// 3. Cut every changed node into pages, allocate, and hand the new child list to the parent.
///
/// Pages that were replaced are collected in `released`; nothing is overwritten.
///
/// - Source: the invariants of bbolt `node.go` (split, spill, rebalance); the batch walk is ours.
struct TreeWriter {
  /// One key of a node in memory: a value with flags (leaf) or a child page (branch).
  struct Item {
    var key: Bytes
    var value = Bytes()
    var flags: UInt32 = 0
    var child: UInt64 = 0
  }

  struct Node {
    let isLeaf: Bool
    var items: [Item]
    /// A deletion happened, so the node may be too small.
    var shrunk = false

    func byteCount(_ item: Item) -> Int {
      Format.elementBytes + item.key.count + (isLeaf ? item.value.count : 0)
    }

    var byteCount: Int { items.reduce(Format.pageHeaderBytes) { $0 + byteCount($1) } }
  }

  private enum Child {
    case clean(key: Bytes, page: UInt64)
    case changed(Node)
  }

  /// Where a bucket's tree begins after a change.
  enum Root {
    case page(UInt64)
    /// Small enough to live inside the parent's value: the serialised leaf page.
    case inline(Bytes)
  }

  let transaction: BoltReadTransaction
  var freelist: Freelist
  var highWater: UInt64
  /// Pages replaced or dropped by this batch.
  private(set) var released: [UInt64] = []
  /// New pages to write: first page id and bytes (a multiple of the page size).
  private(set) var written: [(page: UInt64, bytes: Bytes)] = []
  private var pageSize: Int { transaction.meta.pageSize }

  init(transaction: BoltReadTransaction, freelist: consuming Freelist) {
    self.transaction = transaction
    self.freelist = freelist
    self.highWater = transaction.meta.highWater
  }

  /// Applies operations to a bucket's tree.
  /// - Parameter bucket: the present tree; `nil` for a new bucket.
  /// - Parameter fillPercent: part of a page to fill before it is cut, 0.1…1.
  /// - Returns: the new root, or `nil` when nothing changed.
  mutating func update(
    _ bucket: BoltBucket?, _ operations: [BoltOperation], fillPercent: Double, mayInline: Bool
  ) throws(BoltError) -> Root? {
    let node: Node
    if let bucket {
      let page = try bucket.rootPage()
      guard
        let changed = try rewrite(
          page, isInline: bucket.inline != nil, operations[...], fillPercent)
      else { return nil }
      node = changed
    } else {
      node = Node(
        isLeaf: true,
        items: operations.compactMap { operation in
          operation.value.map { Item(key: operation.key, value: $0, flags: operation.flags) }
        })
    }
    return try finish(node, fillPercent: fillPercent, mayInline: mayInline)
  }

  private mutating func finish(
    _ node: Node, fillPercent: Double, mayInline: Bool
  ) throws(BoltError) -> Root {
    var node = node
    if !node.isLeaf, node.items.isEmpty { node = Node(isLeaf: true, items: []) }
    if node.isLeaf, mayInline, node.byteCount <= pageSize / 4,
      !node.items.contains(where: { $0.flags & Format.bucketElementFlag != 0 })
    {
      return .inline(serialise(node, node.items[...], page: 0, padded: false))
    }
    while true {
      if !node.isLeaf, node.items.count == 1 { return .page(node.items[0].child) }
      let parts = write(node, fillPercent: fillPercent)
      if parts.count == 1 { return .page(parts[0].child) }
      node = Node(isLeaf: false, items: parts)
    }
  }

  /// The node that replaces `page`; `nil` when no operation changes it.
  private mutating func rewrite(
    _ page: Page, isInline: Bool, _ operations: ArraySlice<BoltOperation>, _ fillPercent: Double
  ) throws(BoltError) -> Node? {
    if page.isLeaf {
      guard let node = try merge(page, operations) else { return nil }
      if !isInline { release(page) }
      return node
    }
    var children: [Child] = []
    children.reserveCapacity(page.count + 1)
    var changed = false
    var rest = operations
    for index in 0..<page.count {
      var end = rest.endIndex
      if index + 1 < page.count {
        let bound = try page.key(index + 1)
        end = rest.partition(below: bound)
      }
      let own = rest[rest.startIndex..<end]
      rest = rest[end...]
      let child = page.child(index)
      if !own.isEmpty {
        let childPage = try load(child)
        if let node = try rewrite(childPage, isInline: false, own, fillPercent) {
          children.append(.changed(node))
          changed = true
          continue
        }
      }
      children.append(.clean(key: try page.key(index), page: child))
    }
    guard changed else { return nil }
    release(page)
    let before = children.count
    try joinSmall(&children)
    var node = Node(isLeaf: false, items: [], shrunk: children.count < before)
    node.items.reserveCapacity(children.count + 1)
    for child in children {
      switch child {
      case .clean(let key, let page): node.items.append(Item(key: key, child: page))
      case .changed(let changed):
        node.items.append(contentsOf: write(changed, fillPercent: fillPercent))
      }
    }
    return node
  }

  /// Merges sorted operations into the items of a leaf.
  private func merge(
    _ page: Page, _ operations: ArraySlice<BoltOperation>
  ) throws(BoltError) -> Node? {
    var items: [Item] = []
    items.reserveCapacity(page.count + operations.count)
    var changed = false
    var shrunk = false
    var index = 0
    for operation in operations {
      let (position, found) = try page.search(operation.key)
      while index < position {
        items.append(try item(page, index))
        index += 1
      }
      if found {
        index = position + 1
        changed = true
      }
      if let value = operation.value {
        items.append(Item(key: operation.key, value: value, flags: operation.flags))
        changed = true
      } else if found {
        shrunk = true
      }
    }
    guard changed else { return nil }
    while index < page.count {
      items.append(try item(page, index))
      index += 1
    }
    return Node(isLeaf: true, items: items, shrunk: shrunk)
  }

  private func item(_ page: Page, _ index: Int) throws(BoltError) -> Item {
    page.isLeaf
      ? Item(
        key: try page.key(index), value: try page.value(index),
        flags: page.isBucket(index) ? Format.bucketElementFlag : 0)
      : Item(key: try page.key(index), child: page.child(index))
  }

  /// Joins nodes that became small with a neighbour and drops empty ones.
  private mutating func joinSmall(_ children: inout [Child]) throws(BoltError) {
    var index = 0
    while index < children.count {
      guard case .changed(let node) = children[index] else {
        index += 1
        continue
      }
      if node.items.isEmpty {
        children.remove(at: index)
        continue
      }
      let small =
        node.shrunk && (node.byteCount < pageSize / 4 || node.items.count < (node.isLeaf ? 1 : 2))
      guard small, children.count > 1 else {
        index += 1
        continue
      }
      let left = index > 0 ? index - 1 : index
      var joined = try takeNode(children[left])
      joined.items.append(contentsOf: try takeNode(children[left + 1]).items)
      joined.shrunk = true
      children.replaceSubrange(left...(left + 1), with: [.changed(joined)])
      index = left
    }
  }

  private mutating func takeNode(_ child: Child) throws(BoltError) -> Node {
    switch child {
    case .changed(let node): return node
    case .clean(_, let id):
      let page = try load(id)
      var items: [Item] = []
      items.reserveCapacity(page.count)
      for index in 0..<page.count { items.append(try item(page, index)) }
      release(page)
      return Node(isLeaf: page.isLeaf, items: items)
    }
  }

  /// Writes a node as one or more pages; the items of its parent.
  private mutating func write(_ node: Node, fillPercent: Double) -> [Item] {
    var parts: [Item] = []
    let threshold = Int(Double(pageSize) * fillPercent)
    var start = 0
    repeat {
      let end = cut(node, from: start, threshold: threshold)
      let slice = node.items[start..<end]
      let size = slice.reduce(Format.pageHeaderBytes) { $0 + node.byteCount($1) }
      let page = allocate((size + pageSize - 1) / pageSize)
      written.append((page, serialise(node, slice, page: page, padded: true)))
      parts.append(Item(key: slice.first?.key ?? Bytes(), child: page))
      start = end
    } while start < node.items.count
    return parts
  }

  /// End of the next page's items: at least two a page, and two left for the page after it.
  private func cut(_ node: Node, from start: Int, threshold: Int) -> Int {
    var size = Format.pageHeaderBytes
    var total = Format.pageHeaderBytes
    var firstCut: Int?
    for index in start..<node.items.count {
      let item = node.byteCount(node.items[index])
      if firstCut == nil, index - start >= 2, index <= node.items.count - 2,
        size + item > threshold
      {
        firstCut = index
      }
      size += item
      total += item
      if total > pageSize, let firstCut { return firstCut }
    }
    return node.items.count
  }

  private mutating func allocate(_ count: Int) -> UInt64 {
    if let page = freelist.allocate(count) { return page }
    defer { highWater += UInt64(count) }
    return highWater
  }

  private func load(_ id: UInt64) throws(BoltError) -> Page {
    try transaction.pages.page(id, owner: transaction)
  }

  private mutating func release(_ page: Page) {
    for id in page.id...(page.id + UInt64(page.overflow)) { released.append(id) }
  }

  /// Drops every page of a bucket, nested buckets included.
  mutating func drop(_ bucket: BoltBucket) throws(BoltError) {
    if bucket.inline == nil { try drop(page: try bucket.rootPage(), depth: 0) }
  }

  private mutating func drop(page: Page, depth: Int) throws(BoltError) {
    guard depth < BoltCursor.depthMax else {
      throw BoltError.corrupt(page: page.id, "part of a cycle")
    }
    for index in 0..<page.count {
      if !page.isLeaf {
        try drop(page: try load(page.child(index)), depth: depth + 1)
      } else if page.isBucket(index) {
        try drop(try BoltBucket(header: try page.value(index), transaction: transaction))
      }
    }
    release(page)
  }

  private func serialise(
    _ node: Node, _ items: ArraySlice<Item>, page: UInt64, padded: Bool
  ) -> Bytes {
    let size = items.reduce(Format.pageHeaderBytes) { $0 + node.byteCount($1) }
    let pages = (size + pageSize - 1) / pageSize
    var writer = ByteWriter(capacity: padded ? pages * pageSize : size)
    writer.appendLittleEndian(page)
    writer.appendLittleEndian(node.isLeaf ? Format.leafFlag : Format.branchFlag)
    writer.appendLittleEndian(UInt16(items.count))
    writer.appendLittleEndian(UInt32(pages - 1))
    var data = items.count * Format.elementBytes
    for item in items {
      if node.isLeaf {
        writer.appendLittleEndian(item.flags)
        writer.appendLittleEndian(UInt32(data))
        writer.appendLittleEndian(UInt32(item.key.count))
        writer.appendLittleEndian(UInt32(item.value.count))
      } else {
        writer.appendLittleEndian(UInt32(data))
        writer.appendLittleEndian(UInt32(item.key.count))
        writer.appendLittleEndian(item.child)
      }
      data += node.byteCount(item) - 2 * Format.elementBytes
    }
    for item in items {
      writer.append(item.key)
      if node.isLeaf { writer.append(item.value) }
    }
    if padded { writer.append(repeating: 0, count: pages * pageSize - size) }
    return writer.finish()
  }
}

extension ArraySlice where Element == BoltOperation {
  /// Index of the first operation whose key is at or after `bound`.
  fileprivate func partition(below bound: Bytes) -> Int {
    var low = startIndex
    var high = endIndex
    while low < high {
      let middle = (low + high) / 2
      if self[middle].key < bound { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
