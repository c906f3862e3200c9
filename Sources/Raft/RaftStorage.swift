import EtcdAPI

/// The stable log as raft reads it. Writes are the owner's business, between `ready` and `advance`
/// or on the append thread.
///
/// - Source: etcd-io/raft `Storage`.
public protocol RaftStorage {
  /// The hard state and configuration that were saved; empty values for a new member.
  func initialState() throws(RaftStorageError) -> (
    hardState: Raftpb.HardState, confState: Raftpb.ConfState
  )

  /// Entries `low..<high`, cut so that their encoded size stays within `maxSize`, but at least one.
  /// - Throws: `.compacted` when `low` is no longer there, `.unavailable` when an entry is not yet.
  func entries(
    _ low: UInt64, _ high: UInt64, maxSize: UInt64
  ) throws(RaftStorageError) -> [Raftpb.Entry]

  /// Term of an index in `firstIndex - 1 ... lastIndex`.
  /// - Throws: `.compacted` or `.unavailable` outside of it.
  func term(of index: UInt64) throws(RaftStorageError) -> UInt64

  /// Index of the first entry that is there, or will be.
  var firstIndex: UInt64 { get }

  /// Index of the last entry, or `firstIndex - 1` when there is none.
  var lastIndex: UInt64 { get }

  /// The latest snapshot.
  /// - Throws: `.snapshotTemporarilyUnavailable` when it is being made.
  func snapshot() throws(RaftStorageError) -> Raftpb.Snapshot
}
