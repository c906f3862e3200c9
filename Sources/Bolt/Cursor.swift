import Bytes

/// Walks a bucket in key order.
public struct BoltCursor: Sendable {
  /// A B+tree of 2^63 pages is never deeper; a longer path is a cycle.
  static let depthMax = 64

  /// One element of a leaf. The slices pin the state they were read from.
  public struct Element: Sendable {
    public let key: Bytes
    public let value: Bytes
    public let isBucket: Bool
  }

  private struct Level {
    var page: Page
    var index: Int
  }

  private let bucket: BoltBucket
  // Pages are views of immutable memory that the bucket's transaction keeps.
  nonisolated(unsafe) private var stack: [Level] = []

  init(_ bucket: BoltBucket) { self.bucket = bucket }

  /// Stands before the first element.
  public mutating func seekFirst() throws(BoltError) { try descend(to: nil) }

  /// Stands before the first element whose key is at or after `key`.
  public mutating func seek(_ key: Bytes) throws(BoltError) { try descend(to: key) }

  private mutating func descend(to key: Bytes?) throws(BoltError) {
    stack.removeAll(keepingCapacity: true)
    var page = try bucket.rootPage()
    while !page.isLeaf {
      guard page.count > 0, stack.count < Self.depthMax else {
        throw BoltError.corrupt(page: page.id, "branch is empty or part of a cycle")
      }
      var index = 0
      if let key { index = try page.childIndex(for: key) }
      stack.append(Level(page: page, index: index))
      page = try bucket.page(page.child(index))
    }
    var index = 0
    if let key { index = try page.search(key).index }
    stack.append(Level(page: page, index: index))
  }

  /// The element it stands before, then moves past it; `nil` at the end.
  public mutating func next() throws(BoltError) -> Element? {
    while let level = stack.last {
      if level.index < level.page.count {
        stack[stack.count - 1].index += 1
        return Element(
          key: try level.page.key(level.index), value: try level.page.value(level.index),
          isBucket: level.page.isBucket(level.index))
      }
      guard try moveToNextLeaf() else { return nil }
    }
    return nil
  }

  private mutating func moveToNextLeaf() throws(BoltError) -> Bool {
    stack.removeLast()
    while let level = stack.last {
      if level.index + 1 < level.page.count {
        stack[stack.count - 1].index += 1
        var page = try bucket.page(level.page.child(level.index + 1))
        while !page.isLeaf {
          guard page.count > 0, stack.count < Self.depthMax else {
            throw BoltError.corrupt(page: page.id, "branch is empty or part of a cycle")
          }
          stack.append(Level(page: page, index: 0))
          page = try bucket.page(page.child(0))
        }
        stack.append(Level(page: page, index: 0))
        return true
      }
      stack.removeLast()
    }
    return false
  }
}
