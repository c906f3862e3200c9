import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Simulation

@testable import Bolt
@testable import Snap
@testable import WAL

extension FuzzTarget {
  /// Files that a member reads, in memory.
  static let storage: [FuzzTarget] = [
    FuzzTarget("wal") { bytes in
      var reader = SegmentReader(path: "wal", bytes: bytes, isLast: true, crc: 0)
      while case .record? = try? reader.next() {}
      let files = SimulatedFileSystem()
      guard
        (try? put(bytes, files, "wal/0000000000000000-0000000000000000.wal")) != nil
      else { return }
      for isLenient in [false, true] {
        let reader = WALReader(fileSystem: files, directory: "wal")
        guard let names = try? reader.segments() else { continue }
        _ = try? reader.read(names, from: Walpb.Snapshot(), isLenient: isLenient)
      }
    },
    FuzzTarget("snap") { bytes in
      let files = SimulatedFileSystem()
      let name = Snapshotter.name(term: 1, index: 1)
      guard (try? put(bytes, files, "snap/\(name)")) != nil else { return }
      _ = try? Snapshotter(files, directory: "snap").read(name)
    },
    FuzzTarget("bolt", seeds: [database]) { bytes in
      let files = SimulatedFileSystem()
      var options = BoltOptions()
      options.isReadOnly = true
      guard (try? put(bytes, files, "db/db")) != nil,
        let found = try? BoltDatabase(files, path: "db/db", options: options)
      else { return }
      let transaction = found.read()
      _ = try? transaction.survey(verifyingKeys: true, problemsMax: 16)
      found.close()
    },
    FuzzTarget("revision") { bytes in _ = Revision.decode(bytes) },
  ]

  private static func put(
    _ bytes: Bytes, _ files: SimulatedFileSystem, _ path: String
  ) throws(FileError) {
    try files.makeDirectory(String(path.prefix { $0 != "/" }), permissions: 0o700)
    let file = try files.open(path, .create(permissions: 0o600))
    defer { file.close() }
    try bytes.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
  }

  /// A small one, with a bucket of two pages.
  private static var database: Bytes {
    let files = SimulatedFileSystem()
    var options = BoltOptions()
    options.mapBytes = 1 << 20
    guard (try? files.makeDirectory("db", permissions: 0o700)) != nil,
      let made = try? BoltDatabase(files, path: "db/db", options: options)
    else { preconditionFailure("no database could be made in memory") }
    defer { made.close() }
    let operations = (0..<200).map { number in
      BoltOperation(
        key: Bytes("key\(1_000 + number)"), value: Bytes(Array(repeating: 7, count: 20)))
    }
    guard (try? made.commit([BoltChange(bucket: "key", operations: operations)])) != nil,
      let whole = try? files.readFile("db/db", limit: 1 << 20)
    else { preconditionFailure("no database could be written in memory") }
    return whole
  }
}
