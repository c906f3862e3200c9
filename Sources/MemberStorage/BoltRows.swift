import Bolt
import Bytes
import MVCC

/// A committed state of the backend, over a read transaction of the database file.
public final class BoltRows: CommittedRows {
  public let transaction: BoltReadTransaction
  /// The bucket that nearly every read goes to.
  private let keys: BoltBucket?

  public init(_ transaction: BoltReadTransaction) throws(BoltError) {
    self.transaction = transaction
    keys = try transaction.bucket(Bucket.key.name)
  }

  private func find(_ bucket: Bucket) throws(BoltError) -> BoltBucket? {
    bucket == .key ? keys : try transaction.bucket(bucket.name)
  }

  public func value(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes? {
    do throws(BoltError) { return try find(bucket)?.get(key) } catch {
      throw .damaged("backend: \(error.description)")
    }
  }

  public func scan(
    _ bucket: Bucket, from start: Bytes, _ body: (Bytes, Bytes) -> Bool
  ) throws(StoreError) {
    do throws(BoltError) {
      guard var cursor = try find(bucket)?.cursor() else { return }
      try cursor.seek(start)
      while let element = try cursor.next() {
        guard body(element.key, element.value) else { return }
      }
    } catch { throw .damaged("backend: \(error.description)") }
  }

  public func pieces(_ bucket: Bucket) throws(StoreError) -> [RowPiece] {
    do throws(BoltError) {
      return try find(bucket)?.pieces().map { RowPiece(start: $0.start, rows: $0.keys) } ?? []
    } catch { throw .damaged("backend: \(error.description)") }
  }

  public func scanMemory(
    _ bucket: Bucket, from start: Bytes, to end: Bytes?,
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
  ) throws(StoreError) {
    do throws(BoltError) { try find(bucket)?.scanMemory(from: start, to: end, body) } catch {
      throw .damaged("backend: \(error.description)")
    }
  }

  /// CRC-32C over all buckets: names, keys and values in order, without the raft position.
  /// - Source: etcd `backend.Hash` with `schema.DefaultIgnores`.
  public func backendHash() throws(StoreError) -> UInt32 {
    var crc: UInt32 = 0
    for bucket in Bucket.allCases.map(\.rawValue).sorted().compactMap(Bucket.init) {
      crc = CRC32C.update(crc, bucket.name)
      try scan(bucket, from: Bytes()) { key, value in
        let ignored = bucket == .meta && (key == "consistent_index" || key == "term")
        if !ignored { crc = CRC32C.update(CRC32C.update(crc, key), value) }
        return true
      }
    }
    return crc
  }
}
