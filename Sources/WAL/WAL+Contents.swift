import EtcdAPI
import FileSystem

extension WAL {
  /// What a log that nobody writes to holds behind a snapshot, without changing it.
  /// - Throws: `WALError` naming file, offset and reason; `torn` when its end has to be repaired first.
  public static func contents(
    _ fileSystem: any FileSystem, directory: String, from snapshot: Walpb.Snapshot
  ) throws(WALError) -> WALContents {
    let reader = WALReader(fileSystem: fileSystem, directory: directory)
    return try reader.read(try reader.segments(from: snapshot.index), from: snapshot).contents
  }
}
