extension RawNode {
  /// Guarantees, between calls:
  /// 1. Those of `RaftLog`.
  /// 2. Those of `Progress`, for each member while this one leads; none acknowledged more than there is.
  /// - Returns: the first one that does not hold.
  public func checkInvariants() -> String? {
    if let problem = core.log.checkInvariants() { return "log \(problem)" }
    guard core.role == .leader else { return nil }
    let members = core.tracker.progress
    for (id, progress) in zip(members.ids, members.values) {
      if let problem = progress.checkInvariants() { return "progress of \(id) \(problem)" }
      guard progress.match <= core.log.lastIndex else {
        return "progress of \(id) \(progress) beyond the last entry \(core.log.lastIndex)"
      }
    }
    return nil
  }
}

extension RaftLog {
  /// Guarantees:
  /// 1. `applied <= applying <= committed <= lastIndex`.
  /// 2. The log begins at most one entry after what is committed: nothing else was compacted.
  /// 3. The unstable end follows the storage without a gap, or a snapshot is in between.
  /// 4. What was handed out for writing is here: `offset <= offsetInProgress <= end`.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    guard applied <= applying, applying <= committed, committed <= lastIndex else {
      return "1: \(description), last \(lastIndex)"
    }
    guard firstIndex <= committed + 1 else { return "2: begins at \(firstIndex), \(description)" }
    guard unstable.offset <= storage.lastIndex + 1 || unstable.snapshot != nil else {
      return "3: storage ends at \(storage.lastIndex), \(description)"
    }
    guard unstable.offset <= unstable.offsetInProgress,
      unstable.offsetInProgress <= unstable.offset + UInt64(unstable.count)
    else { return "4: \(description)" }
    return nil
  }
}

extension Progress {
  /// Guarantees:
  /// 1. `match < next`.
  /// 2. Entries are in flight in state `replicate` only, and never more than the window holds.
  /// 3. A snapshot is pending in state `snapshot` only.
  /// 4. What is in flight lies between the two: after `match`, before `next`.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    guard match < next else { return "1: \(self)" }
    guard inflights.count == 0 || state == .replicate else { return "2: \(self)" }
    guard (pendingSnapshot > 0) == (state == .snapshot) else { return "3: \(self)" }
    if let problem = inflights.checkInvariants() { return "2: \(problem)" }
    if let range = inflights.range {
      guard match < range.lowerBound, range.upperBound < next else {
        return "4: \(range) in flight, \(self)"
      }
    }
    return nil
  }
}
