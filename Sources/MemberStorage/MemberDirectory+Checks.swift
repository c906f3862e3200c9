import Bolt
import Bytes
import EtcdAPI
import FileSystem
import MVCC

/// Looks at a directory before it is used, so that what cannot work is refused while nothing has
/// changed yet.
extension MemberDirectory {
  /// Makes the data directory, readable by its owner only, and tries to write in it.
  /// - Throws: `StorageError` in etcd's words.
  /// - Source: etcd `fileutil.TouchDirAll`, `IsDirWriteable`.
  public func ensureWritable() throws(StorageError) {
    do throws(FileError) {
      let probe = dataDirectory + "/.touch"
      try fileSystem.makeDirectory(dataDirectory, permissions: 0o700)
      try fileSystem.open(probe, .create(permissions: 0o600)).close()
      try fileSystem.remove(probe)
    } catch { throw StorageError("cannot access data directory: \(error.goDescription)") }
  }

  /// Refuses a new log beside a database that holds data: it would skip as many entries as the old log
  /// had.
  static func checkFresh(_ store: MVCCStore, _ path: String) throws {
    let index = try store.consistentIndex()
    guard index == 0 else {
      throw StorageError(
        "the database in \(path) holds data up to index \(index), but its write-ahead log is missing: "
          + "bring the log back, restore the database with etcdutl snapshot restore --skip-hash-check, "
          + "or remove the data directory and join the cluster again")
    }
  }
}

extension MemberDirectory.Opened {
  /// Refuses data that a newer etcd has written.
  /// - Parameter version: `MAJOR.MINOR` of this server.
  /// - Throws: `StorageError` in etcd's words.
  /// - Source: etcd `mustDetectDowngrade`; etcd 3.6 `schema.Validate` for the storage version.
  public func checkVersion(_ version: String) throws(StorageError) {
    guard let own = StorageVersion(version) else {
      preconditionFailure("server version \(version)")
    }
    do {
      if let row = try rows.value(.meta, "storageVersion")?.string,
        let stored = StorageVersion(row), stored > own
      {
        throw StorageError(
          "storage version \(stored) of the data directory is newer than this server's \(own): "
            + advice(stored, own))
      }
      if let row = try rows.value(.cluster, "clusterVersion")?.string,
        let cluster = StorageVersion(row), cluster > own
      {
        throw StorageError(
          "invalid downgrade; server version is lower than determined cluster version: "
            + "current-server-version \(version), determined-cluster-version \(cluster): "
            + advice(cluster, own))
      }
    } catch let error as StorageError { throw error } catch { throw StorageError("\(error)") }
  }

  /// What leads from a newer etcd to this one. `etcdutl migrate` alone does not: the cluster's version in the log and
  /// in the database stays.
  private func advice(_ newer: StorageVersion, _ own: StorageVersion) -> String {
    "run etcd \(newer) again and downgrade its cluster while it runs, by one minor version at a time "
      + "(etcdctl downgrade enable \(newer.previous) …), until it is at \(own); or begin a new cluster "
      + "with its keys: etcdutl snapshot restore DATA-DIR/member/snap/db --skip-hash-check "
      + "--data-dir NEW-DATA-DIR"
  }
}
