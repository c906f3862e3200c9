import Bytes

/// One row of bucket `key`: a revision and its encoded mvccpb.KeyValue.
struct Row: Sendable {
  let revision: Revision
  let isTombstone: Bool
  let value: Bytes
}

/// Rows written and not yet in the committed state, oldest first: append-only, shared with readers.
///
/// A copy is an O(1) snapshot: it sees the rows up to its own count, while the writer goes on
/// appending behind them in the same segments.
struct RowLog: Sendable {
  static let segmentRows = 256

  final class Segment: @unchecked Sendable {
    // @unchecked: a row is written once, before any reader's count reaches it; readers get their
    // count through a lock or a queue, which orders the write before the read.
    let rows = UnsafeMutablePointer<Row>.allocate(capacity: RowLog.segmentRows)
    var filled = 0

    deinit {
      rows.deinitialize(count: filled)
      rows.deallocate()
    }
  }

  private(set) var segments: [Segment] = []
  private(set) var count = 0
  /// Bytes of keys and values, for limits.
  private(set) var bytes = 0

  var isEmpty: Bool { count == 0 }

  subscript(position: Int) -> Row {
    precondition(position < count, "row \(position) of \(count)")
    return segments[position / Self.segmentRows].rows[position % Self.segmentRows]
  }

  /// Adds the next row; only the one log that all copies came from may append.
  mutating func append(_ row: Row) {
    if count > 0 {
      precondition(self[count - 1].revision < row.revision, "rows must be appended in order")
    }
    if count % Self.segmentRows == 0 { segments.append(Segment()) }
    let segment = segments[segments.count - 1]
    precondition(segment.filled == count % Self.segmentRows, "a copy of the log appended")
    (segment.rows + segment.filled).initialize(to: row)
    segment.filled += 1
    count += 1
    bytes += row.value.count + Revision.keyBytes
  }

  /// The row of a revision.
  func find(_ revision: Revision) -> Row? {
    let position = lowerBound(revision)
    guard position < count, self[position].revision == revision else { return nil }
    return self[position]
  }

  /// Position of the first row at or after a revision.
  func lowerBound(_ revision: Revision) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].revision < revision { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
