import Bytes
import EtcdAPI
import Protobuf

/// The store at one moment: O(1) to take, unchanged however long it is held, readable from any thread.
public struct StoreSnapshot: Sendable {
  let index: KeyIndex
  /// Rows not yet handed to the backend.
  let active: RowLog
  /// Rows being committed.
  let frozen: RowLog?
  let committed: any CommittedRows
  /// Newest revision.
  public let revision: Int64
  /// Revision below which history is gone; 0 or −1 when nothing was compacted.
  public let compactRevision: Int64

  /// Keys that exist.
  public var liveKeys: Int { index.liveCount }

  /// Reads a range.
  ///
  /// - Throws: `compacted`, `futureRevision`; `damaged` when the backend lacks a row.
  /// - Source: etcd `applierV3backend.Range`, `mvcc/kvstore_txn.go` rangeKeys.
  public func range(_ request: Etcdserverpb.RangeRequest) throws(StoreError) -> RangeResult {
    try range(request, current: revision)
  }

  func range(
    _ request: Etcdserverpb.RangeRequest, current: Int64
  ) throws(StoreError) -> RangeResult {
    var budget = Int.max
    guard let result = try range(request, current: current, within: &budget) else {
      preconditionFailure("a range without a budget runs to its end")
    }
    return result
  }

  /// Reads a range unless that takes too long for a thread that others wait for.
  ///
  /// - Parameter budget: keys that may be looked at, living and deleted; what was is taken off.
  /// - Returns: `nil` when there are more; then the time of so many keys was spent in vain at most.
  public func range(
    _ request: Etcdserverpb.RangeRequest, within budget: inout Int
  ) throws(StoreError) -> RangeResult? {
    try range(request, current: revision, within: &budget)
  }

  /// - Parameter current: revision that a request without one reads at.
  func range(
    _ request: Etcdserverpb.RangeRequest, current: Int64, within budget: inout Int
  ) throws(StoreError) -> RangeResult? {
    let at = request.revision <= 0 ? current : request.revision
    guard at <= current else { throw .futureRevision }
    guard at >= compactRevision else { throw .compacted }
    let interval = KeyInterval(key: request.key, rangeEnd: request.rangeEnd)
    var result = RangeResult(revision: current)
    if request.countOnly {
      guard let count = count(interval, at: at, within: &budget) else { return nil }
      result.count = Int64(count)
      return result
    }
    if interval.isSingle, !request.isFiltered, !request.keysOnly {
      guard let found = index.find(interval.start)?.at(at) else { return result }
      result.rows = [try row(found.revision)]
      result.count = 1
      return result
    }
    let ordering = RangeOrdering(request)
    let limit = ordering.rowsWanted
    // Cheap to know, and spares most of the attempts in vain.
    if limit > budget, !interval.isSingle, !interval.isEmpty,
      index.countLive(from: interval.start, to: interval.end) > budget
    {
      return nil
    }
    var found: [KeyRevision] = []
    var total = 0
    guard collect(interval, at: at, limit: limit, within: &budget, &found, &total) else {
      return nil
    }
    result.count = Int64(total)
    result.rows.reserveCapacity(found.count)
    for revision in found { result.rows.append(try row(revision.revision)) }
    if ordering.needsAll || ordering.sorts { try ordering.apply(to: &result.rows) }
    if request.limit > 0, result.rows.count > Int(request.limit) {
      result.rows.removeSubrange(Int(request.limit)...)
      result.more = true
    } else if limit != Int.max, total > limit {
      result.more = true
    }
    if request.keysOnly {
      for position in result.rows.indices {
        var pair = try decode(result.rows[position])
        pair.value = Bytes()
        result.rows[position] = pair.encoded()
      }
    }
    return result
  }

  /// - Returns: false when the budget ran out.
  private func collect(
    _ interval: KeyInterval, at main: Int64, limit: Int, within budget: inout Int,
    _ found: inout [KeyRevision], _ total: inout Int
  ) -> Bool {
    if interval.isSingle {
      if let revision = index.find(interval.start)?.at(main) {
        found.append(revision)
        total = 1
      }
      return true
    }
    let countsLater = main >= revision
    var left = budget
    index.scan(from: interval.start, to: interval.end) { entry in
      left -= 1
      if let revision = entry.history.at(main) {
        total += 1
        if found.count < limit { found.append(revision) }
      }
      return left > 0 && !(countsLater && found.count == limit)
    }
    budget = left
    if countsLater, found.count == limit {
      total = index.countLive(from: interval.start, to: interval.end)
      return true
    }
    return left > 0
  }

  /// Keys of an interval that exist at a revision; `nil` when the budget ran out.
  private func count(_ interval: KeyInterval, at main: Int64, within budget: inout Int) -> Int? {
    if interval.isSingle { return index.find(interval.start)?.at(main) == nil ? 0 : 1 }
    if interval.isEmpty { return 0 }
    if main >= revision { return index.countLive(from: interval.start, to: interval.end) }
    var total = 0
    var left = budget
    index.scan(from: interval.start, to: interval.end) { entry in
      left -= 1
      if entry.history.at(main) != nil { total += 1 }
      return left > 0
    }
    budget = left
    return left > 0 ? total : nil
  }

  /// The stored bytes of a revision that the index knows.
  func row(_ revision: Revision) throws(StoreError) -> Bytes {
    if let row = active.find(revision) ?? frozen?.find(revision) { return row.value }
    if let value = try committed.value(.key, revision.encoded()) { return value }
    throw .damaged("revision \(revision.main).\(revision.sub) is in the index, not in the backend")
  }

  func decode(_ row: Bytes) throws(StoreError) -> Mvccpb.KeyValue {
    do { return try Mvccpb.KeyValue.decode(row) } catch {
      throw .damaged("stored key-value pair is not decodable: \(error)")
    }
  }
}

extension Etcdserverpb.RangeRequest {
  fileprivate var isFiltered: Bool {
    minModRevision != 0 || maxModRevision != 0 || minCreateRevision != 0 || maxCreateRevision != 0
  }
}

/// Filters and order of a range request.
struct RangeOrdering {
  private let request: Etcdserverpb.RangeRequest
  private let isDescending: Bool
  private let isSorted: Bool
  private let isFiltered: Bool

  init(_ request: Etcdserverpb.RangeRequest) {
    self.request = request
    isDescending = request.sortOrder == .descend
    isSorted = request.sortOrder != .none || request.sortTarget != .key
    isFiltered = request.isFiltered
  }

  /// Whether the rows come out in another order than that of the index.
  var sorts: Bool { isSorted && (request.sortTarget != .key || isDescending) }

  /// Whether the limit can be applied only after this.
  /// - Source: etcd `txn.rangeLimit`: an order that was not asked for does not count.
  var needsAll: Bool { isFiltered || (sorts && request.sortOrder != .none) }

  /// Rows to collect in the order of the index. A filter or an order needs every key before the limit
  /// can be applied. An order that only the target implies sorts the first keys that the limit lets
  /// through, and one more, as etcd does.
  var rowsWanted: Int {
    if needsAll || request.limit <= 0 { return Int.max }
    let (rows, overflowed) = Int(request.limit).addingReportingOverflow(sorts ? 1 : 0)
    return overflowed ? Int.max : rows
  }

  func apply(to rows: inout [Bytes]) throws(StoreError) {
    var pairs: [(pair: Mvccpb.KeyValue, row: Bytes)] = []
    pairs.reserveCapacity(rows.count)
    for row in rows {
      do { pairs.append((try Mvccpb.KeyValue.decode(row), row)) } catch {
        throw .damaged("stored key-value pair is not decodable: \(error)")
      }
    }
    if isFiltered { pairs.removeAll { !passes($0.pair) } }
    if isSorted { sort(&pairs) }
    rows = pairs.map(\.row)
  }

  private func passes(_ pair: Mvccpb.KeyValue) -> Bool {
    (request.maxModRevision == 0 || pair.modRevision <= request.maxModRevision)
      && (request.minModRevision == 0 || pair.modRevision >= request.minModRevision)
      && (request.maxCreateRevision == 0 || pair.createRevision <= request.maxCreateRevision)
      && (request.minCreateRevision == 0 || pair.createRevision >= request.minCreateRevision)
  }

  private func sort(_ pairs: inout [(pair: Mvccpb.KeyValue, row: Bytes)]) {
    func by<T: Comparable>(_ path: (Mvccpb.KeyValue) -> T) {
      pairs.sort { isDescending ? path($1.pair) < path($0.pair) : path($0.pair) < path($1.pair) }
    }
    switch request.sortTarget {
    case .key: by(\.key)
    case .version: by(\.version)
    case .create: by(\.createRevision)
    case .mod: by(\.modRevision)
    case .value: by(\.value)
    case .unrecognized: break
    }
  }
}
