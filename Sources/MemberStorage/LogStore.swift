import Bytes
import EtcdAPI
import Failpoints
import FileSystem
import Member
import Snap
import WAL

/// Log and snapshots of a member. Owned by one log thread.
public final class LogStore {
  private let wal: WAL
  public let snapshotter: Snapshotter
  private let snapshotsKept: Int
  private let segmentsKept: Int

  init(wal: WAL, snapshotter: Snapshotter, snapshotsKept: Int, segmentsKept: Int) {
    self.wal = wal
    self.snapshotter = snapshotter
    self.snapshotsKept = snapshotsKept
    self.segmentsKept = segmentsKept
  }

  /// Makes appends durable with one write and one fsync, however many there are.
  ///
  /// A snapshot's file comes before the log's record of it, which comes before its entries.
  /// - Throws: `StorageError`; the process must end, for what the disk holds is then unknown.
  public func write(_ appends: [LogAppend]) throws(StorageError) {
    do {
      var durably = false
      Failpoint.hit(.raftBeforeSave)
      for append in appends {
        if let snapshot = append.snapshot {
          Failpoint.hit(.raftBeforeSaveSnap)
          try snapshotter.save(snapshot)
          Failpoint.hit(.raftAfterSaveSnap)
          // The hard state commits what only the snapshot holds: torn in between, the log must not
          // have it without the snapshot.
          wal.append(snapshot: Self.record(of: snapshot))
        }
        wal.append(state: append.hardState, entries: append.entries)
        durably = durably || append.mustSync
      }
      try wal.flush(durably: durably)
      Failpoint.hit(.raftAfterSave)
    } catch { throw StorageError("\(error)") }
  }

  /// Makes a hard state and entries durable that raft did not ask for.
  func write(
    _ state: Raftpb.HardState, _ entries: [Raftpb.Entry]
  ) throws(StorageError) {
    wal.append(state: state, entries: entries)
    do throws(WALError) { try wal.flush() } catch { throw StorageError(error.description) }
  }

  /// Saves a snapshot of the applied state, so that the log before it may go.
  public func save(_ snapshot: Raftpb.Snapshot) throws(StorageError) {
    do {
      try snapshotter.save(snapshot)
      Failpoint.hit(.raftBeforeWALSaveSnaphot)
      wal.append(snapshot: Self.record(of: snapshot))
      try wal.flush()
      try clean(behind: snapshot.metadata)
      Failpoint.hit(.raftAfterWALRelease)
    } catch { throw StorageError("\(error)") }
  }

  /// Removes what a snapshot that is recorded durably makes superfluous, but for the files that are to be
  /// kept.
  func clean(behind snapshot: Raftpb.SnapshotMetadata) throws {
    _ = try wal.purge(upTo: snapshot.index, keep: segmentsKept)
    try snapshotter.clean(keep: snapshotsKept, newest: snapshot)
  }

  private static func record(of snapshot: Raftpb.Snapshot) -> Walpb.Snapshot {
    Walpb.Snapshot(
      index: snapshot.metadata.index, term: snapshot.metadata.term,
      confState: snapshot.metadata.confState)
  }

  public func close() throws(StorageError) {
    do throws(WALError) { try wal.close() } catch { throw StorageError(error.description) }
  }
}

/// Storage that cannot be read or written; the text names the file and the reason.
public struct StorageError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}
