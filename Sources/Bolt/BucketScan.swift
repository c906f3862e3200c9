import Bytes

/// A run of neighbouring keys of a bucket, for walks that are shared out over threads.
public struct BoltPiece: Sendable {
  /// First key; empty for the beginning of the bucket. The run ends where the next piece starts.
  public let start: Bytes
  /// About how many keys it has.
  public let keys: Int
}

extension BoltBucket {
  /// Cuts the bucket along its pages into runs of a few thousand keys or less.
  ///
  /// Reads the branches and one leaf a piece.
  /// - Returns: pieces in key order; one piece when the bucket is small.
  public func pieces() throws(BoltError) -> [BoltPiece] {
    let root = try rootPage()
    guard !root.isLeaf else { return [BoltPiece(start: Bytes(), keys: root.count)] }
    var pieces: [BoltPiece] = []
    try collect(root, start: Bytes(), depth: 0, &pieces)
    return pieces
  }

  private func collect(
    _ branch: Page, start: Bytes, depth: Int, _ pieces: inout [BoltPiece]
  ) throws(BoltError) {
    guard branch.count > 0, depth < BoltCursor.depthMax else {
      throw BoltError.corrupt(page: branch.id, "branch is empty or part of a cycle")
    }
    let first = try page(branch.child(0))
    guard !first.isLeaf else {
      pieces.append(BoltPiece(start: start, keys: branch.count * first.count))
      return
    }
    for index in 0..<branch.count {
      let child = index == 0 ? first : try page(branch.child(index))
      guard !child.isLeaf else {
        throw BoltError.corrupt(page: child.id, "a leaf beside branches")
      }
      try collect(
        child, start: index == 0 ? start : try branch.key(index), depth: depth + 1, &pieces)
    }
  }

  /// Calls `body` for every element with `start` ≤ key < `end` in order, until it returns false.
  ///
  /// For walks over all of a large bucket: nothing is allocated or counted for an element, and of a
  /// value only what `body` looks at is read. The memory stays valid while the bucket's state exists.
  /// - Parameter end: `nil` for no end.
  /// - Returns: whether the end was reached.
  @discardableResult
  public func scanMemory(
    from start: Bytes, to end: Bytes?,
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(BoltError) -> Bool {
    try scan(try rootPage(), start.isEmpty ? nil : start, end, depth: 0, body)
  }

  private func scan(
    _ page: Page, _ start: Bytes?, _ end: Bytes?, depth: Int,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
  ) throws(BoltError) -> Bool {
    if page.isLeaf {
      let first = try start.map { (key) throws(BoltError) in try page.search(key).index } ?? 0
      let last = try end.map { (key) throws(BoltError) in try page.search(key).index } ?? page.count
      for index in first..<Swift.max(first, last) {
        let (key, value) = try page.memory(index)
        guard body(key, value) else { return false }
      }
      return true
    }
    guard page.count > 0, depth < BoltCursor.depthMax else {
      throw BoltError.corrupt(page: page.id, "branch is empty or part of a cycle")
    }
    let first = try start.map { (key) throws(BoltError) in try page.childIndex(for: key) } ?? 0
    let last =
      try end.map { (key) throws(BoltError) in try page.childIndex(for: key) } ?? page.count - 1
    guard first <= last else { return true }
    if depth > 0 || page.count > 1 { prefetch(page, first...last) }
    for index in first...last {
      let goesOn = try scan(
        try self.page(page.child(index)), index == first ? start : nil, index == last ? end : nil,
        depth: depth + 1, body)
      guard goesOn else { return false }
    }
    return true
  }

  /// Asks for pages ahead of the walk, a run of neighbours at a time: heads of leaves, not the pages
  /// of large values behind them.
  private func prefetch(_ branch: Page, _ children: ClosedRange<Int>) {
    let map = transaction.pages
    var run = branch.child(children.lowerBound)
    var end = run
    for index in children {
      let child = branch.child(index)
      // What is no page of the file ends the walk when it is read.
      guard child < map.highWater else { return }
      if child != end {
        map.willNeed(run..<end)
        run = child
      }
      end = child + 1  // checked: below the high water mark
    }
    map.willNeed(run..<end)
  }
}
