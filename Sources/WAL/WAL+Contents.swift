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

  /// The same of a log that somebody may write to: a record that is not whole yet ends it, and the
  /// record of the snapshot may be missing.
  /// - Returns: what was read, and whether the snapshot's record was there.
  public static func copy(
    _ fileSystem: any FileSystem, directory: String, from snapshot: Walpb.Snapshot
  ) throws(WALError) -> (contents: WALContents, hasSnapshot: Bool) {
    let reader = WALReader(fileSystem: fileSystem, directory: directory)
    let outcome = try reader.read(
      try reader.segments(from: snapshot.index), from: snapshot, isLenient: true)
    let found = outcome.snapshots.contains { $0.index == snapshot.index }
    return (outcome.contents, found)
  }
}
