import Bytes

/// Page ids of a tree, one bit each.
struct PageSet {
  private var words: [UInt64] = []

  func contains(_ page: UInt64) -> Bool {
    let word = Int(page >> 6)
    return word < words.count && words[word] & (1 << (page & 63)) != 0
  }

  private mutating func insert(_ page: UInt64) {
    let word = Int(page >> 6)
    if word >= words.count {
      words.append(contentsOf: repeatElement(0, count: word + 1 - words.count))
    }
    words[word] |= 1 << (page & 63)
  }

  init() {}

  /// The pages of a bucket's tree. Reads the branches and one leaf a branch.
  init(_ bucket: BoltBucket) throws(BoltError) {
    guard bucket.inline == nil else { return }
    let root = try bucket.rootPage()
    insert(root.id)
    try collect(root, bucket, depth: 0)
  }

  private mutating func collect(
    _ page: Page, _ bucket: BoltBucket, depth: Int
  ) throws(BoltError) {
    guard !page.isLeaf else { return }
    guard depth < BoltCursor.depthMax else {
      throw BoltError.corrupt(page: page.id, "part of a cycle")
    }
    for index in 0..<page.count {
      let id = page.child(index)
      guard id < bucket.transaction.meta.highWater else {
        throw BoltError.corrupt(page: page.id, "child \(id) lies outside of the file")
      }
      insert(id)
    }
    for index in 0..<page.count {
      let child = try bucket.page(page.child(index))
      // Leaves are all on one level.
      if child.isLeaf { return }
      try collect(child, bucket, depth: depth + 1)
    }
  }
}

/// Walks those elements of a bucket in key order that stand on pages outside of a set.
///
/// Pages of a tree are never overwritten while a reader looks at it: of two states of one database,
/// with the older one held open, elements on pages that both use are the same.
struct ChangedCursor {
  private let bucket: BoltBucket
  private let skipped: PageSet
  private var stack: [(page: Page, index: Int)] = []

  init(_ bucket: BoltBucket, skipping skipped: PageSet) throws(BoltError) {
    self.bucket = bucket
    self.skipped = skipped
    if bucket.inline != nil || !skipped.contains(bucket.root) {
      stack.append((try bucket.rootPage(), 0))
    }
  }

  /// The next element; `nil` at the end.
  mutating func next() throws(BoltError) -> BoltCursor.Element? {
    while let (page, index) = stack.last {
      guard index < page.count else {
        stack.removeLast()
        continue
      }
      stack[stack.count - 1].index += 1
      if page.isLeaf {
        return BoltCursor.Element(
          key: try page.key(index), value: try page.value(index), isBucket: page.isBucket(index))
      }
      let child = page.child(index)
      guard !skipped.contains(child) else { continue }
      guard stack.count < BoltCursor.depthMax else {
        throw BoltError.corrupt(page: child, "part of a cycle")
      }
      stack.append((try bucket.page(child), 0))
    }
    return nil
  }
}
