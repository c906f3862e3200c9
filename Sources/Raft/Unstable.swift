import EtcdAPI

/// The end of the log that is not known to be in stable storage yet, and a snapshot that is not.
///
/// Entries stay here after they were handed out for writing, until the write is reported; `offset`
/// may lie before the end of storage, whose entries from there on are then overwritten.
///
/// - Source: etcd-io/raft `unstable`.
struct Unstable: Sendable {
  private(set) var snapshot: Raftpb.Snapshot?
  private var window: EntryWindow
  private var isSnapshotInProgress = false
  /// Index after the last entry that was handed out for writing; `offset <= offsetInProgress`.
  private(set) var offsetInProgress: UInt64
  /// Changes when the content of the log changes.
  private(set) var version: UInt64 = 0
  private let logger: LogSink

  init(offset: UInt64, logger: LogSink) {
    window = EntryWindow(first: offset)
    offsetInProgress = offset
    self.logger = logger
  }

  /// Index of the first entry here, or of the next one.
  var offset: UInt64 { window.first }
  var count: Int { window.count }

  /// First index of the log, when a snapshot decides it.
  var firstIndex: UInt64? { snapshot.map { $0.metadata.index + 1 } }

  /// Last index of the log, when entries or a snapshot here decide it.
  var lastIndex: UInt64? {
    window.isEmpty ? snapshot.map { $0.metadata.index } : window.end - 1
  }

  /// Term of the entry at `index`, when it is here.
  func term(at index: UInt64) -> UInt64? {
    if index < offset {
      guard let metadata = snapshot?.metadata, metadata.index == index else { return nil }
      return metadata.term
    }
    return index < window.end ? window.term(at: index) : nil
  }

  var hasNextEntries: Bool { offsetInProgress < window.end }

  /// Entries not yet handed out.
  var nextEntries: [Raftpb.Entry] {
    hasNextEntries
      ? window.entries(offsetInProgress..<window.end, maxSize: RaftLimits.none) : []
  }

  var hasNextSnapshot: Bool { snapshot != nil && !isSnapshotInProgress }

  /// The snapshot, when it was not yet handed out.
  var nextSnapshot: Raftpb.Snapshot? { isSnapshotInProgress ? nil : snapshot }

  /// Marks everything as handed out.
  mutating func acceptInProgress() {
    if !window.isEmpty { offsetInProgress = window.end }
    if snapshot != nil { isSnapshotInProgress = true }
  }

  /// Forgets entries up to `id`, which are stable. A report about an entry that was replaced
  /// meanwhile says nothing about the present one and is ignored.
  mutating func stable(to id: EntryID) {
    guard let present = term(at: id.index) else {
      logger.info("entry at index \(id.index) missing from unstable log; ignoring")
      return
    }
    if id.index < offset {
      logger.info("entry at index \(id.index) matched unstable snapshot; ignoring")
      return
    }
    if present != id.term {
      logger.info(
        "entry at (index,term)=(\(id.index),\(id.term)) mismatched with "
          + "entry at (\(id.index),\(present)) in unstable log; ignoring")
      return
    }
    window.drop(before: id.index + 1)
    offsetInProgress = max(offsetInProgress, offset)
  }

  /// Forgets the snapshot at `index`, which is stable.
  mutating func stableSnapshot(at index: UInt64) {
    guard snapshot?.metadata.index == index else { return }
    snapshot = nil
    isSnapshotInProgress = false
  }

  /// Starts anew after a snapshot.
  mutating func restore(_ newSnapshot: Raftpb.Snapshot) {
    window.reset(first: newSnapshot.metadata.index + 1)
    offsetInProgress = offset
    snapshot = newSnapshot
    isSnapshotInProgress = false
    version += 1
  }

  /// Puts entries at their place; what was there or follows is forgotten.
  mutating func truncateAndAppend(_ entries: some Collection<Raftpb.Entry>) {
    guard let start = entries.first?.index else { return }
    version += 1
    if start == window.end {
      window.append(entries)
    } else if start <= offset {
      logger.info("replace the unstable entries from index \(start)")
      window.reset(first: start)
      window.append(entries)
      offsetInProgress = start
    } else {
      logger.info("truncate the unstable entries before index \(start)")
      window.truncate(from: start)
      window.append(entries)
      offsetInProgress = min(offsetInProgress, start)
    }
  }

  /// Entries of `range`, which must be here, limited as `EntryWindow.entries`.
  func entries(_ range: Range<UInt64>, maxSize: UInt64) -> [Raftpb.Entry] {
    window.entries(range, maxSize: maxSize)
  }
}
