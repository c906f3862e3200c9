import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC
import MemberStorage
import Simulation
import Testing

/// A database that is replaced while it is copied.
@Suite struct ReplacementTests {
  private static func open(_ disk: SimulatedFileSystem, _ directory: String) throws -> BackendStore
  {
    try disk.makeDirectory(directory, permissions: 0o700)
    var options = BoltOptions()
    options.mapBytes = 64 << 20
    return try BackendStore(disk, directory: directory, options: options)
  }

  private static func write(_ value: Bytes, into backend: BackendStore) throws {
    var store = MVCCStore(committed: try backend.state())
    store.put(.cluster, "k", value)
    _ = try backend.commit(store.freeze(appliedIndex: 1, term: 1))
  }

  /// What a leader sent stays, and the copy of what was before is dropped.
  /// - Source: etcd issues 20271 and 20553.
  @Test func aCopyOfAReplacedDatabaseIsDropped() throws {
    let disk = SimulatedFileSystem()
    let backend = try Self.open(disk, "snap")
    try Self.write("old", into: backend)
    let sent = try Self.open(disk, "other")
    try Self.write("new", into: sent)
    sent.close()
    let bytes = try disk.readFile("other/db", limit: 64 << 20)
    let received = try disk.open("snap/received", .createNew(permissions: 0o600))
    try bytes.withUnsafeBytes { (memory) throws(FileError) in try received.write(memory, at: 0) }
    received.close()

    let copy = try backend.copy()
    _ = try backend.install(databaseAt: "snap/received")
    let isCompleted = try backend.complete(copy)
    #expect(!isCompleted)
    #expect(try backend.state().value(.cluster, "k") == "new")
    #expect(try disk.kind("snap/db.tmp.defrag") == nil)
    backend.close()
  }
}
