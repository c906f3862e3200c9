import Bytes
import EtcdAPI
import Protobuf

/// The multi-version store: what apply changes. Pure and synchronous; one owner.
///
/// Rows go to `active`; `freeze()` turns everything written since the last freeze into a batch for the
/// backend, and `didCommit` swaps in the state that the backend reached. In between, readers see
/// active rows, frozen rows and the committed state as one.
///
/// - Source: etcd `mvcc/kvstore.go`, `kvstore_txn.go`; the layers of pending rows are ours.
public struct MVCCStore: Sendable {
  /// Main revisions, and versions of a key, that a file may hold: nobody counts that far, and what is counted
  /// on from there has room.
  public static let revisionMax: Int64 = 1 << 62

  var index = KeyIndex()
  /// Newest main revision; an empty store reports 1.
  public internal(set) var revision: Int64 = 1
  /// Compacted revision; −1 when nothing was compacted.
  public internal(set) var compactRevision: Int64 = -1
  public internal(set) var leases = LeaseTable()

  /// Rows not yet handed to the backend.
  private(set) var active = RowLog()
  /// How many of `active` were handed to those who watch; `nil` before that was asked for.
  var handedOut: Int?
  private var dropped: [DropQueue.Drop] = []
  private var small: [Bucket: [Bytes: Bytes?]] = [:]
  private var frozen: FrozenBatch?
  private var committed: any CommittedRows
  /// Changes made by the transaction under way.
  private var changes: Int32 = 0
  /// The compaction that still has keys to visit.
  var compaction: CompactionCursor?
  /// Bytes of keys and values that were put since the start.
  public private(set) var putBytes = 0
  /// The newest compaction, until somebody asks for it.
  var newCompaction: UnhashedCompaction?
  /// Bytes of keys and values that the backend does not hold durably yet, for the quota's estimate.
  public var pendingBytes: Int { active.bytes + (frozen?.rows.bytes ?? 0) }
  /// Rows waiting for the next freeze.
  public var pendingRows: Int { active.count + dropped.count }
  /// Rows of compactions waiting for the next freeze.
  public var droppedRows: Int { dropped.count }
  /// Bytes waiting for the next freeze.
  public var unfrozenBytes: Int { active.bytes }

  /// Keys that exist now.
  public var liveKeys: Int { index.liveCount }

  /// A store over an empty backend; `restore` fills it from one with data.
  public init(committed: any CommittedRows) { self.committed = committed }

  /// The store as it is now, for readers.
  public func snapshot() -> StoreSnapshot {
    StoreSnapshot(
      index: index, active: active, frozen: frozen?.rows, committed: committed,
      revision: revision, compactRevision: compactRevision)
  }

  // MARK: Batches

  /// Whether there is anything to hand to the backend.
  public var hasPending: Bool {
    !active.isEmpty || !dropped.isEmpty || !small.isEmpty
  }

  /// Whether a batch was handed out and not confirmed.
  public var isCommitting: Bool { frozen != nil }

  /// Takes everything written so far as one batch, with the raft position it brings the store to.
  /// - Traps: while another batch is being committed.
  public mutating func freeze(appliedIndex: LogIndex, term: Term) -> FrozenBatch {
    precondition(frozen == nil, "a batch is being committed already")
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(appliedIndex.rawValue)
    put(.meta, "consistent_index", writer.finish())
    writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(term.rawValue)
    put(.meta, "term", writer.finish())
    let batch = FrozenBatch(
      rows: active, dropped: dropped, small: small, appliedIndex: appliedIndex, appliedTerm: term)
    frozen = batch
    if let handedOut {
      precondition(handedOut == active.count, "rows are frozen that nobody was told of")
      self.handedOut = 0
    }
    active = RowLog()
    dropped = []
    small = [:]
    return batch
  }

  /// The frozen batch is durable, and `state` shows it.
  public mutating func didCommit(_ state: any CommittedRows) {
    precondition(frozen != nil, "no batch is being committed")
    frozen = nil
    committed = state
  }

  func checkRows() -> String? {
    if let problem = active.checkInvariants() { return "active rows \(problem)" }
    guard !active.isEmpty else { return frozen?.rows.checkInvariants().map { "frozen rows \($0)" } }
    // A deletion of very many keys is one transaction of several turns.
    guard active[active.count - 1].revision.main <= currentRevision else {
      return "row \(active[active.count - 1].revision) in a store at \(revision)"
    }
    guard let old = frozen?.rows, !old.isEmpty else { return nil }
    if let problem = old.checkInvariants() { return "frozen rows \(problem)" }
    return old[old.count - 1].revision < active[0].revision ? nil : "active rows before frozen ones"
  }

  /// The newest state of the backend.
  public var committedState: any CommittedRows { committed }

  /// Replaces the committed state by one with the same rows, as after a defragmentation.
  public mutating func replaceCommitted(_ state: any CommittedRows) { committed = state }

  /// Writes a row of a bucket other than `key`; `nil` deletes it.
  public mutating func put(_ bucket: Bucket, _ key: Bytes, _ value: Bytes?) {
    precondition(bucket != .key, "rows of bucket key are written by revision")
    small[bucket, default: [:]][key] = .some(value)
  }

  /// A row of a bucket other than `key`, pending writes included.
  public func get(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes? {
    if let pending = small[bucket]?[key] { return pending }
    if let pending = frozen?.small[bucket]?[key] { return pending }
    return try committed.value(bucket, key)
  }

  /// Raft index of the last entry that the committed state holds; 0 when it is empty.
  public func consistentIndex() throws(StoreError) -> LogIndex {
    try Self.consistentIndex(committed)
  }

  /// Raft index of the last entry that a backend holds; 0 when it is empty.
  public static func consistentIndex(
    _ committed: any CommittedRows
  ) throws(StoreError) -> LogIndex {
    guard let value = try committed.value(.meta, "consistent_index") else { return 0 }
    var reader = ByteReader(value)
    guard let index: UInt64 = reader.readBigEndian() else {
      throw .damaged("consistent_index has \(value.count) bytes, needs 8")
    }
    return LogIndex(index)
  }

  /// All rows of a bucket other than `key`, pending writes included, in order.
  public func rows(_ bucket: Bucket) throws(StoreError) -> [(key: Bytes, value: Bytes)] {
    var found: [Bytes: Bytes] = [:]
    try committed.scan(bucket, from: Bytes()) { key, value in
      found[key] = value
      return true
    }
    for pending in [frozen?.small[bucket], small[bucket]] {
      for (key, value) in pending ?? [:] { found[key] = value }
    }
    return found.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  mutating func drop(_ rows: [DropQueue.Drop]) { dropped += rows }

  // MARK: Transactions

  var isInTransaction: Bool { changes > 0 }

  /// Revision that reads inside the transaction see.
  var currentRevision: Int64 { revision + (changes > 0 ? 1 : 0) }

  /// Runs a write transaction: all its changes share one main revision.
  mutating func transact<R>(
    _ body: (inout MVCCStore) throws(StoreError) -> R
  ) throws(StoreError) -> R {
    beginTransaction()
    // Also after an error: the next transaction must not meet this one.
    defer { endTransaction() }
    return try body(&self)
  }

  /// Begins a transaction; nothing else is applied until its end.
  func beginTransaction() { precondition(changes == 0, "transactions do not nest") }

  mutating func endTransaction() {
    if changes > 0 { revision += 1 }
    changes = 0
  }

  /// The stored pair of a key as the transaction sees it.
  func current(_ key: Bytes) throws(StoreError) -> Bytes? {
    guard let newest = index.find(key)?.newest, !newest.isTombstone else { return nil }
    return try snapshot().row(newest.revision)
  }

  /// Writes a key inside a transaction.
  mutating func write(_ key: Bytes, _ value: Bytes, lease: LeaseID) {
    let main = revision + 1
    let before = index.find(key)?.newest
    let live = before?.isTombstone == false
    let created = live ? before!.created : main
    let version = (live ? before!.version : 0) + 1
    let pair = Mvccpb.KeyValue(
      key: key, createRevision: created, modRevision: main, version: version, value: value,
      lease: lease.rawValue)
    active.append(
      Row(
        revision: Revision(main: main, sub: Int64(changes)), isTombstone: false,
        value: pair.encoded()))
    index.append(
      key,
      KeyRevision(
        main: main, created: created, version: version, sub: changes, isTombstone: false))
    leases.attach(key, to: lease)
    putBytes &+= key.count + value.count
    changes += 1
  }

  /// Deletes a key inside a transaction.
  /// - Returns: how many keys that were: 0 when it did not exist.
  mutating func delete(_ key: Bytes) -> Int64 {
    let probe = IndexKey(probe: key)
    guard index.find(probe)?.isLive == true else { return 0 }
    let main = revision + 1
    active.append(
      Row(
        revision: Revision(main: main, sub: Int64(changes)), isTombstone: true,
        value: Mvccpb.KeyValue(key: key).encoded()))
    index.append(
      probe, KeyRevision(main: main, created: main, version: 0, sub: changes, isTombstone: true))
    leases.attach(key, to: .none)
    changes += 1
    return 1
  }
}
