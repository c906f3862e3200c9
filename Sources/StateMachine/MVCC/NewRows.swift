import Bytes
import EtcdAPI
import Protobuf

/// One change of a key, as the history has it.
public struct ChangedRow: Sendable {
  public let revision: Revision
  public let isTombstone: Bool
  /// Encoded mvccpb.KeyValue as it is stored: of a deletion, the key alone.
  public let pair: Bytes

  /// The key that changed: a slice of `pair`.
  ///
  /// - Source: every writer of such rows, Go's and ours, puts the key first; others are decoded.
  public var key: Bytes {
    var reader = ByteReader(pair)
    if reader.readByte() == 0x0a, let count = reader.readVarint().flatMap({ Int(exactly: $0) }),
      let key = reader.read(count)
    {
      return key
    }
    return (try? Mvccpb.KeyValue.decode(pair))?.key ?? Bytes()
  }
}

/// Rows that became visible together, oldest first: what those who watch are told. Cheap to make, shared
/// with the store that goes on writing behind them.
///
/// Guarantees:
/// 1. `after` < the revision of every row ≤ `through`.
/// 2. There are no other rows in between, and all rows of a revision are there.
/// 3. The next one's `after` is this one's `through`, unless another store came in between, which may have
///    any history before its `after`.
public struct NewRows: Sendable {
  private let log: RowLog
  private let positions: Range<Int>
  /// Everything up to here was visible before.
  public let after: Int64
  /// Newest revision now.
  public let through: Int64

  init(_ log: RowLog, _ positions: Range<Int>, after: Int64, through: Int64) {
    self.log = log
    self.positions = positions
    self.after = after
    self.through = through
  }

  public var count: Int { positions.count }

  /// Bytes of the pairs.
  public var bytes: Int { positions.reduce(0) { $0 + log[$1].value.count } }

  public func visit(_ body: (ChangedRow) -> Void) {
    for position in positions {
      let row = log[position]
      body(ChangedRow(revision: row.revision, isTombstone: row.isTombstone, pair: row.value))
    }
  }
}

extension MVCCStore {
  /// The rows that became visible since the last call; `nil` when there are none. To be called before a
  /// batch is frozen.
  ///
  /// - Parameter after: revision through which the caller knows all rows.
  public mutating func takeNewRows(after: Int64) -> NewRows? {
    guard revision != after || handedOut == nil else { return nil }
    // A transaction of several turns has rows that are not visible yet.
    let end = isInTransaction ? active.lowerBound(Revision(main: revision + 1)) : active.count
    // Of a store that was just put in place, nobody was told anything.
    guard let start = exchange(&handedOut, with: end) else {
      return NewRows(active, end..<end, after: revision, through: revision)
    }
    return NewRows(active, start..<end, after: after, through: revision)
  }
}

extension StoreSnapshot {
  /// Calls `body` with every change from a revision on, oldest first, until it returns false. What a
  /// compaction took is left out.
  /// - Throws: `damaged` for a row that is none.
  public func changes(
    from start: Int64, _ body: (ChangedRow) -> Bool
  ) throws(StoreError) {
    var damage: StoreError?
    var goesOn = true
    let first = Revision(main: Swift.max(start, 0))
    try committed.scan(.key, from: first.encoded()) { key, value in
      guard let (revision, isTombstone) = Revision.decode(key) else {
        damage = .damaged("a row of bucket key has a key of \(key.count) bytes")
        return false
      }
      goesOn = body(ChangedRow(revision: revision, isTombstone: isTombstone, pair: value))
      return goesOn
    }
    if let damage { throw damage }
    for log in [frozen, active] {
      guard goesOn, let log else { continue }
      var position = log.lowerBound(first)
      while goesOn, position < log.count {
        let row = log[position]
        // Rows of a transaction that is not over.
        guard row.revision.main <= revision else { return }
        goesOn = body(
          ChangedRow(revision: row.revision, isTombstone: row.isTombstone, pair: row.value))
        position += 1
      }
    }
  }

  /// The pair that a key had before it changed at `revision`; `nil` when it had none, was created by the
  /// change, or was compacted.
  ///
  /// - Source: etcd `v3rpc/watch.go` sendLoop, `IsCreateEvent`.
  public func previous(of row: ChangedRow) throws(StoreError) -> Bytes? {
    if !row.isTombstone {
      let pair = try decode(row.pair)
      if pair.createRevision == pair.modRevision { return nil }
    }
    let before = row.revision.main - 1
    guard before >= compactRevision, let found = index.find(row.key)?.at(before) else { return nil }
    return try self.row(found.revision)
  }
}
