import Bolt
import Bytes
import EtcdAPI
import Failpoints
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
  /// Databases whose files lost their names, held so that no reader frees a large file by being the
  /// last that has it open.
  private let replaced = Mutex<[BoltDatabase]>([])

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
    do throws(BoltError) {
      if options.verifiesPages { try verify(opened, path) }
      try createBuckets(opened)
    } catch {
      opened.close()
      throw error
    }
    return opened
  }

  /// Looks at every page. - Throws: `invalid` naming the first that contradicts others.
  private static func verify(_ database: BoltDatabase, _ path: String) throws(BoltError) {
    let problems = try database.read().survey(verifyingKeys: true).problems
    guard let first = problems.first else { return }
    throw BoltError(
      reason: .invalid,
      description:
        "\(path): \(first) (\(problems.count) in all); restore the member from a snapshot, "
        + "or remove it and add it anew")
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
    Failpoint.hit(.commitBeforePreCommitHook)
    let shares = batch.changes()
    Failpoint.hit(.commitAfterPreCommitHook)
    let changes = shares.map { share in
      BoltChange(
        bucket: share.bucket.name,
        operations: share.operations.map { BoltOperation(key: $0.key, value: $0.value) },
        // Revisions only grow: full pages are never split again.
        fillPercent: share.bucket == .key ? 0.9 : 0.5)
    }
    let database = current
    Self.hitBeforeCommit(shares)
    try database.commit(changes)
    Self.hitAfterCommit(shares)
    Failpoint.hit(.beforeStartDBTxn)
    defer { Failpoint.hit(.afterStartDBTxn) }
    return try BoltRows(database.read())
  }

  /// Puts the database that came with a snapshot in place of the present one.
  ///
  /// Readers of the present one keep it. After a crash in between, `open` finishes the move.
  public func install(databaseAt received: String) throws(BoltError) -> BoltRows {
    let old = current
    Failpoint.hit(.raftBeforeApplySnap)
    defer { Failpoint.hit(.raftAfterApplySnap) }
    try Self.disk { () throws(FileError) in
      try fileSystem.rename(received, to: path)
      try fileSystem.syncDirectory(directory)
    }
    Failpoint.hit(.applyBeforeOpenSnapshot)
    defer { Failpoint.hit(.applyAfterOpenSnapshot) }
    return try reopen(retiring: old)
  }

  // MARK: Defragmentation

  /// A copy of the database under way. One thread at a time may use it.
  public struct Defragmentation {
    fileprivate let source: BoltDatabase
    fileprivate let copy: BoltCopy
  }

  private var copyPath: String { directory + "/db.tmp.defrag" }

  /// Copies the database without its free pages, as far as it goes while commits go on.
  ///
  /// For a thread that may wait: readers and commits are not held up.
  /// - Parameter shouldStop: asked now and then; true ends the copy with an error.
  public func copy(
    shouldStop: @escaping @Sendable () -> Bool = { false }
  ) throws(BoltError) -> Defragmentation {
    let source = current
    try Self.fail(.defragOpenFileError)
    try Self.removeLeftover(copyPath, fileSystem)
    Failpoint.hit(.defragBeforeCopy)
    let copy = try BoltCopy(
      of: source.read(), to: copyPath, on: fileSystem, options: options, shouldStop: shouldStop)
    do throws(BoltError) {
      // Each round has only what was committed during the one before.
      for _ in 0..<Self.roundsMax {
        if try copy.follow(source.read()) <= Self.restKeysMax { break }
      }
      try copy.sync()
    } catch {
      copy.abandon()
      try Self.removeLeftover(copyPath, fileSystem)
      throw error
    }
    return Defragmentation(source: source, copy: copy)
  }

  private static let roundsMax = 10
  /// Keys that may be left for `complete`: they take some milliseconds.
  private static let restKeysMax = 2_000

  /// Adds to the copy what was committed since. Made on the thread of the commits, which wait for it; no
  /// commit may come between this and `replace`.
  /// - Returns: false when the database was replaced since the copy began, and the copy is gone.
  /// - Throws: when the copy cannot be completed; nothing is changed then.
  public func complete(_ defragmentation: Defragmentation) throws(BoltError) -> Bool {
    let source = defragmentation.source
    guard source === current else {
      defragmentation.copy.abandon()
      try Self.removeLeftover(copyPath, fileSystem)
      return false
    }
    do throws(BoltError) {
      try Self.fail(.defragdbFail)
      _ = try defragmentation.copy.follow(source.read())
      try defragmentation.copy.finish()
      // While the old one is still in its place.
      if options.verifiesPages { try verifyCopy() }
    } catch {
      defragmentation.copy.abandon()
      try Self.removeLeftover(copyPath, fileSystem)
      throw error
    }
    return true
  }

  /// Puts a completed copy in the database's place; readers keep the old file.
  /// - Returns: the state of the new file.
  /// - Throws: when nobody knows which file a restart will find: what is committed from now on could be lost,
  ///   so the member must end, as etcd does (`backend.defrag`).
  public func replace(by defragmentation: Defragmentation) throws(BoltError) -> BoltRows {
    precondition(defragmentation.source === current, "a copy of another database is put in place")
    Failpoint.hit(.defragBeforeRename)
    try Self.move(copyPath, directory, fileSystem)
    return try reopen(retiring: defragmentation.source)
  }

  private func verifyCopy() throws(BoltError) {
    let copy = try BoltDatabase(fileSystem, path: copyPath, options: options)
    defer { copy.close() }
    try Self.verify(copy, copyPath)
  }

  private static func move(
    _ copy: String, _ directory: String, _ fileSystem: any FileSystem
  ) throws(BoltError) {
    try disk { () throws(FileError) in
      try fileSystem.rename(copy, to: directory + "/db")
      try fileSystem.syncDirectory(directory)
    }
  }

  /// Copies the database `DIRECTORY/db` of a member that does not run without its free pages, and
  /// puts the copy in its place.
  /// - Throws: `locked` when the member runs.
  public static func defragment(
    _ fileSystem: any FileSystem, directory: String, options: BoltOptions
  ) throws(BoltError) {
    let database = try BoltDatabase(fileSystem, path: directory + "/db", options: options)
    defer { database.close() }
    let survey = try database.read().survey(verifyingKeys: true)
    if let problem = survey.problems.first {
      throw BoltError(reason: .invalid, description: "\(directory)/db: \(problem)")
    }
    let path = directory + "/db.tmp.defrag"
    try removeLeftover(path, fileSystem)
    try BoltDatabase.compact(database.read(), to: path, on: fileSystem, options: options)
    try move(path, directory, fileSystem)
  }

  private static func removeLeftover(
    _ path: String, _ fileSystem: any FileSystem
  ) throws(BoltError) {
    try disk { () throws(FileError) in
      if try fileSystem.kind(path) != nil { try fileSystem.remove(path) }
    }
  }

  // MARK: Replaced files

  /// Frees the disk space of replaced databases that nobody reads any more. On the thread of the
  /// commits, which wait for it: a large file takes a while.
  public func releaseReplaced() {
    let waiting = replaced.withLock { $0 }
    guard !waiting.isEmpty else { return }
    let gone = waiting.filter { $0.discard() }
    replaced.withLock { all in all.removeAll { old in gone.contains { $0 === old } } }
  }

  private func reopen(retiring old: BoltDatabase) throws(BoltError) -> BoltRows {
    let fresh = try Self.open(fileSystem, directory, options)
    database.withLock { $0 = fresh }
    replaced.withLock { $0.append(old) }
    return try BoltRows(fresh.read())
  }

  public func close() {
    current.close()
    for old in replaced.withLock({ $0 }) { old.close() }
  }

  private static func disk<R>(_ body: () throws(FileError) -> R) throws(BoltError) -> R {
    do throws(FileError) { return try body() } catch {
      throw BoltError(reason: .file, description: error.description)
    }
  }
}
