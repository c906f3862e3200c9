import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Protobuf
import WAL

/// The version of etcd whose fields a member's database has: 3.6 writes it down, 3.5 does not.
///
/// - Source: etcd 3.6 `storage/schema/schema.go`, `migration.go`, `storage/wal/version.go`.
public struct StorageVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let major: Int
  public let minor: Int

  public static let release35 = StorageVersion(major: 3, minor: 5)
  public static let release36 = StorageVersion(major: 3, minor: 6)

  public init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// Reads `X.Y` and `X.Y.Z`; `nil` for anything else.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in
      part.utf8.allSatisfy { (48...57).contains($0) } ? Int(part) : nil
    }
    guard (2...3).contains(parts.count), numbers.count == parts.count else { return nil }
    self.init(major: numbers[0], minor: numbers[1])
  }

  public static func < (a: StorageVersion, b: StorageVersion) -> Bool {
    a.major != b.major ? a.major < b.major : a.minor < b.minor
  }

  /// `3.6`.
  public var description: String { "\(major).\(minor)" }

  /// The minor version before.
  var previous: StorageVersion { StorageVersion(major: major, minor: minor &- 1) }

  static let key: Bytes = "storageVersion"

  /// The version of a database.
  /// - Throws: when it is older than 3.5, or the row is no version.
  public static func detect(_ state: BoltReadTransaction) throws(StorageError) -> StorageVersion {
    do {
      guard let meta = try state.bucket(Bucket.meta.name) else {
        throw StorageError("missing term information")
      }
      if let row = try meta.get(key) {
        guard let version = StorageVersion(row.string) else {
          throw StorageError("row storageVersion of bucket meta is no version: \(row)")
        }
        return version
      }
      var term = try meta.get("term").map(ByteReader.init)
      guard let value = term?.readBigEndian(UInt64.self), value > 0 else {
        throw StorageError("missing term information")
      }
      return .release35
    } catch let error as StorageError { throw error } catch { throw StorageError("\(error)") }
  }

  /// The newest version that a database says it is of, itself or its cluster; `nil` when it says nothing.
  public static func marked(_ state: BoltReadTransaction) throws -> StorageVersion? {
    let rows = [
      try state.bucket(Bucket.meta.name)?.get(key),
      try state.bucket(Bucket.cluster.name)?.get("clusterVersion"),
    ]
    return rows.compactMap { $0.flatMap { StorageVersion($0.string) } }.max()
  }

  /// Oldest version that understands the entries of a log behind its newest snapshot; `nil` when any
  /// 3.5 does.
  public static func needed(
    _ fileSystem: any FileSystem, walDirectory: String
  ) throws(StorageError) -> StorageVersion? {
    do {
      let snapshots = try WAL.validSnapshots(fileSystem, directory: walDirectory)
      let contents = try WAL.contents(
        fileSystem, directory: walDirectory, from: snapshots.last ?? Walpb.Snapshot())
      var needed: StorageVersion?
      for entry in contents.entries where entry.type == .normal && !entry.data.isEmpty {
        guard let request = try? Etcdserverpb.InternalRaftRequest.decode(entry.data),
          let test = request.downgradeVersionTest
        else { continue }
        let version = Swift.max(.release36, StorageVersion(test.ver) ?? .release36)
        needed = Swift.max(needed ?? version, version)
      }
      return needed
    } catch { throw StorageError("\(error)") }
  }

  /// Makes a database one of this version: 3.5 or 3.6.
  public func write(to database: BoltDatabase) throws(BoltError) {
    let value = self < .release36 ? nil : Bytes("\(major).\(minor).0")
    try database.commit([
      BoltChange(
        bucket: Bucket.meta.name, operations: [BoltOperation(key: Self.key, value: value)])
    ])
  }
}
