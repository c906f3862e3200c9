import Bytes
import MVCC

/// Rows of a backend in a dictionary.
public final class MemoryRows: CommittedRows {
  public let buckets: [Bucket: [Bytes: Bytes]]

  public init(_ buckets: [Bucket: [Bytes: Bytes]] = [:]) { self.buckets = buckets }

  public func value(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes? {
    buckets[bucket]?[key]
  }

  public func scan(
    _ bucket: Bucket, from start: Bytes, _ body: (Bytes, Bytes) -> Bool
  ) throws(StoreError) {
    for (key, value) in (buckets[bucket] ?? [:]).sorted(by: { $0.key < $1.key })
    where !(key < start) {
      guard body(key, value) else { return }
    }
  }

  /// The rows after a batch.
  public func applying(_ batch: FrozenBatch) -> MemoryRows {
    var buckets = buckets
    for share in batch.changes() {
      for operation in share.operations {
        buckets[share.bucket, default: [:]][operation.key] = operation.value
      }
    }
    return MemoryRows(buckets)
  }
}
