import Bytes
import EtcdAPI

/// The log kept in memory: what a member holds of its stable log to serve followers from.
///
/// - Shape: entries after the compaction point `(prev.index, prev.term)`.
/// - Source: etcd-io/raft `MemoryStorage`.
public struct MemoryStorage: RaftStorage, Sendable {
  private var window = EntryWindow(first: 1)
  /// The entry before the first one; its term is kept for matching.
  private var prev = EntryID(term: 0, index: 0)
  private var latest = Raftpb.Snapshot()
  /// The hard state saved last.
  public var hardState = Raftpb.HardState()

  /// An empty log.
  public init() {}

  public func initialState() -> (hardState: Raftpb.HardState, confState: Raftpb.ConfState) {
    (hardState, latest.metadata.confState)
  }

  public func entries(
    _ low: UInt64, _ high: UInt64, maxSize: UInt64
  ) throws(RaftStorageError) -> [Raftpb.Entry] {
    if low <= prev.index { throw .compacted }
    if high > window.end || low > high { throw .unavailable }
    return window.entries(low..<high, maxSize: maxSize)
  }

  public func term(of index: UInt64) throws(RaftStorageError) -> UInt64 {
    if index < prev.index { throw .compacted }
    if index == prev.index { return prev.term }
    if index >= window.end { throw .unavailable }
    return window.term(at: index)
  }

  public var firstIndex: UInt64 { window.first }
  public var lastIndex: UInt64 { window.end - 1 }
  public func snapshot() -> Raftpb.Snapshot { latest }

  /// Number of entries held.
  public var count: Int { window.count }

  /// Replaces the whole log by a snapshot.
  /// - Throws: `.snapOutOfDate` when the present snapshot is as new.
  public mutating func applySnapshot(_ snapshot: Raftpb.Snapshot) throws(RaftStorageError) {
    let index = snapshot.metadata.index
    // A member that starts may set the configuration alone, at index 0.
    if latest.metadata.index != 0 && latest.metadata.index >= index { throw .snapOutOfDate }
    guard index <= RaftBounds.indexMax else { throw .outOfRange }
    latest = snapshot
    prev = EntryID(term: snapshot.metadata.term, index: index)
    window.reset(first: index + 1)  // checked: at most 2^62
  }

  /// Makes the snapshot at `index` the latest one.
  /// - Parameter confState: the configuration at `index`, or `nil` when it did not change.
  /// - Throws: `.snapOutOfDate` when the present one is as new, `.unavailable` beyond the log.
  public mutating func createSnapshot(
    at index: UInt64, confState: Raftpb.ConfState?, data: Bytes
  ) throws(RaftStorageError) -> Raftpb.Snapshot {
    if index <= latest.metadata.index { throw .snapOutOfDate }
    latest.metadata.term = try term(of: index)
    latest.metadata.index = index
    if let confState { latest.metadata.confState = confState }
    latest.data = data
    return latest
  }

  /// Discards entries up to and with `index`, which must have been applied.
  /// - Throws: `.compacted` when that was done before, `.unavailable` beyond the log.
  public mutating func compact(to index: UInt64) throws(RaftStorageError) {
    if index <= prev.index { throw .compacted }
    if index >= window.end { throw .unavailable }
    prev = window[index].id
    window.drop(before: index + 1)
  }

  /// Forgets the entries behind `index`, which were never committed.
  public mutating func truncate(after index: UInt64) {
    precondition(index >= prev.index, "truncated to \(index), compacted to \(prev.index)")
    if index + 1 < window.end { window.truncate(from: index + 1) }
  }

  /// Saves entries; those at and after the first one's index that were there before are replaced.
  /// - Traps: when the entries would leave a gap.
  public mutating func append(_ entries: [Raftpb.Entry]) {
    guard let start = entries.first?.index, let last = entries.last?.index, last > prev.index
    else { return }
    precondition(
      start <= window.end, "missing log entry [last: \(lastIndex), append at: \(start)]")
    if start <= prev.index {
      window.truncate(from: window.first)
      window.append(entries.dropFirst(Int(prev.index + 1 - start)))
    } else {
      window.truncate(from: start)
      window.append(entries)
    }
  }
}
