import Bolt
import Bytes
import FileSystem
import PeerTransport
import Runtime
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

/// A database on its way in: written to a temporary file on a worker thread, then renamed to
/// `INDEX.snap.db`, where the installation of the snapshot finds it.
///
/// - Source: etcd `snap/db.go` SaveDBFrom.
final class DatabaseSink: SnapshotSink {
  /// Bytes that may wait for the disk.
  private static let queueBytesMax = 4 << 20

  private struct State {
    var queued = 0
    var isPaused = false
    var failure: SnapshotError?
  }

  private let fileSystem = RealFileSystem()
  private let directory: String
  private let temporary: String
  private let final: String
  private let file: any StorageFile
  private let thread: WorkerThread
  private let resume: @Sendable () -> Void
  private let state = Mutex(State())
  private let offset = Mutex(0)

  init(
    directory: String, index: UInt64, thread: WorkerThread, resume: @escaping @Sendable () -> Void
  ) throws(SnapshotError) {
    self.directory = directory
    self.resume = resume
    self.thread = thread
    final = "\(directory)/\(index.hex16).snap.db"
    temporary = "\(directory)/tmp-\(index.hex16).snap.db"
    do throws(FileError) {
      file = try fileSystem.open(temporary, .create(permissions: 0o600))
      try file.truncate(to: 0)
    } catch { throw SnapshotError(error.description) }
  }

  /// Bytes that may wait to be written to the disk.
  private static let writeBackBytes = 4 << 20

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
      try bytes.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: at) }
      // The log's fsyncs wait for what the journal finds unwritten.
      let end = at + bytes.count
      if end / Self.writeBackBytes > at / Self.writeBackBytes { try file.writeBack() }
    } catch { failure = SnapshotError(error.description) }
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
    thread.execute {
      if let failure = self.state.withLock({ $0.failure }) {
        self.discard()
        done(.failure(failure))
        return
      }
      do throws(FileError) {
        try self.file.sync()
        self.file.close()
        try self.fileSystem.rename(self.temporary, to: self.final)
        try self.fileSystem.syncDirectory(self.directory)
        done(.success(()))
      } catch { done(.failure(SnapshotError(error.description))) }
    }
  }

  func abort() {
    thread.execute { self.discard() }
  }

  private func discard() {
    file.close()
    // A leftover is removed with the next clean-up of the directory.
    try? fileSystem.remove(temporary)
  }
}
