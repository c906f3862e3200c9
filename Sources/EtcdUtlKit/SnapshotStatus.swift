import Bolt
import Bytes
import CommandLineTool
import FileSystem
import GoText
import MVCC
import MemberStorage

/// What `snapshot status` tells about a database file.
struct SnapshotStatus: Equatable {
  /// CRC-32C over names of buckets, keys and values, in order.
  var hash: UInt32 = 0
  /// Main revision of the last row of bucket `key`.
  var revision: Int64 = 0
  /// Rows of all buckets.
  var totalKeys = 0
  /// Bytes of the database.
  var totalSize = 0

  /// Checks all pages of a file, then reads it.
  /// - Throws: `CommandFailure` with the reason, and the path where it is not the user's own word.
  /// - Source: etcd 3.5.1 `etcdutl/snapshot/v3_snapshot.go` Status.
  init(_ fileSystem: any FileSystem, path: String) throws(CommandFailure) {
    self = try DatabaseFile.read(fileSystem, path: path) {
      (transaction) throws(CommandFailure) in
      do throws(BoltError) { return try SnapshotStatus(transaction) } catch {
        throw CommandFailure("\(path): \(error.description)")
      }
    }
  }

  private init(_ transaction: BoltReadTransaction) throws(BoltError) {
    totalSize = transaction.size
    for name in try transaction.bucketNames() { try add(name, transaction) }
  }

  private mutating func add(
    _ name: Bytes, _ transaction: BoltReadTransaction
  ) throws(BoltError) {
    guard var cursor = try transaction.bucket(name)?.cursor() else { return }
    hash = CRC32C.update(hash, name)
    let isKeys = name == Bucket.key.name
    try cursor.seekFirst()
    while let row = try cursor.next() {
      hash = CRC32C.update(hash, row.key)
      if !row.isBucket { hash = CRC32C.update(hash, row.value) }
      totalKeys += 1
      guard isKeys else { continue }
      guard let (decoded, _) = Revision.decode(row.key) else {
        throw BoltError(
          reason: .invalid, description: "row \(row.key) of bucket key is no revision")
      }
      revision = decoded.main
    }
  }

  var output: Output {
    Output(items: [
      .init(
        json: "hash", field: "Hash", column: "hash", number: String(hash),
        shown: String(hash, radix: 16)),
      .init(
        json: "revision", field: "Revision", column: "revision", number: String(revision),
        shown: String(revision)),
      .init(
        json: "totalKey", field: "Keys", column: "total keys", number: String(totalKeys),
        shown: String(totalKeys)),
      .init(
        json: "totalSize", field: "Size", column: "total size", number: String(totalSize),
        shown: HumanSize.text(totalSize)),
    ])
  }
}

/// Opening databases of members that do not run, and snapshots.
enum DatabaseFile {
  /// Reads the state of a file, all of whose pages were checked, while no member can start on it.
  static func read<R>(
    _ fileSystem: any FileSystem, path: String,
    _ body: (BoltReadTransaction) throws(CommandFailure) -> R
  ) throws(CommandFailure) -> R {
    try mustExist(fileSystem, path: path)
    var options = BoltOptions()
    options.isReadOnly = true
    let database: BoltDatabase
    do throws(BoltError) {
      database = try BoltDatabase(fileSystem, path: path, options: options)
    } catch { throw CommandFailure(error.description) }
    defer { database.close() }
    let transaction = database.read()
    do throws(BoltError) { try check(transaction) } catch {
      throw CommandFailure("\(path): \(error.description)")
    }
    return try body(transaction)
  }

  static func check(_ transaction: BoltReadTransaction) throws(BoltError) {
    let problems = try transaction.survey(verifyingKeys: true).problems
    guard problems.isEmpty else {
      throw BoltError(
        reason: .invalid,
        description: "snapshot file integrity check failed. \(problems.count) errors found.\n"
          + problems.joined(separator: "\n"))
    }
  }

  static func mustExist(_ fileSystem: any FileSystem, path: String) throws(CommandFailure) {
    let kind: FileKind?
    do throws(FileError) { kind = try fileSystem.kind(path) } catch {
      throw CommandFailure(error.goDescription)
    }
    switch kind {
    case nil: throw CommandFailure("stat \(path): no such file or directory")
    case .directory: throw CommandFailure("open \(path): is a directory")
    case .file, .other: return
    }
  }
}

extension EtcdUtl {
  static func statusCommand(_ world: World) -> Command {
    var status = Command(
      "status <filename>", short: "Gets backend snapshot status of a given file")
    status.run = { (invocation) throws(CommandFailure) in try showStatus(world, invocation) }
    return status
  }

  /// What `snapshot status` does, here and in etcdctl.
  package static func showStatus(
    _ world: World, _ invocation: Invocation
  ) throws(CommandFailure) {
    guard invocation.arguments.count == 1 else {
      throw CommandFailure(
        "snapshot status requires exactly one argument", exitCode: CommandFailure.badArguments)
    }
    let format = try Output.format(invocation)
    let status = try SnapshotStatus(world.fileSystem, path: invocation.arguments[0])
    invocation.console.print(try status.output.text(format))
  }
}
