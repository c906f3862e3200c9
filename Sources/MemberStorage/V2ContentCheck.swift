import EtcdAPI
import FileSystem
import Snap
import V2Store
import WAL

/// Whether a member that does not run has keys or users of the v2 API, which etcd 3.6 has no place for.
///
/// - Source: etcd 3.5.30 `etcdutl/check_command.go`: the newest snapshot that the log vouches for is looked at, and
///   what came behind it is not.
public enum V2ContentCheck {
  /// - Parameter walDirectory: empty for the one inside of the data directory.
  /// - Throws: `StorageError` when log or snapshot cannot be read.
  public static func holdsContent(
    _ fileSystem: any FileSystem, dataDirectory: String, walDirectory: String
  ) throws(StorageError) -> Bool {
    let member = MemberDirectory(
      fileSystem, dataDirectory: RestoreStaging.normalised(dataDirectory),
      walDirectory: walDirectory)
    do {
      _ = try fileSystem.list(member.walDirectory)
      let recorded = try WAL.validSnapshots(fileSystem, directory: member.walDirectory)
      let snapshots = Snapshotter(fileSystem, directory: member.snapDirectory)
      guard let newest = try snapshots.loadNewest(recorded: recorded) else { return false }
      return try !V2Store(document: newest.0.data).holdsOnlyMembership
    } catch let error as FileError {
      throw StorageError(error.goDescription)
    } catch let error as WALError {
      // An empty directory has no log.
      if error.reason == .fileNotFound { return false }
      throw StorageError(error.description)
    } catch let error as V2DocumentError {
      throw StorageError("failed to recover v2store from snapshot: \(error)")
    } catch { throw StorageError("\(error)") }
  }
}
