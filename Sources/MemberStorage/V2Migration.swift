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

/// Takes the keys of the v2 store of a member that does not run into its v3 keys.
///
/// A node's modifiedIndex becomes the revision, its createdIndex the create revision, 1 the version. The position of
/// the database becomes the end of the log, so that a start applies none of it to the v3 keys again.
///
/// Other than etcd's: it refuses what would lose something. Entries of the v3 API that the database has not seen would be
/// skipped by that start, and rows of v3 keys that are there would be overwritten by others of the same revision.
///
/// - Source: etcd 3.4 `etcdctl/ctlv3/command/migrate_command.go`.
public struct V2Migration: Sendable {
  public let fileSystem: any FileSystem
  public let dataDirectory: String
  /// Empty: inside the data directory.
  public let walDirectory: String

  public init(_ fileSystem: any FileSystem, dataDirectory: String, walDirectory: String) {
    self.fileSystem = fileSystem
    self.dataDirectory = RestoreStaging.normalised(dataDirectory)
    self.walDirectory = MemberDirectory.walDirectory(walDirectory, self.dataDirectory)
  }

  /// What members have unless told otherwise.
  private static let learnersMax = 1

  private var snapDirectory: String { dataDirectory + "/member/snap" }
  public var databasePath: String { snapDirectory + "/db" }

  /// What snapshot and log hold.
  public struct Source: Sendable {
    public var store = V2Store()
    /// Of the last entry.
    public var index: UInt64 = 0
    public var term: UInt64 = 0
    /// Up to here entries are known to be committed.
    public var commit: UInt64 = 0
    fileprivate var membership = Membership(members: [])
    /// Entries of the v3 API, by index.
    fileprivate var v3: [UInt64] = []

    /// The users' directory; `nil` without any key.
    public func users() -> V2Entry? {
      var store = store
      guard let root = try? store.get(V2Entry.userRoot, isRecursive: true).node,
        root.nodes?.isEmpty == false
      else { return nil }
      return root
    }
  }

  // MARK: what is there

  /// Replays the v2 store, all of the log included.
  /// - Throws: `StorageError` when snapshot or log cannot be read.
  public func read() throws(StorageError) -> Source {
    do {
      var source = Source()
      let snapshots = Snapshotter(fileSystem, directory: snapDirectory)
      _ = try fileSystem.list(snapDirectory)
      var record = Walpb.Snapshot(index: 0, term: 0)
      let names = try snapshots.names()
      if let snapshot = names.lazy.compactMap({ try? snapshots.read($0) }).first {
        source.store = try V2Store(document: snapshot.data)
        source.membership = try Membership(source.store)
        source.index = snapshot.metadata.index
        source.term = snapshot.metadata.term
        record = Walpb.Snapshot(index: source.index, term: source.term)
      } else if let newest = names.first {
        throw StorageError("no snapshot file of \(snapDirectory) is whole (\(newest), …)")
      }
      let log = try WAL.copy(fileSystem, directory: walDirectory, from: record).contents
      source.commit = max(log.state.commit, source.index)
      for entry in log.entries { replay(entry, &source) }
      return source
    } catch let error as StorageError { throw error } catch let error as FileError {
      throw StorageError(error.goDescription)
    } catch { throw StorageError("\(error)") }
  }

  private func replay(_ entry: Raftpb.Entry, _ source: inout Source) {
    source.index = entry.index
    source.term = entry.term
    guard entry.type == .normal else { return replayChange(entry, &source) }
    guard !entry.data.isEmpty else { return }
    if let request = try? Etcdserverpb.InternalRaftRequest.decode(entry.data) {
      if let v2 = request.v2 { return apply(v2, &source) }
      source.v3.append(entry.index)
      replayMembership(request, &source)
    } else if let request = try? Etcdserverpb.Request.decode(entry.data) {
      apply(request, &source)
    }
  }

  /// Members are nodes of the store, too: changes raise its index.
  private func replayChange(_ entry: Raftpb.Entry, _ source: inout Source) {
    guard entry.type == .confChange, let raw = try? Raftpb.ConfChange.decode(entry.data),
      let change = try? Membership.decode(raw),
      (try? source.membership.validate(change, learnersMax: Self.learnersMax)) != nil
    else { return }
    source.membership.apply(change)
    source.membership.record(change, in: &source.store)
  }

  /// What members of 3.5 say of themselves raises the index as what those of 3.4 put there.
  private func replayMembership(
    _ request: Etcdserverpb.InternalRaftRequest, _ source: inout Source
  ) {
    if let version = request.clusterVersionSet {
      source.membership.setClusterVersion(version.ver)
      source.membership.recordClusterVersion(in: &source.store)
    }
    guard let set = request.clusterMemberAttrSet else { return }
    let member = MemberID(set.memberID)
    let isKnown = source.membership.setAttributes(
      of: member, name: set.memberAttributes?.name ?? "",
      clientURLs: set.memberAttributes?.clientURLs ?? [])
    if isKnown { source.membership.recordAttributes(of: member, in: &source.store) }
  }

  private func apply(_ request: Etcdserverpb.Request, _ source: inout Source) {
    guard request.method != "QGET" else { return }
    // A refusal is what every member came to.
    _ = try? source.store.apply(request)
    _ = source.store.takeNews()
  }

  // MARK: what becomes of it

  /// Writes keys into the database.
  /// - Parameters:
  ///   - keys: each with its revision.
  ///   - onWait: called when a member has the database.
  ///   - pause: waits a moment.
  /// - Returns: how many rows are new.
  /// - Throws: `StorageError`; then nothing has changed.
  public func write(
    _ keys: [Mvccpb.KeyValue], _ source: Source, onWait: () -> Void, pause: () -> Void
  ) throws(StorageError) -> Int {
    let database = try open(onWait, pause)
    defer { database.close() }
    do {
      let rows = try BoltRows(database.read())
      let position = try MVCCStore.consistentIndex(rows).rawValue
      if let missed = source.v3.first(where: { $0 > position }) {
        throw StorageError(
          "the log has entries of the v3 API from index \(missed) on that \(databasePath) has not"
            + " (it is at \(position)): start the member once more, end it with SIGTERM, and migrate"
            + " then")
      }
      let operations = try operations(keys, rows)
      var changes = [
        BoltChange(bucket: Bucket.key.name, operations: operations, fillPercent: 0.9)
      ]
      if source.index > position {
        var operations = [BoltOperation.position(index: source.index)]
        // Members of 3.4 have none.
        if try rows.value(.meta, BoltOperation.termKey) != nil {
          operations.append(.position(term: source.term))
        }
        changes.append(BoltChange(bucket: Bucket.meta.name, operations: operations))
      }
      try database.commit(changes)
      return operations.count
    } catch let error as StorageError { throw error } catch { throw StorageError("\(error)") }
  }

  /// Rows that are not there yet, ordered.
  private func operations(
    _ keys: [Mvccpb.KeyValue], _ rows: BoltRows
  ) throws -> [BoltOperation] {
    var operations: [BoltOperation] = []
    for key in keys.sorted(by: { $0.modRevision < $1.modRevision }) {
      guard key.modRevision > 0, !key.key.isEmpty else {
        throw StorageError(
          "key '\(key.key.string)' has revision \(key.modRevision); a key has a name, and a revision"
            + " above 0")
      }
      let row = Revision(main: key.modRevision).encoded()
      let value = key.encoded()
      guard operations.last?.key != row else {
        throw StorageError("two keys have revision \(key.modRevision); each needs its own")
      }
      if let there = try rows.value(.key, row) {
        guard there == value else {
          throw StorageError(
            "the v3 keys have another row of revision \(key.modRevision) already, which '"
              + "\(key.key.string)' would overwrite: migrate before keys of the v3 API are written")
        }
        continue
      }
      operations.append(BoltOperation(key: row, value: value))
    }
    return operations
  }

  private func open(
    _ onWait: () -> Void, _ pause: () -> Void
  ) throws(StorageError) -> BoltDatabase {
    var isTold = false
    while true {
      do throws(BoltError) {
        return try BoltDatabase(fileSystem, path: databasePath)
      } catch {
        guard error.reason == .locked else { throw StorageError(error.description) }
        if !isTold { onWait() }
        isTold = true
        pause()
      }
    }
  }
}
