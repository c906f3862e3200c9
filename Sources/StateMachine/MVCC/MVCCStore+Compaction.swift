import Bytes
import EtcdAPI
import Protobuf

/// Where a compaction stands.
struct CompactionCursor: Sendable {
  let revision: Int64
  /// Next key to visit; `nil` when all were visited.
  var next: Bytes?
  /// Rows that left the index and that the backend still has.
  var queue: DropQueue

  init(revision: Int64) {
    self.revision = revision
    next = Bytes()
    queue = DropQueue(upTo: revision)
  }
}

extension MVCCStore {
  private static let scheduledKey: Bytes = "scheduledCompactRev"
  private static let finishedKey: Bytes = "finishedCompactRev"

  /// Marks history below a revision as gone; `compactStep` removes it.
  /// - Throws: `compacted` when that happened before, `futureRevision`.
  public mutating func compact(to target: Int64) throws(StoreError) -> KVResult {
    guard target > compactRevision else { throw .compacted }
    guard target <= revision else { throw .futureRevision }
    // What a compaction that is cut off has removed depends on the member: no hash of that.
    newCompaction = compaction == nil ? UnhashedCompaction(state: snapshot(), target: target) : nil
    compactRevision = target
    put(.meta, Self.scheduledKey, Revision(main: target).encoded())
    // A compaction under way is overtaken: the new one removes what it had left.
    var cursor = CompactionCursor(revision: target)
    for drop in compaction?.queue.rest ?? [] { cursor.queue.add(drop) }
    compaction = cursor
    return .compaction(revision: revision)
  }

  /// The compaction that was begun since the last call, when members can compare what it leaves.
  public mutating func takeNewCompaction() -> UnhashedCompaction? {
    defer { newCompaction = nil }
    return newCompaction
  }

  /// Whether a compaction has work left.
  public var isCompacting: Bool { compaction != nil }

  /// Whether `compactStep` has something to do: keys to visit, or room for rows in the next batch.
  public func canCompact(dropsMax: Int) -> Bool {
    guard let compaction else { return false }
    return compaction.next != nil || compaction.queue.isEmpty || droppedRows < dropsMax
  }

  /// Visits up to `limit` keys of the compaction under way, or leaves rows to be removed from the
  /// backend, in revision order, until about `dropsMax` wait for the next batch.
  /// - Returns: the revision when it is finished, `nil` otherwise.
  public mutating func compactStep(limit: Int, dropsMax: Int) -> Int64? {
    guard let (revision, next) = compaction.map({ ($0.revision, $0.next) }) else { return nil }
    if let start = next {
      var gone: [KeyRevision] = []
      compaction!.next = index.compact(from: start, limit: limit, at: revision) {
        gone.append($0)
      }
      for entry in gone { compaction!.queue.add((entry.revision, entry.isTombstone)) }
      guard compaction!.next == nil else { return nil }
    }
    while !compaction!.queue.isEmpty, droppedRows < dropsMax {
      drop(compaction!.queue.next(dropsMax))
    }
    guard compaction!.queue.isEmpty else { return nil }
    compaction = nil
    put(.meta, Self.finishedKey, Revision(main: revision).encoded())
    return revision
  }

  /// Rebuilds the store from a backend: index, revisions, leases, and a compaction that was cut off.
  /// - Parameter workers: who builds the index.
  /// - Throws: `damaged` naming the row.
  /// - Source: etcd `store.restore`.
  public static func restore(
    from state: any CommittedRows, workers: Workers = .serial
  ) throws(StoreError) -> MVCCStore {
    var store = MVCCStore(committed: state)
    try store.restoreLeases(state)
    var loader = IndexLoader(state, workers: workers)
    try loader.load()
    store.index = loader.index
    store.revision = Swift.max(store.revision, loader.last?.main ?? 0)
    for (key, lease) in loader.leasedKeys() { store.leases.attach(key, to: lease) }
    let finished = try compactedRevision(state, finishedKey)
    let scheduled = try compactedRevision(state, scheduledKey)
    if let finished { store.compactRevision = finished }
    if let scheduled, scheduled > store.compactRevision {
      store.compactRevision = scheduled
      store.compaction = CompactionCursor(revision: scheduled)
    }
    // Compaction may have removed the rows of the newest revision.
    store.revision = Swift.max(store.revision, store.compactRevision)
    return store
  }

  private static func compactedRevision(
    _ state: any CommittedRows, _ key: Bytes
  ) throws(StoreError) -> Int64? {
    guard let value = try state.value(.meta, key) else { return nil }
    guard let (revision, _) = Revision.decode(value) else {
      throw .damaged("meta row \(key) holds \(value), which is no revision")
    }
    guard (0...revisionMax).contains(revision.main) else {
      throw .damaged("meta row \(key) holds revision \(revision.main), which is out of range")
    }
    return revision.main
  }

  private mutating func restoreLeases(_ state: any CommittedRows) throws(StoreError) {
    var problem: StoreError?
    try state.scan(.lease, from: Bytes()) { key, value in
      do {
        let lease = try Leasepb.Lease.decode(value)
        _ = leases.grant(LeaseID(lease.id), ttl: lease.ttl, remaining: lease.remainingTTL)
      } catch { problem = .damaged("lease row \(key) is not decodable: \(error)") }
      return problem == nil
    }
    if let problem { throw problem }
  }
}
