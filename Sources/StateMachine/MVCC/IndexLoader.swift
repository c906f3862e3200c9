import Bytes

/// Brings the rows of the backend, which come in revision order, into an index in key order.
///
/// A bulk of rows is sorted before it goes in: neighbours in the index are then written one after the
/// other, and leaves that only grow at their end stay full. Memory is bounded by the bulk.
struct IndexLoader {
  /// Rows of a bulk: about 80 MiB.
  static let bulkMax = 1 << 20

  private struct Row {
    let key: IndexKey
    let revision: KeyRevision
  }

  private let bulk: Int
  private var rows: ContiguousArray<Row> = []

  init(bulk: Int = Self.bulkMax) { self.bulk = bulk }

  /// Adds the next row. A long key keeps its storage alive until the bulk is written.
  mutating func add(_ key: Bytes, _ revision: KeyRevision, to index: inout KeyIndex) {
    rows.append(Row(key: IndexKey(probe: key), revision: revision))
    if rows.count == bulk { flush(to: &index) }
  }

  /// Writes what was added since the last bulk.
  mutating func flush(to index: inout KeyIndex) {
    // Sorting positions with the first bytes beside them moves and touches less than sorting rows.
    var order: ContiguousArray<(prefix: UInt64, row: Int)> = []
    order.reserveCapacity(rows.count)
    for (position, row) in rows.enumerated() { order.append((row.key.prefix, position)) }
    order.sort { precedes($0, $1) }
    for (_, position) in order { index.append(rows[position].key, rows[position].revision) }
    rows.removeAll()
  }

  /// By key; rows of one key keep their order, which is that of revisions.
  private func precedes(
    _ a: (prefix: UInt64, row: Int), _ b: (prefix: UInt64, row: Int)
  ) -> Bool {
    if a.prefix != b.prefix { return a.prefix < b.prefix }
    let (first, second) = (rows[a.row].key, rows[b.row].key)
    if first == second { return a.row < b.row }
    return first < second
  }
}
