import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Protobuf
import Raft
import Snap
import WAL

/// Where and how a member keeps its data.
///
/// ```
/// DATA/member/snap/db   TERM-INDEX.snap   INDEX.snap.db        DATA/member/wal/SEQ-INDEX.wal
/// ```
public struct MemberDirectory: Sendable {
  public let fileSystem: any FileSystem
  public let dataDirectory: String
  /// Log directory when it is not inside the data directory.
  public let walDirectory: String
  public var noSync = false
  public var segmentBytes = WAL.segmentBytes
  public var snapshotsKept = 5
  public var segmentsKept = 5
  public var bolt = BoltOptions()
  /// Who builds the index of a large store.
  public var workers = Workers.serial

  public var memberDirectory: String { dataDirectory + "/member" }
  public var snapDirectory: String { memberDirectory + "/snap" }
  public var databasePath: String { snapDirectory + "/db" }

  public init(_ fileSystem: any FileSystem, dataDirectory: String, walDirectory: String = "") {
    self.fileSystem = fileSystem
    self.dataDirectory = dataDirectory
    self.walDirectory = Self.walDirectory(walDirectory, dataDirectory)
  }

  /// Where the log is.
  /// - Parameter given: empty for the place inside of the data directory.
  static func walDirectory(_ given: String, _ dataDirectory: String) -> String {
    given.isEmpty ? dataDirectory + "/member/wal" : given
  }

  /// What was read from disk, ready to run.
  public struct Opened {
    public let log: LogStore
    public let backend: BackendStore
    /// Log in memory, as raft wants it.
    public internal(set) var storage: MemoryStorage
    /// The snapshot that the log begins with; empty when there is none.
    public let snapshot: Raftpb.Snapshot
    public internal(set) var store: MVCCStore
    public internal(set) var rows: BoltRows
    public let consistentIndex: LogIndex
    public let memberID: MemberID
    public let clusterID: UInt64
    /// Repairs that were made, for the log.
    public let notes: [String]
    /// Whether the log was created and never written to: the founders are not in it.
    public var isEmpty: Bool { snapshot.metadata.index == 0 && storage.lastIndex == 0 }

    /// Bytes of the database, and of those the bytes not free, which take a walk over its pages: before
    /// the first commit nobody has counted them.
    /// - Throws: `StorageError` naming the file.
    public func databaseSizes() throws(StorageError) -> (total: Int, inUse: Int) {
      do throws(BoltError) {
        let free = try rows.transaction.survey().unreachableBytes
        let total = backend.sizes.total
        return (total, total - Swift.min(free, total))
      } catch { throw StorageError("failed to count free pages: \(error)") }
    }

    /// Rewrites the database without its free pages, before anything else uses it.
    /// - Throws: `StorageError` naming the file; nothing may be written then.
    public mutating func defragment() throws(StorageError) {
      do throws(BoltError) {
        let copy = try backend.copy()
        guard try backend.complete(copy) else {
          preconditionFailure("a database that nobody else uses was replaced")
        }
        let fresh = try backend.replace(by: copy)
        rows = fresh
        store.replaceCommitted(fresh)
        backend.releaseReplaced()
      } catch { throw StorageError("failed to defragment: \(error)") }
    }
  }

  /// Whether the directory holds a member.
  public func holdsMember() throws(StorageError) -> Bool {
    try wrap { try WAL.exists(fileSystem, directory: walDirectory) }
  }

  /// Creates the directories, the log and an empty backend.
  public func create(memberID: MemberID, clusterID: UInt64) throws(StorageError) -> Opened {
    try wrap {
      try makeDirectories()
      let metadata = Etcdserverpb.Metadata(nodeID: memberID.rawValue, clusterID: clusterID)
        .encoded()
      let backend = try openBackend()
      let rows = try backend.state()
      let store = try MVCCStore.restore(from: rows, workers: workers)
      do { try Self.checkFresh(store, snapDirectory) } catch {
        backend.close()
        throw error
      }
      let wal = try WAL.create(
        fileSystem, directory: walDirectory, metadata: metadata, segmentBytes: segmentBytes,
        noSync: noSync)
      return Opened(
        log: logStore(wal), backend: backend, storage: MemoryStorage(),
        snapshot: Raftpb.Snapshot(), store: store, rows: rows,
        consistentIndex: try store.consistentIndex(), memberID: memberID, clusterID: clusterID,
        notes: [])
    }
  }

  /// Opens a member: newest good snapshot, log behind it, backend, index.
  /// - Throws: `StorageError` naming file, offset and reason.
  public func open() throws(StorageError) -> Opened {
    try wrap {
      try fileSystem.makeDirectory(snapDirectory, permissions: 0o700)
      // The lock of the database comes first: it keeps other processes out of all that follows.
      let backend = try openBackend()
      do { return try open(backend) } catch {
        backend.close()
        throw error
      }
    }
  }

  private func open(_ backend: BackendStore) throws -> Opened {
    var notes: [String] = []
    let snapshotter = Snapshotter(fileSystem, directory: snapDirectory, noSync: noSync)
    try snapshotter.cleanLeftovers()
    let recorded = try WAL.validSnapshots(fileSystem, directory: walDirectory)
    var snapshot = Raftpb.Snapshot()
    if let (found, broken) = try snapshotter.loadNewest(recorded: recorded) {
      snapshot = found
      notes += broken.map { "renamed a damaged snapshot file to .broken: \($0)" }
    }
    try finishInstallation(of: snapshot, snapshotter, backend, &notes)
    let rows = try backend.state()
    let store = try MVCCStore.restore(from: rows, workers: workers)
    let consistentIndex = try store.consistentIndex()
    guard consistentIndex.rawValue >= snapshot.metadata.index else {
      throw StorageError(
        "failed to recover v3 backend from snapshot: failed to find database snapshot file (snap: "
          + "snapshot file doesn't exist): the database in \(snapDirectory) is at index "
          + "\(consistentIndex), the snapshot at \(snapshot.metadata.index)")
    }
    let (wal, contents, repaired) = try WAL.open(
      fileSystem, directory: walDirectory,
      from: Walpb.Snapshot(index: snapshot.metadata.index, term: snapshot.metadata.term),
      segmentBytes: segmentBytes, noSync: noSync)
    if repaired { notes.append("repaired the torn end of the log in \(walDirectory)") }
    let metadata = try Etcdserverpb.Metadata.decode(contents.metadata)
    let storage = try memoryStorage(snapshot, contents, consistentIndex)
    // A snapshot counts only when the log knows its index as committed: a raised commit index must
    // be in the log before the record of a snapshot that is taken at it.
    wal.append(state: storage.hardState, entries: [])
    let log = logStore(wal)
    // A process that died before it did, or that kept more; opening has made the record of it durable.
    try log.clean(behind: snapshot.metadata)
    return Opened(
      log: log, backend: backend, storage: storage, snapshot: snapshot,
      store: store, rows: rows, consistentIndex: consistentIndex,
      memberID: MemberID(metadata.nodeID), clusterID: metadata.clusterID, notes: notes)
  }

  private func logStore(_ wal: WAL) -> LogStore {
    LogStore(
      wal: wal,
      snapshotter: Snapshotter(fileSystem, directory: snapDirectory, noSync: noSync),
      snapshotsKept: snapshotsKept, segmentsKept: segmentsKept)
  }

  /// Directories and what makes them reachable are durable before the log in them comes to be: a
  /// member that lost its directory would vote again in terms it voted in.
  private func makeDirectories() throws(FileError) {
    var missing: [String] = []
    var path = dataDirectory
    while try fileSystem.kind(path) == nil {
      missing.append(path)
      path = parent(of: path)
    }
    // A process that was killed may have made the last ones without making them durable.
    if missing.isEmpty { missing = [dataDirectory] }
    for path in missing.reversed() + [memberDirectory, snapDirectory] {
      try fileSystem.makeDirectory(path, permissions: 0o700)
      if !noSync { try fileSystem.syncDirectory(parent(of: path)) }
    }
  }

  private func openBackend() throws(BoltError) -> BackendStore {
    var options = bolt
    options.noSync = noSync
    return try BackendStore(fileSystem, directory: snapDirectory, options: options)
  }

  /// A crash between saving a received snapshot and installing its database leaves the database
  /// beside the old one: the move is finished here.
  private func finishInstallation(
    of snapshot: Raftpb.Snapshot, _ snapshotter: Snapshotter, _ backend: BackendStore,
    _ notes: inout [String]
  ) throws {
    let index = snapshot.metadata.index
    guard try MVCCStore(committed: backend.state()).consistentIndex().rawValue < index else {
      return
    }
    let received = snapshotter.databasePath(index: index)
    guard try fileSystem.kind(received) != nil else { return }
    _ = try backend.install(databaseAt: received)
    notes.append("installed the database received with the snapshot at index \(index)")
  }

  private func memoryStorage(
    _ snapshot: Raftpb.Snapshot, _ contents: WALContents, _ consistentIndex: LogIndex
  ) throws -> MemoryStorage {
    var storage = MemoryStorage()
    if snapshot.metadata.index > 0 { try storage.applySnapshot(snapshot) }
    storage.append(contents.entries)
    guard consistentIndex.rawValue <= storage.lastIndex else {
      throw StorageError(
        "backend of \(snapDirectory) is at index \(consistentIndex), the log in \(walDirectory) "
          + "ends at \(storage.lastIndex)")
    }
    var state = contents.state
    // What the backend holds was committed, even if the log did not learn it before the crash.
    state.commit = Swift.max(state.commit, consistentIndex.rawValue, snapshot.metadata.index)
    storage.hardState = state
    return storage
  }

  private func wrap<R>(_ body: () throws -> R) throws(StorageError) -> R {
    do { return try body() } catch let error as StorageError { throw error } catch {
      throw StorageError("\(error)")
    }
  }
}
