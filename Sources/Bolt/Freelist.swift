/// Pages that no committed state uses, kept in memory and never stored (bbolt's NoFreelistSync).
///
/// Freed pages wait in `pending` until no open reader can see them; then they are free. Allocation
/// takes the lowest run that fits, so that the tail of the file empties over time.
///
/// - Source: bbolt `freelist.go` for the life of a page; the bitmap is ours: one bit a page,
///   32 KiB for a database of 1 GiB.
struct Freelist {
  /// Bit set = free.
  private var words: [UInt64] = []
  private(set) var freeCount = 0
  /// Pages freed by a transaction, oldest transaction first.
  private var pending: [(transaction: UInt64, pages: [UInt64])] = []
  private(set) var pendingCount = 0
  /// No free page lies below this id.
  private var lowest: UInt64 = 2

  func isFree(_ page: UInt64) -> Bool {
    let word = Int(page >> 6)
    return word < words.count && words[word] & (1 << (page & 63)) != 0
  }

  private mutating func mark(_ page: UInt64) {
    let word = Int(page >> 6)
    if word >= words.count {
      words.append(contentsOf: repeatElement(0, count: word + 1 - words.count))
    }
    precondition(words[word] & (1 << (page & 63)) == 0, "page \(page) freed twice")
    words[word] |= 1 << (page & 63)
    freeCount += 1
    lowest = Swift.min(lowest, page)
  }

  /// Adds pages that nothing refers to, at opening.
  mutating func seed(_ pages: some Sequence<UInt64>) {
    for page in pages { mark(page) }
  }

  /// Takes `count` pages in a row; `nil` when the file has to grow.
  /// - Complexity: O(words) at worst, O(1) amortised for single pages.
  mutating func allocate(_ count: Int) -> UInt64? {
    guard freeCount >= count else { return nil }
    var page = lowest
    let end = UInt64(words.count) << 6
    var seenFirst = false
    while page < end {
      let rest = words[Int(page >> 6)] >> (page & 63)
      if rest == 0 {
        page = (page | 63) + 1
        continue
      }
      page += UInt64(rest.trailingZeroBitCount)
      if !seenFirst {
        lowest = page
        seenFirst = true
      }
      var run = 1
      while run < count, isFree(page + UInt64(run)) { run += 1 }
      if run == count {
        for taken in page..<(page + UInt64(count)) {
          words[Int(taken >> 6)] &= ~(1 << (taken & 63))
        }
        freeCount -= count
        return page
      }
      page += UInt64(run)
    }
    return nil
  }

  /// Pages that `transaction` no longer uses; free once no reader is older.
  mutating func free(_ pages: [UInt64], by transaction: UInt64) {
    guard !pages.isEmpty else { return }
    pending.append((transaction, pages))
    pendingCount += pages.count
  }

  /// Frees what was released by transactions up to the oldest reader.
  /// - Parameter oldestReader: transaction id of the oldest open reader, nil when there is none.
  mutating func release(oldestReader: UInt64?) {
    var done = 0
    for entry in pending {
      if let oldestReader, entry.transaction > oldestReader { break }
      for page in entry.pages { mark(page) }
      pendingCount -= entry.pages.count
      done += 1
    }
    pending.removeFirst(done)
  }
}
