import Bytes
import EtcdAPI

/// Builds the index from the rows of the backend, which come in revision order, on several threads.
///
/// 1. Each thread reads a run of neighbouring rows (`IndexPart`) and sorts them by key.
/// 2. The key space is cut into as many ranges; each thread merges its range of all parts and writes
///    full leaves.
/// 3. The leaves are joined by branches.
///
/// A large store is loaded in several bulks, which bounds the working memory; bulks after the first
/// are added row by row in key order. The result does not depend on threads or bulks, except for where
/// leaves begin.
struct IndexLoader {
  /// Rows of a bulk: about 200 MiB while they are sorted.
  static let bulkMax = 2 << 20

  private let state: any CommittedRows
  private let workers: Workers
  private let bulk: Int
  private(set) var index = KeyIndex()
  /// The newest revision of any row.
  private(set) var last: Revision?
  private var leased: [IndexPart.LeasedRow] = []

  init(_ state: any CommittedRows, workers: Workers, bulk: Int = Self.bulkMax) {
    self.state = state
    self.workers = workers
    self.bulk = bulk
  }

  /// Loads all rows of the state.
  /// - Throws: `damaged` naming the row.
  mutating func load() throws(StoreError) {
    let pieces = try state.pieces(.key)
    var first = 0
    while first < pieces.count {
      var end = first
      var rows = 0
      while end < pieces.count, end == first || rows + pieces[end].rows <= bulk {
        rows += pieces[end].rows
        end += 1
      }
      try load(pieces[first..<end], rows: rows, end: end < pieces.count ? pieces[end].start : nil)
      first = end
    }
  }

  private mutating func load(
    _ pieces: ArraySlice<RowPiece>, rows: Int, end: Bytes?
  ) throws(StoreError) {
    let shares = Self.shares(of: pieces, rows: rows, count: workers.width, end: end)
    let (state, bulk) = (state, bulk)
    let read = try workers.map(shares.count) { (number) throws(StoreError) in
      let share = shares[number]
      return try IndexPart(
        state, from: share.start, to: share.end, expected: Swift.min(share.rows, bulk))
    }.filter { $0.rows.count > 0 }
    guard !read.isEmpty else { return }
    for part in read {
      guard last.map({ $0 < part.rows[0].revision.revision }) ?? true else {
        throw .damaged("row \(part.rows[0].revision.revision) of bucket key is out of order")
      }
      last = part.rows[part.rows.count - 1].revision.revision
      leased += part.leased
    }
    var skip = RowKey.skipMax
    for part in read {
      skip = Swift.min(part.sharedPrefix, skip)
      skip = part.rows[0].key.sharedPrefix(read[0].rows[0].key, limit: skip)
    }
    let sorted = try workers.map(read.count) { [skip] number in
      var part = read[number]
      part.sort(skipping: skip)
      return part
    }
    if index.count == 0 { try build(sorted) } else { add(sorted) }
  }

  /// A thread's run of rows.
  private struct Share {
    let start: Bytes
    let end: Bytes?
    let rows: Int
  }

  private static func shares(
    of pieces: ArraySlice<RowPiece>, rows: Int, count: Int, end: Bytes?
  ) -> [Share] {
    var shares: [Share] = []
    var first = pieces.startIndex
    var seen = 0
    var own = 0
    for (position, piece) in zip(pieces.indices, pieces) {
      seen += piece.rows
      own += piece.rows
      let isLast = position + 1 == pieces.endIndex
      guard isLast || seen * count >= rows * (shares.count + 1) else { continue }
      shares.append(
        Share(
          start: pieces[first].start, end: isLast ? end : pieces[position + 1].start, rows: own))
      first = position + 1
      own = 0
    }
    return shares
  }

  private mutating func build(_ parts: [IndexPart]) throws(StoreError) {
    let cuts = Self.cuts(of: parts, count: workers.width)
    let ranges = try workers.map(cuts.count + 1) { number in
      var leaves = LeafWriter()
      IndexMerge.visit(
        parts, from: number == 0 ? nil : cuts[number - 1],
        to: number == cuts.count ? nil : cuts[number]
      ) { leaves.add($0) }
      return leaves.finish()
    }
    index = KeyIndex(leaves: ranges.flatMap { $0 })
  }

  private mutating func add(_ parts: [IndexPart]) {
    IndexMerge.visit(parts, from: nil, to: nil) { index.append($0.key.indexKey, $0.revision) }
  }

  /// Keys that cut the rows into ranges of similar size, one range fewer than `count`.
  private static func cuts(of parts: [IndexPart], count: Int) -> [RowKey] {
    let wanted = 64
    var sample: [RowKey] = []
    for part in parts {
      for step in 0..<wanted {
        sample.append(part.row(at: step * part.order.count / wanted).key)
      }
    }
    sample.sort { $0 < $1 }
    var cuts: [RowKey] = []
    for number in 1..<Swift.max(count, 1) {
      let key = sample[number * sample.count / count]
      if cuts.last.map({ $0 < key }) ?? true { cuts.append(key) }
    }
    return cuts
  }

  /// Keys that hang on a lease now: those whose newest revision was written with one.
  func leasedKeys() -> [(key: Bytes, lease: LeaseID)] {
    var found: [(key: Bytes, lease: LeaseID)] = []
    for row in leased {
      let key = row.key.bytes
      if index.find(key)?.newest.revision == row.revision { found.append((key, row.lease)) }
    }
    return found
  }
}

/// Goes through the rows of sorted parts in key order, rows of one key in revision order.
private struct IndexMerge {
  /// What is left of a part.
  private struct Run {
    let rows: UnsafeMutablePointer<IndexPart.Row>
    var next: UnsafeMutablePointer<IndexPart.Place>
    let end: UnsafeMutablePointer<IndexPart.Place>

    var key: RowKey { rows[Int(next.pointee.row)].key }

    /// Rows are in another order than places: without a hint each one waits for memory.
    mutating func takeFirst() -> IndexPart.Row {
      let ahead = 12
      if end - next > ahead { prefetchMemory(rows + Int(next[ahead].row)) }
      defer { next += 1 }
      return rows[Int(next.pointee.row)]
    }

    func precedes(_ other: Run) -> Bool {
      let (own, its) = (next.pointee.window, other.next.pointee.window)
      return own != its ? own < its : key < other.key
    }
  }

  /// - Parameters:
  ///   - parts: in revision order.
  ///   - start: first key, `nil` for the beginning.
  ///   - end: key behind the last, `nil` for the end.
  static func visit(
    _ parts: [IndexPart], from start: RowKey?, to end: RowKey?, _ body: (IndexPart.Row) -> Void
  ) {
    var runs = parts.map { part in
      Run(
        rows: part.rows.base,
        next: part.order.base + (start.map { part.lowerBound($0) } ?? 0),
        end: part.order.base + (end.map { part.lowerBound($0) } ?? part.order.count))
    }.filter { $0.next < $0.end }
    while !runs.isEmpty {
      var best = 0
      // A key in two parts has its older revisions in the earlier one.
      for number in 1..<runs.count where runs[number].precedes(runs[best]) { best = number }
      body(runs[best].takeFirst())
      if runs[best].next == runs[best].end { runs.remove(at: best) }
    }
    withExtendedLifetime(parts) {}
  }
}

/// Writes entries in key order into full leaves.
private struct LeafWriter {
  private var leaves: [KeyIndex.Node] = []
  private var entries: ContiguousArray<KeyIndex.Entry> = []
  private var last: RowKey?

  mutating func add(_ row: IndexPart.Row) {
    if row.key == last {
      entries[entries.count - 1].history.append(row.revision)
      return
    }
    if entries.count == KeyIndex.nodeMax { cut() }
    if entries.isEmpty { entries.reserveCapacity(KeyIndex.nodeMax) }
    entries.append(KeyIndex.Entry(key: row.key.indexKey, history: KeyHistory(row.revision)))
    last = row.key
  }

  private mutating func cut() {
    leaves.append(KeyIndex.Node(leaf: entries))
    entries = []
  }

  mutating func finish() -> [KeyIndex.Node] {
    if !entries.isEmpty { cut() }
    return leaves
  }
}
