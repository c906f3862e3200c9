import Bytes
import EtcdAPI
import Protobuf

/// The buckets of the backend, as etcd names them.
public enum Bucket: String, CaseIterable, Sendable {
  case key
  case meta
  case lease
  case alarm
  case cluster
  case members
  case membersRemoved = "members_removed"
  case auth
  case authUsers
  case authRoles

  /// The name in the file.
  public var name: Bytes { Bytes(rawValue) }
}

/// A committed state of the backend. The state machine reads the disk only through it.
///
/// Implementations are immutable and usable from any thread.
public protocol CommittedRows: AnyObject, Sendable {
  /// Value of a row, a slice that keeps the state alive; `nil` when it is missing.
  func value(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes?
  /// Rows with `start` ≤ key, in order, until `body` returns false.
  func scan(
    _ bucket: Bucket, from start: Bytes, _ body: (_ key: Bytes, _ value: Bytes) -> Bool
  ) throws(StoreError)
  /// Runs of neighbouring rows, in order, that together are the whole bucket.
  func pieces(_ bucket: Bucket) throws(StoreError) -> [RowPiece]
  /// Rows with `start` ≤ key < `end`, in order, until `body` returns false. The memory belongs to the
  /// state and stays as it is while the state exists.
  func scanMemory(
    _ bucket: Bucket, from start: Bytes, to end: Bytes?,
    _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
  ) throws(StoreError)
}

extension CommittedRows {
  public func pieces(_ bucket: Bucket) throws(StoreError) -> [RowPiece] {
    [RowPiece(start: Bytes(), rows: 0)]
  }

  public func scanMemory(
    _ bucket: Bucket, from start: Bytes, to end: Bytes?,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
  ) throws(StoreError) {
    try scan(bucket, from: start) { key, value in
      if let end, !(key < end) { return false }
      return key.withUnsafeBytes { key in value.withUnsafeBytes { body(key, $0) } }
    }
  }
}

/// A run of neighbouring rows; it ends where the next one starts.
public struct RowPiece: Sendable {
  /// First key; empty for the beginning of the bucket.
  public let start: Bytes
  /// About how many rows it has.
  public let rows: Int

  public init(start: Bytes, rows: Int) {
    self.start = start
    self.rows = rows
  }
}

/// Why an operation on the store failed.
public enum StoreError: Error, Equatable, Sendable {
  /// The revision is below the compacted one.
  case compacted
  /// The revision was not written yet.
  case futureRevision
  case keyNotFound
  case leaseNotFound
  case leaseExists
  case leaseTTLTooLarge
  /// The backend returned no or damaged data: the member must not go on.
  case damaged(String)
}

/// Writes of one batch on their way to the backend.
///
/// The applied index, its term and the configuration travel with the data in one commit: there is no
/// other writer of them.
public struct FrozenBatch: Sendable {
  /// Rows to add to bucket `key`.
  let rows: RowLog
  /// Rows of bucket `key` that compaction removed.
  let dropped: [(revision: Revision, isTombstone: Bool)]
  /// Changes of the other buckets; a `nil` value deletes.
  let small: [Bucket: [Bytes: Bytes?]]
  /// Raft index of the last entry in the batch.
  public let appliedIndex: LogIndex
  public let appliedTerm: Term
  /// Bytes of the keys and values to add to bucket `key`.
  public var bytes: Int { rows.bytes }

  /// One bucket's share of the batch, sorted by key.
  public struct Changes: Sendable {
    public let bucket: Bucket
    public let operations: [(key: Bytes, value: Bytes?)]
  }

  /// The batch as sorted changes for each bucket.
  public func changes() -> [Changes] {
    var result: [Changes] = []
    let rows = rowOperations()
    if !rows.isEmpty { result.append(Changes(bucket: .key, operations: rows)) }
    for (bucket, pairs) in small where !pairs.isEmpty {
      let sorted = pairs.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
      result.append(Changes(bucket: bucket, operations: sorted))
    }
    return result
  }

  /// Dropped rows are older than added ones, except rows that were added and dropped in one batch.
  private func rowOperations() -> [(key: Bytes, value: Bytes?)] {
    var deletes = dropped.sorted { $0.revision < $1.revision }[...]
    var operations: [(key: Bytes, value: Bytes?)] = []
    operations.reserveCapacity(rows.count + deletes.count)
    for position in 0..<rows.count {
      let row = rows[position]
      while let next = deletes.first, next.revision < row.revision {
        operations.append((next.revision.encoded(isTombstone: next.isTombstone), nil))
        deletes.removeFirst()
      }
      if let next = deletes.first, next.revision == row.revision {
        deletes.removeFirst()
        continue
      }
      operations.append((row.revision.encoded(isTombstone: row.isTombstone), row.value))
    }
    for rest in deletes {
      operations.append((rest.revision.encoded(isTombstone: rest.isTombstone), nil))
    }
    return operations
  }
}
