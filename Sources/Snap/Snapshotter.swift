import Bytes
import EtcdAPI
import FileSystem
import Protobuf

/// The directory of raft snapshots: `TERM-INDEX.snap` files, and database files received from a
/// leader as `INDEX.snap.db`.
///
/// - Source: etcd `snap/snapshotter.go`, `snap/db.go`.
public struct Snapshotter: Sendable {
  private let fileSystem: any FileSystem
  public let directory: String
  private let noSync: Bool

  /// A snapshot file holds the v2 store as JSON; a larger one is refused.
  public static let fileBytesMax = 1 << 30

  public init(_ fileSystem: any FileSystem, directory: String, noSync: Bool = false) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.noSync = noSync
  }

  /// Name of the file for a snapshot.
  public static func name(term: UInt64, index: UInt64) -> String {
    "\(term.hex16)-\(index.hex16).snap"
  }

  /// Path of the database file that came with the snapshot of an index.
  public func databasePath(index: UInt64) -> String { "\(directory)/\(index.hex16).snap.db" }

  /// Writes a snapshot durably. The empty snapshot is not written.
  public func save(_ snapshot: Raftpb.Snapshot) throws(SnapError) {
    guard snapshot.metadata.index > 0 else { return }
    let data = snapshot.encoded()
    let wrapped = Snappb.Snapshot(crc: CRC32C.update(0, data), data: data).encoded()
    let name = Self.name(term: snapshot.metadata.term, index: snapshot.metadata.index)
    try disk { () throws(FileError) in
      let temporary = "\(directory)/tmp-\(name)"
      let file = try fileSystem.open(temporary, .create(permissions: 0o600))
      defer { file.close() }
      try file.truncate(to: 0)
      try wrapped.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
      if !noSync { try file.sync() }
      try fileSystem.rename(temporary, to: "\(directory)/\(name)")
      if !noSync { try fileSystem.syncDirectory(directory) }
    }
  }

  /// The newest good snapshot that the log vouches for; `nil` when there is none.
  ///
  /// A damaged file is renamed to `NAME.broken`, and the one before it is tried.
  /// - Parameter recorded: snapshots recorded in the log (`WAL.validSnapshots`).
  public func loadNewest(
    recorded: [Walpb.Snapshot]
  ) throws(SnapError) -> (Raftpb.Snapshot, broken: [String])? {
    var broken: [String] = []
    for name in try names() {
      let snapshot: Raftpb.Snapshot
      do throws(SnapError) { snapshot = try read(name) } catch {
        guard !error.isFile else { throw error }
        try disk { () throws(FileError) in
          try fileSystem.rename("\(directory)/\(name)", to: "\(directory)/\(name).broken")
        }
        broken.append(error.description)
        continue
      }
      let known = recorded.contains {
        $0.index == snapshot.metadata.index && $0.term == snapshot.metadata.term
      }
      if known { return (snapshot, broken) }
    }
    return nil
  }

  /// Names of snapshot files, newest first.
  public func names() throws(SnapError) -> [String] {
    let all = try disk { () throws(FileError) in try fileSystem.list(directory) }
    return all.filter { $0.hasSuffix(".snap") && !$0.hasPrefix("tmp") }.sorted(by: >)
  }

  /// Reads and verifies one file.
  public func read(_ name: String) throws(SnapError) -> Raftpb.Snapshot {
    let path = "\(directory)/\(name)"
    let bytes = try disk { () throws(FileError) in
      try fileSystem.readFile(path, limit: Self.fileBytesMax)
    }
    guard !bytes.isEmpty else { throw SnapError("snap: empty snapshot: \(path)") }
    do {
      let wrapped = try Snappb.Snapshot.decode(bytes)
      let data = wrapped.data
      guard !data.isEmpty, wrapped.crc != 0 else {
        throw SnapError("snap: empty snapshot: \(path)")
      }
      let crc = CRC32C.update(0, data)
      guard crc == wrapped.crc else {
        throw SnapError(
          "snap: crc mismatch: \(path) says \(String(wrapped.crc, radix: 16)), its data "
            + "has \(String(crc, radix: 16))")
      }
      return try Raftpb.Snapshot.decode(data)
    } catch let error as SnapError {
      throw error
    } catch {
      throw SnapError("snap: \(path) is not decodable: \(error)")
    }
  }

  /// Removes what interrupted writes and transfers left. Only before anything is received: a database
  /// on its way in has such a name.
  public func cleanLeftovers() throws(SnapError) {
    let all = try disk { () throws(FileError) in try fileSystem.list(directory) }
    for name in all where name.hasPrefix("tmp") { try remove(name) }
  }

  /// Removes received databases older than a snapshot, and of the snapshots up to it all but the newest
  /// `keep`. Newer files stay: the log may not vouch for them.
  /// - Parameters:
  ///   - keep: 0 keeps all.
  ///   - newest: the newest snapshot that the log vouches for.
  public func clean(keep: Int, newest: Raftpb.SnapshotMetadata) throws(SnapError) {
    let all = try disk { () throws(FileError) in try fileSystem.list(directory) }
    for name in all {
      let orphan =
        name.hasSuffix(".snap.db")
        && (UInt64(name.dropLast(8), radix: 16).map { $0 < newest.index } ?? false)
      if orphan { try remove(name) }
    }
    guard keep > 0 else { return }
    let last = Self.name(term: newest.term, index: newest.index)
    for name in try names().drop(while: { $0 > last }).dropFirst(keep) { try remove(name) }
  }

  private func remove(_ name: String) throws(SnapError) {
    try disk { () throws(FileError) in try fileSystem.remove("\(directory)/\(name)") }
  }

  private func disk<R>(_ body: () throws(FileError) -> R) throws(SnapError) -> R {
    do throws(FileError) { return try body() } catch {
      throw SnapError("snap: \(error.description)", isFile: true)
    }
  }
}

/// A snapshot file that cannot be read or written; the text names it.
public struct SnapError: Error, Sendable, CustomStringConvertible {
  public let description: String
  /// The disk refused, as opposed to the file being damaged.
  public let isFile: Bool

  init(_ description: String, isFile: Bool = false) {
    self.description = description
    self.isFile = isFile
  }
}
