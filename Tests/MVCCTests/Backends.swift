import Bolt
import Bytes
import MVCC
import MemberStorage
import Simulation
import TestSupport

/// A place for committed rows.
protocol Backend {
  mutating func commit(_ batch: FrozenBatch) throws -> any CommittedRows
  func state() throws -> any CommittedRows
}

struct MemoryBackend: Backend {
  private var rows = MemoryRows([:])

  mutating func commit(_ batch: FrozenBatch) throws -> any CommittedRows {
    rows = rows.applying(batch)
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
