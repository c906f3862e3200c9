import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Member
import Membership
import Protobuf
import Snap
import V2Store
import WAL

/// Makes the directory of a member of a new cluster whose data are those of a snapshot file.
///
/// ```
/// log: metadata, ConfChange 1…N of term 1, hard state {term 1, vote first, commit N}, snapshot record N
/// snap: 1-N.snap with the v2 store of the members; db: the snapshot's, members replaced, index N
/// ```
/// Everything is built under another name and renamed at the end, so that there is either the whole
/// directory or none.
///
/// - Source: etcd `etcdutl/snapshot/v3_snapshot.go`.
public struct SnapshotRestore: Sendable {
  public let fileSystem: any FileSystem
  public let snapshotPath: String
  public let dataDirectory: String
  /// Empty: inside the data directory.
  public let walDirectory: String
  /// Members of the new cluster; this one is called `name`.
  public let members: [MemberInfo]
  public let name: String
  /// Whether a file without digest, or with a wrong one, is taken.
  public var skipsHashCheck = false
  /// Revisions to skip, and to count as compacted, so that clients notice that history changed; 0 =
  /// go on with the revision of the snapshot.
  public var revisionBump: Int64 = 0
  public var bolt = BoltOptions()
  public var segmentBytes = WAL.segmentBytes

  public init(
    _ fileSystem: any FileSystem, snapshotPath: String, dataDirectory: String,
    walDirectory: String, members: [MemberInfo], name: String
  ) {
    self.fileSystem = fileSystem
    self.snapshotPath = snapshotPath
    self.dataDirectory = dataDirectory
    self.walDirectory = walDirectory
    self.members = members.sorted { $0.id < $1.id }
    self.name = name
  }

  /// What was done, for the log.
  public struct Report: Sendable, Equatable {
    public var clusterID: UInt64 = 0
    /// Newest revision of the snapshot, when it was bumped.
    public var latestRevision: Int64 = 0
    /// Revision that is compacted now, when it was bumped.
    public var compactedRevision: Int64 = 0
    /// The newer version of etcd that the snapshot is of, when its marks were taken away.
    public var newerVersion: StorageVersion?
  }

  private var term: UInt64 { 1 }
  private var commit: UInt64 { UInt64(members.count) }
  private var confState: Raftpb.ConfState { Raftpb.ConfState(voters: members.map(\.id.rawValue)) }

  /// - Throws: `StorageError` when a directory is in the way, in etcd's words.
  public func checkDirectories() throws(StorageError) {
    try reporting {
      let kind = try fileSystem.kind(dataDirectory)
      if kind != nil {
        let isEmpty = kind == .directory && (try? fileSystem.list(dataDirectory).isEmpty) == true
        guard isEmpty else {
          throw StorageError("data-dir \"\(dataDirectory)\" not empty or could not be read")
        }
      }
      if !walDirectory.isEmpty, try fileSystem.kind(walDirectory) != nil {
        throw StorageError("wal-dir \"\(walDirectory)\" exists")
      }
    }
  }

  /// Restores.
  /// - Parameter tag: distinguishes the names of what is being built; should be random.
  /// - Throws: `StorageError`; then nothing new is left behind.
  public func run(tag: UInt64) throws(StorageError) -> Report {
    try checkDirectories()
    var staging = RestoreStaging(
      fileSystem, dataDirectory: dataDirectory, walDirectory: walDirectory, tag: tag)
    do {
      try staging.prepare()
      var report = Report(clusterID: Identity.clusterID(members: members.map(\.id)))
      try copyDatabase(to: staging.snap + "/db")
      try rewrite(staging.snap + "/db", &report)
      try writeLog(staging, report.clusterID)
      try staging.place()
      return report
    } catch {
      staging.discard()
      throw Self.storageError(error)
    }
  }

  // MARK: Database

  private static let digestBytes = 32

  /// Copies the file without its digest, and verifies that.
  private func copyDatabase(to path: String) throws {
    let source = try fileSystem.open(snapshotPath, .read)
    defer { source.close() }
    let size = try source.size()
    guard size >= Self.digestBytes else {
      throw StorageError("seek \(snapshotPath): invalid argument: file has only \(size) bytes")
    }
    // Pages are multiples of 512 bytes: the rest shows whether a digest stands behind them.
    let hasDigest = size % 512 == Self.digestBytes
    let length = hasDigest ? size - Self.digestBytes : size
    let target = try fileSystem.open(path, .createNew(permissions: 0o600))
    defer { target.close() }
    let hash = StreamingSHA256()
    var offset = 0
    while offset < length {
      let piece = try read(source, at: offset, count: Swift.min(1 << 20, length - offset))
      guard !piece.isEmpty else {
        throw StorageError("\(snapshotPath) became shorter while it was read")
      }
      hash.update(piece)
      try piece.withUnsafeBytes { (memory) throws(FileError) in
        try target.write(memory, at: offset)
      }
      offset += piece.count
    }
    try target.sync()
    guard !skipsHashCheck else { return }
    guard hasDigest else {
      throw StorageError("snapshot missing hash but --skip-hash-check=false")
    }
    let expected = try read(source, at: length, count: Self.digestBytes)
    let found = hash.finish()
    guard expected == found else {
      throw StorageError("expected sha256 \(Self.list(expected)), got \(Self.list(found))")
    }
  }

  private func read(
    _ file: any StorageFile, at offset: Int, count: Int
  ) throws(FileError) -> Bytes {
    let storage = ByteStorage.make(capacity: count)
    let memory = UnsafeMutableRawBufferPointer(start: storage.base, count: count)
    let got = try file.read(into: memory, at: offset)
    return Bytes(owner: storage, UnsafeRawBufferPointer(start: storage.base, count: got))
  }

  private static func list(_ bytes: Bytes) -> String {
    "[" + bytes.map { String($0) }.joined(separator: " ") + "]"
  }

  /// Checks the copied database and makes it one of the new cluster, in one commit.
  private func rewrite(_ path: String, _ report: inout Report) throws {
    let database = try BoltDatabase(fileSystem, path: path, options: bolt)
    defer { database.close() }
    let state = database.read()
    let problems = try state.survey(verifyingKeys: true).problems
    guard problems.isEmpty else {
      throw StorageError(
        "snapshot file integrity check failed. \(problems.count) errors found.\n"
          + problems.joined(separator: "\n"))
    }
    var founders = BoltChange(bucket: Bucket.members.name)
    founders.clear = true
    founders.operations = members.map { BoltOperation(key: Bytes($0.hexID), value: $0.json()) }
      .sorted { $0.key < $1.key }
    var removed = BoltChange(bucket: Bucket.membersRemoved.name)
    removed.clear = true
    var meta: [BoltOperation] = [
      BoltOperation(key: "confState", value: confState.stored),
      .position(index: commit), .position(term: term),
    ]
    var changes = [founders, removed]
    let latest = try latestRevision(state)
    if revisionBump > 0 {
      let bumped = try bump(latest, &report)
      changes.append(
        BoltChange(
          bucket: Bucket.key.name, operations: [BoltOperation(key: bumped, value: Bytes())],
          fillPercent: 0.9))
      meta.append(BoltOperation(key: "scheduledCompactRev", value: bumped))
    }
    if let newer = try StorageVersion.marked(state), newer > .release35 {
      report.newerVersion = newer
      meta.append(BoltOperation(key: StorageVersion.key, value: nil))
      changes.append(
        BoltChange(
          bucket: Bucket.cluster.name,
          operations: ["clusterVersion", "downgrade"].map { BoltOperation(key: $0, value: nil) }))
    }
    meta.sort { $0.key < $1.key }
    changes.append(BoltChange(bucket: Bucket.meta.name, operations: meta))
    try database.commit(changes)
  }

  /// The newest revision; 0 when there is none.
  /// - Throws: for a row that no member could start with.
  private func latestRevision(_ state: BoltReadTransaction) throws -> Int64 {
    var latest: Int64 = 0
    if var cursor = try state.bucket(Bucket.key.name)?.cursor() {
      try cursor.seekFirst()
      while let row = try cursor.next() {
        guard let (revision, _) = Revision.decode(row.key) else {
          throw StorageError("row \(row.key) of bucket key is no revision")
        }
        guard (0...MVCCStore.revisionMax).contains(revision.main) else {
          throw StorageError("row \(row.key) of bucket key has numbers out of range")
        }
        latest = Swift.max(latest, revision.main)
      }
    }
    return latest
  }

  /// The key of an empty row so far ahead that no client has seen its revision.
  private func bump(_ latest: Int64, _ report: inout Report) throws(StorageError) -> Bytes {
    let (bumped, overflow) = latest.addingReportingOverflow(revisionBump)
    guard !overflow, bumped <= MVCCStore.revisionMax else {
      throw StorageError(
        "revision \(latest) cannot be raised by \(revisionBump): the last one is "
          + "\(MVCCStore.revisionMax)")
    }
    report.latestRevision = latest
    report.compactedRevision = bumped
    return Revision(main: bumped).encoded()
  }

  // MARK: Log

  private func writeLog(_ staging: RestoreStaging, _ clusterID: UInt64) throws {
    guard let own = members.first(where: { $0.name == name }) else {
      throw StorageError("no member is called \(name)")
    }
    let metadata = Etcdserverpb.Metadata(nodeID: own.id.rawValue, clusterID: clusterID).encoded()
    let wal = try WAL.create(
      fileSystem, directory: staging.wal, metadata: metadata, segmentBytes: segmentBytes)
    do {
      try write(to: wal, staging)
    } catch {
      // What was appended last is lost with the directory.
      try? wal.close()
      throw error
    }
    try wal.close()
  }

  private func write(to wal: WAL, _ staging: RestoreStaging) throws {
    let entries = members.enumerated().map { position, member in
      let change = Raftpb.ConfChange(
        type: .addNode, nodeID: member.id.rawValue, context: member.json())
      return Raftpb.Entry(
        type: .confChange, term: term, index: UInt64(position + 1), data: change.encoded())
    }
    wal.append(
      state: Raftpb.HardState(term: term, vote: members[0].id.rawValue, commit: commit),
      entries: entries)
    try wal.flush()
    var store = V2Store()
    Membership(members: members).replace(in: &store)
    let snapshot = Raftpb.Snapshot(
      data: store.document(),
      metadata: Raftpb.SnapshotMetadata(confState: confState, index: commit, term: term))
    try Snapshotter(fileSystem, directory: staging.snap).save(snapshot)
    wal.append(snapshot: Walpb.Snapshot(index: commit, term: term, confState: confState))
    try wal.flush()
  }

  // MARK: Errors

  private func reporting<R>(_ body: () throws -> R) throws(StorageError) -> R {
    do { return try body() } catch { throw Self.storageError(error) }
  }

  private static func storageError(_ error: any Error) -> StorageError {
    switch error {
    case let error as StorageError: error
    case let error as FileError: StorageError(error.goDescription)
    default: StorageError("\(error)")
    }
  }
}
