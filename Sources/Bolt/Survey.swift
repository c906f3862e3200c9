import Bytes

/// What a walk over all trees of a state found.
public struct BoltSurvey: Sendable {
  /// Contradictions, each naming a page: out of range, reached twice, keys out of order, ….
  public var problems: [String] = []
  /// Pages below the high water mark that no tree uses, in order.
  public internal(set) var unreachable: [UInt64] = []
  /// Bytes of those pages.
  public internal(set) var unreachableBytes = 0
}

extension BoltReadTransaction {
  /// Walks every page: the consistency check, and the list of free pages.
  ///
  /// - Parameter problemsMax: as many are found at most; the walk ends there.
  /// - Complexity: O(pages); keys are compared only in `verifyingKeys` mode.
  /// - Source: bbolt `tx_check.go`.
  public func survey(
    verifyingKeys: Bool = false, problemsMax: Int = .max
  ) throws(BoltError) -> BoltSurvey {
    var walk = Walk(transaction: self, verifyingKeys: verifyingKeys, problemsMax: problemsMax)
    walk.tree(meta.root, lower: nil, upper: nil, depth: 0)
    if meta.freelist != Format.noFreelist { walk.checkFreelistRange(meta.freelist) }
    var survey = BoltSurvey(problems: walk.problems)
    for page in 2..<meta.highWater where !walk.seen[Int(page)] { survey.unreachable.append(page) }
    survey.unreachableBytes = survey.unreachable.count * meta.pageSize
    return survey
  }
}

private struct Walk {
  let transaction: BoltReadTransaction
  let verifyingKeys: Bool
  let problemsMax: Int
  /// As many as there is room for in the file.
  let elementsMax: Int
  var elementsSeen = 0
  var seen: [Bool]
  var problems: [String] = []

  init(transaction: BoltReadTransaction, verifyingKeys: Bool, problemsMax: Int) {
    self.transaction = transaction
    self.problemsMax = problemsMax
    elementsMax = transaction.size / Format.elementBytes
    self.verifyingKeys = verifyingKeys
    self.seen = Array(repeating: false, count: Int(transaction.meta.highWater))
  }

  mutating func checkFreelistRange(_ page: UInt64) {
    if page < 2 || page >= transaction.meta.highWater {
      problems.append("page \(page): freelist is outside of 2..<\(transaction.meta.highWater)")
    }
  }

  mutating func tree(_ id: UInt64, lower: Bytes?, upper: Bytes?, depth: Int) {
    guard problems.count < problemsMax else { return }
    guard depth < BoltCursor.depthMax else {
      problems.append("page \(id): deeper than \(BoltCursor.depthMax) levels")
      return
    }
    do {
      let page = try transaction.pages.page(id, owner: transaction)
      for part in id...(id + UInt64(page.overflow)) {
        guard part < transaction.meta.highWater else {
          problems.append("page \(part): above the high water mark")
          return
        }
        if seen[Int(part)] {
          problems.append("page \(part): multiple references")
          return
        }
        seen[Int(part)] = true
      }
      try elements(of: page, lower: lower, upper: upper, depth: depth)
    } catch { problems.append(error.description) }
  }

  private mutating func elements(
    of page: Page, lower: Bytes?, upper: Bytes?, depth: Int
  ) throws(BoltError) {
    // Buckets inside of values nest as deep as their bytes go.
    guard depth < BoltCursor.depthMax else {
      throw BoltError.corrupt(page: page.id, "deeper than \(BoltCursor.depthMax) levels")
    }
    // Values may name the same bytes again and again.
    elementsSeen += page.count
    guard elementsSeen <= elementsMax else {
      throw BoltError.corrupt(page: page.id, "its elements share bytes with others")
    }
    if verifyingKeys { try verifyOrder(page, lower: lower, upper: upper) }
    if !page.isLeaf, page.count == 0 { problems.append("page \(page.id): empty branch") }
    for index in 0..<page.count {
      if !page.isLeaf {
        var low: Bytes?
        var high = upper
        if verifyingKeys {
          low = try page.key(index)
          if index + 1 < page.count { high = try page.key(index + 1) }
        }
        tree(page.child(index), lower: low, upper: high, depth: depth + 1)
      } else if page.isBucket(index) {
        let bucket = try BoltBucket(header: try page.value(index), transaction: transaction)
        if bucket.inline == nil {
          tree(bucket.root, lower: nil, upper: nil, depth: depth + 1)
        } else {
          try elements(of: try bucket.rootPage(), lower: nil, upper: nil, depth: depth + 1)
        }
      }
    }
  }

  private mutating func verifyOrder(
    _ page: Page, lower: Bytes?, upper: Bytes?
  ) throws(BoltError) {
    var previous = lower
    for index in 0..<page.count {
      let key = try page.key(index)
      if page.isLeaf { _ = try page.value(index) }
      if let previous, index == 0 ? key < previous : key <= previous {
        problems.append("page \(page.id): key \(index) is out of order")
      }
      if let upper, key >= upper {
        problems.append("page \(page.id): key \(index) belongs to the next page")
      }
      previous = key
    }
  }
}
