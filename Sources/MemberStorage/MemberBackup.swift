import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Membership
import Protobuf
import Snap
import V2Store
import WAL

/// Copies a member's directory as the beginning of a new cluster: to be started with
/// `--force-new-cluster`.
///
/// ```
/// snap: the newest snapshot, its members replaced; db: the database, its members replaced
/// log: metadata as it was, entries behind the snapshot, hard state, record of the snapshot
/// ```
/// Entries about members become empty ones, so that every index stays what it was. The source is only
/// read; everything is built under another name and renamed at the end.
///
/// - Source: etcd 3.5 `etcdutl/etcdutl/backup_command.go`.
public struct MemberBackup: Sendable {
  public let fileSystem: any FileSystem
  public let dataDirectory: String
  /// Empty: inside the data directory.
  public let walDirectory: String
  public let backupDirectory: String
  /// Empty: inside the backup directory.
  public let backupWALDirectory: String
  /// Whether v3 data are copied; without them the backup holds the v2 store alone.
  public let withV3: Bool
  /// Stands for all members; the start with `--force-new-cluster` replaces it.
  public let member: MemberInfo

  public init(
    _ fileSystem: any FileSystem, dataDirectory: String, walDirectory: String,
    backupDirectory: String, backupWALDirectory: String, withV3: Bool, memberID: UInt64
  ) {
    self.fileSystem = fileSystem
    self.dataDirectory = RestoreStaging.normalised(dataDirectory)
    self.walDirectory = MemberDirectory.walDirectory(walDirectory, self.dataDirectory)
    self.backupDirectory = backupDirectory
    self.backupWALDirectory = backupWALDirectory
    self.withV3 = withV3
    member = MemberInfo(
      id: MemberID(memberID), peerURLs: ["http://use-flag--force-new-cluster:2080"],
      name: "etcdctl-v2-backup")
  }

  /// What happened on the way, for the log.
  public enum Note: Sendable, Equatable {
    case snapshotRecordMissing(index: UInt64)
    case membershipTrimmed
    case confChangeIgnored
    case attributesIgnored(path: String)
    case attributeRequestIgnored
    case v3EntryIgnored
  }

  /// The step that failed, in etcd's words, and why.
  public struct Failure: Error, Sendable {
    public let step: String
    public let reason: String
    /// A further fact: name and value.
    public var detail: (name: String, value: String)?
  }

  private var snapDirectory: String { dataDirectory + "/member/snap" }
  private var confState: Raftpb.ConfState { Raftpb.ConfState(voters: [member.id.rawValue]) }

  /// Makes the backup.
  /// - Parameters:
  ///   - tag: distinguishes the names of what is being built; should be random.
  ///   - pause: waits a tenth of a second; called at most ten times while a member holds the database.
  /// - Throws: `Failure`; then nothing new is left behind.
  public func run(
    tag: UInt64, pause: () -> Void, note: (Note) -> Void
  ) throws(Failure) {
    try checkTarget()
    var staging = RestoreStaging(
      fileSystem, dataDirectory: backupDirectory, walDirectory: backupWALDirectory, tag: tag)
    do throws(Failure) {
      try step("failed creating backup snapshot dir") { try staging.prepare() }
      let record = try copySnapshot(staging, note)
      let source = try readLog(record, note)
      try copyDatabase(staging, source.state, pause: pause, note)
      try writeLog(staging, source, record)
      try step("failed to put the backup in its place") { try staging.place() }
    } catch {
      staging.discard()
      throw error
    }
  }

  private func step<R>(
    _ name: String, _ body: () throws -> R
  ) throws(Failure) -> R {
    do { return try body() } catch let failure as Failure {
      throw failure
    } catch let error as FileError {
      throw Failure(step: name, reason: error.goDescription)
    } catch { throw Failure(step: name, reason: "\(error)") }
  }

  private func checkTarget() throws(Failure) {
    let target = RestoreStaging.normalised(backupDirectory) + "/member"
    try step("failed creating backup snapshot dir") {
      guard try fileSystem.kind(target) != nil else { return }
      let snap = target + "/snap"
      let files = try fileSystem.kind(snap) == nil ? [] : fileSystem.list(snap).sorted()
      var failure = Failure(
        step: "failed creating backup snapshot dir",
        reason: files.isEmpty
          ? "\"\(target)\" exists"
          : "expected \"\(snap)\" to be empty, got ["
            + files.map { "\"\($0)\"" }.joined(separator: " ") + "]")
      failure.detail = ("dest-snap", snap)
      throw failure
    }
  }

  // MARK: Snapshot

  /// - Returns: the record of the snapshot; index 0 when there is none.
  private func copySnapshot(
    _ staging: RestoreStaging, _ note: (Note) -> Void
  ) throws(Failure) -> Walpb.Snapshot {
    let loading = "saveSnap(Snapshoter.Load) failed"
    let source = Snapshotter(fileSystem, directory: snapDirectory)
    // Only reading says the error in etcd's words.
    let names = try step(loading) {
      _ = try fileSystem.list(snapDirectory)
      return try source.names()
    }
    guard !names.isEmpty else { return Walpb.Snapshot(index: 0, term: 0) }
    // The newest one that is whole.
    var found: Raftpb.Snapshot?
    for name in names where found == nil { found = try? source.read(name) }
    guard var snapshot = found else {
      throw Failure(step: loading, reason: "snap: no snapshot file of \(snapDirectory) is whole")
    }
    snapshot.data = try step("cannot translate v2store") {
      var store = try V2Store(document: snapshot.data)
      Membership(members: [member]).replace(in: &store)
      return store.document()
    }
    snapshot.metadata.confState = confState
    try step("saveSnap(Snapshoter.SaveSnap) failed") {
      try Snapshotter(fileSystem, directory: staging.snap).save(snapshot)
    }
    return Walpb.Snapshot(
      index: snapshot.metadata.index, term: snapshot.metadata.term, confState: confState)
  }

  // MARK: Log

  private func readLog(
    _ record: Walpb.Snapshot, _ note: (Note) -> Void
  ) throws(Failure) -> WALContents {
    var (contents, hasSnapshot) = try step("wal.OpenForRead failed") {
      _ = try fileSystem.list(walDirectory)
      return try WAL.copy(fileSystem, directory: walDirectory, from: record)
    }
    if !hasSnapshot { note(.snapshotRecordMissing(index: record.index)) }
    for position in contents.entries.indices {
      guard let reason = reasonToIgnore(contents.entries[position]) else { continue }
      note(reason)
      contents.entries[position] = Raftpb.Entry(
        type: .normal, term: contents.entries[position].term,
        index: contents.entries[position].index)
    }
    return contents
  }

  private func reasonToIgnore(_ entry: Raftpb.Entry) -> Note? {
    guard entry.type == .normal else { return .confChangeIgnored }
    guard !entry.data.isEmpty else { return nil }
    guard let request = try? Etcdserverpb.InternalRaftRequest.decode(entry.data) else {
      return (try? Etcdserverpb.Request.decode(entry.data)).flatMap(reasonToIgnore)
    }
    if let reason = request.v2.flatMap(reasonToIgnore) { return reason }
    if request.clusterMemberAttrSet != nil { return .attributeRequestIgnored }
    return withV3 || request.header == nil ? nil : .v3EntryIgnored
  }

  private func reasonToIgnore(_ request: Etcdserverpb.Request) -> Note? {
    let parts = request.path.split(separator: "/")
    guard request.method == "PUT", parts.count == 4, parts[0] == "0", parts[1] == "members",
      parts[3] == "attributes"
    else { return nil }
    return .attributesIgnored(path: request.path)
  }

  private func writeLog(
    _ staging: RestoreStaging, _ source: WALContents, _ record: Walpb.Snapshot
  ) throws(Failure) {
    let wal = try step("wal.Create failed") {
      try WAL.create(fileSystem, directory: staging.wal, metadata: source.metadata)
    }
    try step("wal.Save failed ") {
      do {
        wal.append(state: source.state, entries: source.entries)
        wal.append(snapshot: record)
        try wal.flush()
      } catch {
        // What was appended last is lost with the directory.
        try? wal.close()
        throw error
      }
      try wal.close()
    }
  }

  // MARK: Database

  private func copyDatabase(
    _ staging: RestoreStaging, _ state: Raftpb.HardState, pause: () -> Void,
    _ note: (Note) -> Void
  ) throws(Failure) {
    let path = staging.snap + "/db"
    if withV3 {
      let source = try open(pause)
      defer { source.close() }
      try step("bbolt write to destination file failed") {
        try BoltDatabase.compact(source.read(), to: path, on: fileSystem, options: BoltOptions())
      }
    }
    note(.membershipTrimmed)
    try step("failed to replace the members of the backend") {
      let target = try BoltDatabase(fileSystem, path: path)
      defer { target.close() }
      try target.commit(changes(state))
    }
  }

  private func open(_ pause: () -> Void) throws(Failure) -> BoltDatabase {
    let path = snapDirectory + "/db"
    var options = BoltOptions()
    options.isReadOnly = true
    var attempts = 10
    while true {
      do throws(BoltError) {
        return try BoltDatabase(fileSystem, path: path, options: options)
      } catch {
        guard error.reason == .locked else {
          throw Failure(step: "bolt.Open FAILED", reason: error.description)
        }
        guard attempts > 0 else {
          var failure = Failure(step: "timed out waiting to acquire lock on", reason: "")
          failure.detail = ("srcDB", path)
          throw failure
        }
        attempts -= 1
        pause()
      }
    }
  }

  /// One member, and no version that the new cluster would have to obey.
  private func changes(_ state: Raftpb.HardState) -> [BoltChange] {
    var cluster = BoltChange(bucket: Bucket.cluster.name)
    cluster.clear = true
    var members = BoltChange(bucket: Bucket.members.name)
    members.clear = true
    members.operations = [BoltOperation(key: Bytes(member.hexID), value: member.json())]
    var removed = BoltChange(bucket: Bucket.membersRemoved.name)
    removed.clear = true
    var changes = [cluster, members, removed]
    if !withV3 {
      // All entries count as applied to a backend that holds none of them.
      changes.append(
        BoltChange(
          bucket: Bucket.meta.name,
          operations: [.position(index: state.commit), .position(term: state.term)]))
    }
    return changes
  }
}
