import EtcdAPI

/// A slice of the log that was read for one follower and may serve the next.
struct CachedSlice: Sendable {
  var low: UInt64
  var maxSize: UInt64
  var version: UInt64
  var entries: [Raftpb.Entry]
}

extension RaftLog {
  /// Whether a snapshot waits to be written or is being written.
  var hasPendingSnapshot: Bool { unstable.snapshot != nil }

  /// Highest index that may be applied now.
  func maxAppliableIndex(allowUnstable: Bool) -> UInt64 {
    allowUnstable ? committed : min(committed, unstable.offset - 1)
  }

  /// Whether there is something to apply; a snapshot goes first.
  func hasNextCommitted(allowUnstable: Bool) -> Bool {
    !isApplyingPaused && !hasPendingSnapshot
      && applying < maxAppliableIndex(allowUnstable: allowUnstable)
  }

  /// Entries to apply next, within the bound on what is being applied.
  /// - Parameter allowUnstable: whether entries not yet stable here may be applied.
  func nextCommitted(allowUnstable: Bool) -> [Raftpb.Entry] {
    guard hasNextCommitted(allowUnstable: allowUnstable) else { return [] }
    precondition(
      maxApplyingSize > applyingSize,
      "applying entry size (\(maxApplyingSize)-\(applyingSize)) not positive")
    let low = applying + 1
    let high = maxAppliableIndex(allowUnstable: allowUnstable) + 1
    guard let entries = slice(low, high, maxSize: maxApplyingSize - applyingSize) else {
      fatalError("unapplied entries [\(low),\(high)) were compacted")
    }
    return entries
  }

  /// Entries from `index` to the end within `maxSize`; `nil` when they were compacted.
  mutating func entries(from index: UInt64, maxSize: UInt64) -> [Raftpb.Entry]? {
    let last = lastIndex
    if index > last { return [] }
    if let cached = lastSlice, cached.low == index, cached.maxSize == maxSize,
      cached.version == unstable.version, index >= firstIndex
    {
      return cached.entries
    }
    guard let entries = slice(index, last + 1, maxSize: maxSize) else { return nil }
    lastSlice = CachedSlice(
      low: index, maxSize: maxSize, version: unstable.version, entries: entries)
    return entries
  }

  /// Entries `low..<high` within `maxSize`, but at least one; `nil` when `low` was compacted.
  func slice(_ low: UInt64, _ high: UInt64, maxSize: UInt64) -> [Raftpb.Entry]? {
    precondition(low <= high, "invalid slice \(low) > \(high)")
    if low < firstIndex { return nil }
    precondition(
      high <= lastIndex + 1,
      "slice[\(low),\(high)) out of bound [\(firstIndex),\(lastIndex)]")
    if low == high { return [] }
    let offset = unstable.offset
    if low >= offset { return unstable.entries(low..<high, maxSize: maxSize) }

    let cut = min(high, offset)
    guard var entries = stored(low, cut, maxSize: maxSize) else { return nil }
    // A short answer means that the next entry would exceed the size.
    if high <= offset || UInt64(entries.count) < cut - low { return entries }
    let size = limitSize(entries)
    if size >= maxSize { return entries }
    let more = unstable.entries(offset..<high, maxSize: maxSize - size)
    if more.count == 1 && size + limitSize(more) > maxSize { return entries }
    entries.append(contentsOf: more)
    return entries
  }

  private func stored(_ low: UInt64, _ high: UInt64, maxSize: UInt64) -> [Raftpb.Entry]? {
    do {
      return try storage.entries(low, high, maxSize: maxSize)
    } catch .compacted {
      return nil
    } catch {
      fatalError("entries[\(low):\(high)) from storage: \(error)")
    }
  }

  /// The snapshot to send: one not yet stable, or the storage's.
  func snapshot() throws(RaftStorageError) -> Raftpb.Snapshot {
    if let snapshot = unstable.snapshot { return snapshot }
    return try storage.snapshot()
  }

  /// Whether a committed entry that is not applied changes the configuration. Reads by pages.
  func hasUnappliedConfChange() -> Bool {
    var low = applied + 1
    while low <= committed {
      guard let page = slice(low, committed + 1, maxSize: maxApplyingSize), !page.isEmpty else {
        fatalError("error scanning unapplied entries [\(low), \(committed + 1))")
      }
      if page.contains(where: \.isConfChange) { return true }
      low += UInt64(page.count)
    }
    return false
  }
}
