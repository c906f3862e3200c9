import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Snap
import Synchronization

/// The database file of a member. Writes are made by one storage thread; `state` is for any thread.
public final class BackendStore: Sendable {
  private let fileSystem: any FileSystem
  private let directory: String
  private let options: BoltOptions
  private let database: Mutex<BoltDatabase>

  private var path: String { directory + "/db" }

  /// Opens `DIRECTORY/db`, creating it and its buckets when missing.
  public init(
    _ fileSystem: any FileSystem, directory: String, options: BoltOptions
  ) throws(BoltError) {
    self.fileSystem = fileSystem
    self.directory = directory
    self.options = options
    database = Mutex(try Self.open(fileSystem, directory, options))
  }

  private static func open(
    _ fileSystem: any FileSystem, _ directory: String, _ options: BoltOptions
  ) throws(BoltError) -> BoltDatabase {
    let path = directory + "/db"
    if try disk({ () throws(FileError) in try fileSystem.kind(path) }) == nil {
      try create(fileSystem, path, options)
    }
    // A process that was killed may have put a database in place without making that durable.
    if !options.noSync {
      try disk { () throws(FileError) in try fileSystem.syncDirectory(directory) }
    }
    let opened = try BoltDatabase(fileSystem, path: path, options: options)
    do throws(BoltError) { try createBuckets(opened) } catch {
      opened.close()
      throw error
    }
    return opened
  }

  /// Makes an empty database under another name first, so that a half-made one never stands there.
  private static func create(
    _ fileSystem: any FileSystem, _ path: String, _ options: BoltOptions
  ) throws(BoltError) {
    let temporary = path + ".tmp.create"
    try disk { () throws(FileError) in
      if try fileSystem.kind(temporary) != nil { try fileSystem.remove(temporary) }
    }
    try BoltDatabase(fileSystem, path: temporary, options: options).close()
    try disk { () throws(FileError) in try fileSystem.rename(temporary, to: path) }
  }

  private static func createBuckets(_ database: BoltDatabase) throws(BoltError) {
    let present = try database.read().bucketNames()
    let missing = Bucket.allCases.filter { !present.contains($0.name) }
    if !missing.isEmpty { try database.commit(missing.map { BoltChange(bucket: $0.name) }) }
  }

  private var current: BoltDatabase { database.withLock { $0 } }

  /// The newest durable state.
  public func state() throws(BoltError) -> BoltRows { try BoltRows(current.read()) }

  /// Bytes of the file in use by the database, and of those the bytes not free.
  public var sizes: (total: Int, inUse: Int) { current.sizes }

  public var openReaders: Int { current.openReaders }

  /// Makes a batch durable: data, applied index and term in one commit.
  public func commit(_ batch: FrozenBatch) throws(BoltError) -> BoltRows {
    let changes = batch.changes().map { share in
      BoltChange(
        bucket: share.bucket.name,
        operations: share.operations.map { BoltOperation(key: $0.key, value: $0.value) },
        // Revisions only grow: full pages are never split again.
        fillPercent: share.bucket == .key ? 0.9 : 0.5)
    }
    let database = current
    try database.commit(changes)
    return try BoltRows(database.read())
  }

  /// Puts the database that came with a snapshot in place of the present one.
  ///
  /// Readers of the present one keep it. After a crash in between, `open` finishes the move.
  public func install(databaseAt received: String) throws(BoltError) -> BoltRows {
    let old = current
    old.close()
    try Self.disk { () throws(FileError) in
      try fileSystem.rename(received, to: path)
      try fileSystem.syncDirectory(directory)
    }
    return try reopen()
  }

  /// Copies the database without its free pages and puts the copy in its place.
  ///
  /// Reads go on meanwhile on the old file; commits wait for the storage thread.
  public func defragment() throws(BoltError) -> BoltRows {
    try Self.replaceByCopy(current, fileSystem, directory, options)
    return try reopen()
  }

  /// Copies the database `DIRECTORY/db` of a member that does not run without its free pages, and
  /// puts the copy in its place.
  /// - Throws: `locked` when the member runs.
  public static func defragment(
    _ fileSystem: any FileSystem, directory: String, options: BoltOptions
  ) throws(BoltError) {
    let database = try BoltDatabase(fileSystem, path: directory + "/db", options: options)
    do throws(BoltError) {
      let survey = try database.read().survey(verifyingKeys: true)
      if let problem = survey.problems.first {
        throw BoltError(reason: .invalid, description: "\(directory)/db: \(problem)")
      }
      try replaceByCopy(database, fileSystem, directory, options)
    } catch {
      database.close()
      throw error
    }
  }

  /// Closes the database that it replaces.
  private static func replaceByCopy(
    _ old: BoltDatabase, _ fileSystem: any FileSystem, _ directory: String, _ options: BoltOptions
  ) throws(BoltError) {
    let copy = directory + "/db.tmp.defrag"
    try disk { () throws(FileError) in
      if try fileSystem.kind(copy) != nil { try fileSystem.remove(copy) }
    }
    try BoltDatabase.compact(old.read(), to: copy, on: fileSystem, options: options)
    try disk { () throws(FileError) in
      try fileSystem.rename(copy, to: directory + "/db")
      try fileSystem.syncDirectory(directory)
    }
    old.close()
  }

  private func reopen() throws(BoltError) -> BoltRows {
    let fresh = try Self.open(fileSystem, directory, options)
    database.withLock { $0 = fresh }
    return try BoltRows(fresh.read())
  }

  public func close() { current.close() }

  private static func disk<R>(_ body: () throws(FileError) -> R) throws(BoltError) -> R {
    do throws(FileError) { return try body() } catch {
      throw BoltError(reason: .file, description: error.description)
    }
  }
}
