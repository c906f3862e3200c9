extension MVCCStore {
  /// Guarantees, between requests:
  /// 1. Those of `RowLog`; frozen rows precede active ones, and none is newer than the store.
  /// 2. Those of `KeyIndex`.
  /// - Returns: the first one that does not hold. - Traps: when one of the index does not.
  public func checkInvariants() -> String? {
    if let problem = checkRows() { return problem }
    index.checkInvariants()
    return nil
  }
}

extension RowLog {
  /// Guarantees:
  /// 1. Rows ascend by revision, and no two have the same.
  /// 2. `bytes` is what they take.
  func checkInvariants() -> String? {
    var sum = 0
    for position in 0..<count {
      let row = self[position]
      sum += row.value.count + Revision.keyBytes
      guard position == 0 || self[position - 1].revision < row.revision else {
        return "1: \(row.revision) at \(position) of \(count)"
      }
    }
    return sum == bytes ? nil : "2: \(bytes) bytes, \(sum) found"
  }
}
