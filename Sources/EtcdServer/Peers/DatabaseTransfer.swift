import Bolt
import Bytes
import EtcdAPI
import EventLoops
import FileSystem
import MVCC
import MemberStorage
import PeerTransport
import Synchronization

/// A state of the database on its way to a peer.
final class DatabaseSource: SnapshotSource {
  private let transaction: BoltReadTransaction

  init(_ transaction: BoltReadTransaction) { self.transaction = transaction }

  var totalSize: Int { transaction.size }

  func read(offset: Int, count: Int) throws(SnapshotError) -> Bytes {
    transaction.snapshotBytes(at: offset, count: count)
  }

  func close() {}
}

/// A database on its way in: written to a temporary file of its own on a worker thread, looked at, then
/// renamed to `INDEX.snap.db`, where the installation of the snapshot finds it.
///
/// Two transfers of one index never share a file: a leader that hung sends again.
///
/// - Source: etcd `snap/db.go` SaveDBFrom.
final class DatabaseSink: SnapshotSink {
  /// Bytes that may wait for the disk.
  private static let queueBytesMax = 4 << 20
  /// Bytes after which the system is asked to write: the log's fsyncs wait for what the journal finds
  /// unwritten; and after which the disk's room is looked at.
  private static let writeBackBytes = 4 << 20
  /// Room that a database on its way leaves on the disk, for two segments of the log: whoever sends without
  /// end must not end the member.
  static let freeBytesLimit = 128 << 20

  private struct State {
    var queued = 0
    var isPaused = false
    var failure: SnapshotError?
  }

  private let fileSystem = RealFileSystem()
  private let freeBytes: @Sendable (String) throws(FileError) -> Int
  private let directory: String
  private let index: UInt64
  private let temporary: String
  private let destination: String
  private let file: any StorageFile
  private let thread: WorkerThread
  private let metrics: DiskMetrics
  private let began = ContinuousClock.now
  private let resume: @Sendable () -> Void
  private let state = Mutex(State())
  /// Where the next bytes go; on `thread`.
  private let offset = Mutex(0)
  /// Whether `file` is open: its descriptor's number may be another file's as soon as it is closed.
  private let isOpen = Mutex(true)

  /// - Parameters:
  ///   - index: that of the snapshot to which the database belongs.
  ///   - freeBytes: room on the disk that holds a directory.
  /// - Throws: when the temporary file cannot be made.
  init(
    directory: String, index: UInt64, thread: WorkerThread, metrics: DiskMetrics,
    freeBytes: @escaping @Sendable (String) throws(FileError) -> Int = { path throws(FileError) in
      try RealFileSystem().freeBytes(path)
    },
    resume: @escaping @Sendable () -> Void
  ) throws(SnapshotError) {
    self.directory = directory
    self.index = index
    self.metrics = metrics
    self.resume = resume
    self.freeBytes = freeBytes
    self.thread = thread
    destination = "\(directory)/\(index.hex16).snap.db"
    // Names that begin so are removed at the next start.
    temporary = "\(directory)/tmp-\(index.hex16)-\(UInt64.random(in: 0 ... .max).hex16).snap.db"
    do throws(FileError) {
      file = try fileSystem.open(temporary, .createNew(permissions: 0o600))
    } catch { throw SnapshotError(error.description) }
  }

  func write(_ bytes: Bytes) throws(SnapshotError) -> Bool {
    let (failure, hasRoom) = state.withLock { state in
      state.queued += bytes.count
      state.isPaused = state.queued > Self.queueBytesMax
      return (state.failure, !state.isPaused)
    }
    if let failure { throw failure }
    thread.execute { self.save(bytes) }
    return hasRoom
  }

  private func save(_ bytes: Bytes) {
    let at = offset.withLock { offset in
      defer { offset += bytes.count }
      return offset
    }
    var failure: SnapshotError?
    do throws(FileError) {
      // Behind a failure nothing is written.
      guard state.withLock({ $0.failure == nil }) else { return noteSaved(bytes, nil) }
      try bytes.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: at) }
      let end = at + bytes.count
      if end / Self.writeBackBytes > at / Self.writeBackBytes {
        try file.writeBack()
        let free = try freeBytes(directory)
        if free < Self.freeBytesLimit {
          failure = SnapshotError(
            "a database on its way in would fill the disk: \(end) bytes came, \(free) are free, "
              + "\(Self.freeBytesLimit) are kept for the log")
        }
      }
    } catch { failure = SnapshotError(error.description) }
    noteSaved(bytes, failure)
  }

  private func noteSaved(_ bytes: Bytes, _ failure: SnapshotError?) {
    let wakes = state.withLock { state in
      state.queued -= bytes.count
      if let failure { state.failure = failure }
      guard state.isPaused, state.queued <= Self.queueBytesMax / 2 else { return false }
      state.isPaused = false
      return true
    }
    if wakes { resume() }
  }

  func finish(_ done: @escaping @Sendable (Result<Void, SnapshotError>) -> Void) {
    thread.execute { done(self.putInPlace()) }
  }

  private func putInPlace() -> Result<Void, SnapshotError> {
    do throws(SnapshotError) {
      if let failure = state.withLock({ $0.failure }) { throw failure }
      let start = ContinuousClock.now
      do throws(FileError) { try file.sync() } catch { throw SnapshotError(error.description) }
      metrics.databaseFsync.observe(ContinuousClock.now - start)
      try check()
      do throws(FileError) {
        closeFile()
        try fileSystem.rename(temporary, to: destination)
        try fileSystem.syncDirectory(directory)
      } catch { throw SnapshotError(error.description) }
      metrics.databaseSave.observe(ContinuousClock.now - began)
      return .success(())
    } catch {
      discard()
      return .failure(error)
    }
  }

  /// Refuses what is no database, is damaged, or of another index than the snapshot, before raft hears of it:
  /// once a snapshot is in the log, the member cannot start without the database that belongs to it.
  ///
  /// A member of etcd that leads while it still replays its log sends the state of its file with the index that
  /// it has applied. Such a database is newer than the log would be after a crash, which looks like a log that
  /// lost its end; the leader sends again, and has caught up by then.
  private func check() throws(SnapshotError) {
    let held: UInt64
    do throws(BoltError) {
      var options = BoltOptions()
      options.isReadOnly = true
      let database = try BoltDatabase(fileSystem, path: temporary, options: options)
      defer { database.close() }
      let state = database.read()
      let names = try state.bucketNames()
      for bucket in [Bucket.key, .meta] where !names.contains(bucket.name) {
        throw BoltError(reason: .invalid, description: "there is no bucket \(bucket)")
      }
      if let problem = try state.survey(problemsMax: 1).problems.first {
        throw BoltError(reason: .invalid, description: problem)
      }
      held = try consistentIndex(BoltRows(state))
    } catch {
      throw SnapshotError(
        "what came with the snapshot is no database of etcd: \(error.description)")
    }
    guard held == index else {
      throw SnapshotError(
        "the database that came with the snapshot at index \(index) is "
          + "\(held < index ? "older" : "newer"): it is at index \(held)")
    }
  }

  private func consistentIndex(_ rows: BoltRows) throws(BoltError) -> UInt64 {
    let store = MVCCStore(committed: rows)
    do throws(StoreError) { return try store.consistentIndex().rawValue } catch {
      throw BoltError(reason: .invalid, description: "\(error)")
    }
  }

  func abort() {
    thread.execute { self.discard() }
  }

  private func closeFile() {
    let wasOpen = isOpen.withLock { isOpen in
      defer { isOpen = false }
      return isOpen
    }
    if wasOpen { file.close() }
  }

  private func discard() {
    closeFile()
    // A leftover is removed with the next clean-up of the directory.
    try? fileSystem.remove(temporary)
  }
}
