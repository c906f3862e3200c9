import Bolt
import Bytes
import MVCC
import MemberStorage
import Simulation

/// A place for committed rows.
protocol Backend {
  mutating func commit(_ batch: FrozenBatch) throws -> any CommittedRows
  func state() throws -> any CommittedRows
}

/// Rows in a dictionary.
final class MemoryRows: CommittedRows {
  let buckets: [Bucket: [Bytes: Bytes]]

  init(_ buckets: [Bucket: [Bytes: Bytes]]) { self.buckets = buckets }

  func value(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes? { buckets[bucket]?[key] }

  func scan(
    _ bucket: Bucket, from start: Bytes, _ body: (Bytes, Bytes) -> Bool
  ) throws(StoreError) {
    for (key, value) in (buckets[bucket] ?? [:]).sorted(by: { $0.key < $1.key })
    where !(key < start) {
      guard body(key, value) else { return }
    }
  }
}

struct MemoryBackend: Backend {
  private var rows = MemoryRows([:])

  mutating func commit(_ batch: FrozenBatch) throws -> any CommittedRows {
    var buckets = rows.buckets
    for share in batch.changes() {
      for operation in share.operations {
        buckets[share.bucket, default: [:]][operation.key] = operation.value
      }
    }
    rows = MemoryRows(buckets)
    return rows
  }

  func state() throws -> any CommittedRows { rows }
}

/// A database file on a simulated disk.
struct FileBackend: Backend {
  private let store: BackendStore

  init() throws {
    let disk = SimulatedFileSystem()
    try disk.makeDirectory("snap", permissions: 0o700)
    var options = BoltOptions()
    options.mapBytes = 64 << 20
    store = try BackendStore(disk, directory: "snap", options: options)
  }

  mutating func commit(_ batch: FrozenBatch) throws -> any CommittedRows { try store.commit(batch) }
  func state() throws -> any CommittedRows { try store.state() }
}
