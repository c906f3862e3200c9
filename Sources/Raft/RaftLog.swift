import EtcdAPI

/// The log of one member: stable storage, the unstable end over it, and how far it is committed and
/// applied.
///
/// - Shape: `applied <= applying <= committed <= lastIndex`.
/// - Source: Raft thesis §3.5; etcd-io/raft `raftLog`.
struct RaftLog<Storage: RaftStorage> {
  var storage: Storage
  var unstable: Unstable
  /// Highest index known to be stable on a quorum.
  private(set) var committed: UInt64
  /// Highest index handed out for application.
  private(set) var applying: UInt64
  /// Highest index the application has applied.
  private(set) var applied: UInt64
  /// Bound on the encoded size of entries that are being applied.
  let maxApplyingSize: UInt64
  private(set) var applyingSize: UInt64 = 0
  /// Whether nothing is handed out until some application is reported.
  private(set) var isApplyingPaused = false
  /// The last slice read for replication: followers in step get the same array.
  var lastSlice: CachedSlice?
  let logger: LogSink

  init(storage: Storage, maxApplyingSize: UInt64, logger: LogSink) {
    self.storage = storage
    self.logger = logger
    self.maxApplyingSize = maxApplyingSize
    unstable = Unstable(offset: storage.lastIndex + 1, logger: logger)
    committed = storage.firstIndex - 1
    applying = committed
    applied = committed
  }

  var firstIndex: UInt64 { unstable.firstIndex ?? storage.firstIndex }
  var lastIndex: UInt64 { unstable.lastIndex ?? storage.lastIndex }

  /// Term of an index in `firstIndex - 1 ... lastIndex`; `nil` outside of it.
  func term(of index: UInt64) -> UInt64? {
    if let term = unstable.term(at: index) { return term }
    if index < firstIndex - 1 || index > lastIndex { return nil }
    do {
      return try storage.term(of: index)
    } catch .compacted, .unavailable {
      return nil
    } catch {
      fatalError("term of entry \(index): \(error)")
    }
  }

  /// The last entry, which always has a known term.
  var lastID: EntryID {
    let index = lastIndex
    guard let term = term(of: index) else {
      fatalError("no term for the last entry \(index) of a log that starts at \(firstIndex)")
    }
    return EntryID(term: term, index: index)
  }

  func matches(_ id: EntryID) -> Bool { term(of: id.index) == id.term }

  /// Whether a log that ends in `other` is as complete as this one (Raft thesis §3.6.1).
  func isUpToDate(_ other: EntryID) -> Bool {
    let own = lastID
    return other.term > own.term || (other.term == own.term && other.index >= own.index)
  }

  /// Appends a leader's entries after `previous`, replacing what conflicts, and follows its commit
  /// index as far as the two logs are known to match.
  /// - Returns: the last index known to match, or `nil` when `previous` is not in this log.
  /// - Throws: `RaftError.contradiction` when a committed entry would be replaced.
  mutating func append(
    after previous: EntryID, _ entries: [Raftpb.Entry], committed leaderCommit: UInt64
  ) throws(RaftError) -> UInt64? {
    guard matches(previous) else { return nil }
    let last = previous.index + UInt64(entries.count)
    if let conflict = firstConflict(entries) {
      guard conflict > committed else {
        throw .contradiction(
          "entry \(conflict) conflict with committed entry [committed(\(committed))]")
      }
      append(entries[Int(conflict - previous.index - 1)...])
    }
    commit(to: min(leaderCommit, last))
    return last
  }

  /// Appends entries, replacing those at and after the first one's index.
  @discardableResult
  mutating func append(_ entries: some Collection<Raftpb.Entry>) -> UInt64 {
    guard let first = entries.first?.index else { return lastIndex }
    precondition(
      first > committed, "after(\(first &- 1)) is out of range [committed(\(committed))]")
    unstable.truncateAndAppend(entries)
    return lastIndex
  }

  /// Index of the first entry that is not in this log with the same term.
  private func firstConflict(_ entries: [Raftpb.Entry]) -> UInt64? {
    for entry in entries where !matches(entry.id) {
      if entry.index <= lastIndex {
        logger.info(
          "found conflict at index \(entry.index) [existing term: "
            + "\(term(of: entry.index) ?? 0), conflicting term: \(entry.term)]")
      }
      return entry.index
    }
    return nil
  }

  /// The highest index at or before `index` at which this log can match another one whose entry at
  /// `index` has `term`; its term here, or 0 when it is not known.
  ///
  /// Terms only ascend within a log, so entries with a higher term cannot be common.
  func conflictHint(index: UInt64, term: UInt64) -> EntryID {
    var index = index
    while index > 0 {
      guard let own = self.term(of: index) else { return EntryID(term: 0, index: index) }
      if own <= term { return EntryID(term: own, index: index) }
      index -= 1
    }
    return EntryID(term: 0, index: 0)
  }

  /// Follows a quorum to `id`; only an entry of the leader's own term commits what precedes it
  /// (Raft thesis §3.6.2).
  mutating func commitIfMatching(_ id: EntryID) -> Bool {
    guard id.term != 0, id.index > committed, matches(id) else { return false }
    commit(to: id.index)
    return true
  }

  /// Raises the commit index; it never falls.
  mutating func commit(to index: UInt64) {
    guard committed < index else { return }
    precondition(
      index <= lastIndex,
      "tocommit(\(index)) is out of range [lastIndex(\(lastIndex))]. "
        + "Was the raft log corrupted, truncated, or lost?")
    committed = index
  }

  /// Sets the commit index that was saved; the caller has checked the range.
  mutating func restoreCommitted(_ index: UInt64) { committed = index }

  /// Takes the report that entries of `size` encoded bytes up to `index` are applied.
  mutating func applied(to index: UInt64, size: UInt64) {
    precondition(
      applied <= index && index <= committed,
      "applied(\(index)) is out of range [prevApplied(\(applied)), committed(\(committed))]")
    applied = index
    applying = max(applying, index)
    applyingSize -= min(applyingSize, size)
    isApplyingPaused = applyingSize >= maxApplyingSize
  }

  /// Notes that entries of `size` encoded bytes up to `index` were handed out for application.
  mutating func acceptApplying(to index: UInt64, size: UInt64, allowUnstable: Bool) {
    precondition(
      index <= committed,
      "applying(\(index)) is out of range [prevApplying(\(applying)), committed(\(committed))]")
    applying = index
    applyingSize += size
    // Less than all was handed out, so the next entry would have exceeded the bound.
    isApplyingPaused =
      applyingSize >= maxApplyingSize || index < maxAppliableIndex(allowUnstable: allowUnstable)
  }

  /// Starts anew after a snapshot.
  mutating func restore(_ snapshot: Raftpb.Snapshot) {
    logger.info(
      "log [\(description)] starts to restore snapshot [index: \(snapshot.metadata.index), "
        + "term: \(snapshot.metadata.term)]")
    committed = snapshot.metadata.index
    unstable.restore(snapshot)
  }

  var description: String {
    "committed=\(committed), applied=\(applied), applying=\(applying), "
      + "unstable.offset=\(unstable.offset), "
      + "unstable.offsetInProgress=\(unstable.offsetInProgress), "
      + "len(unstable.Entries)=\(unstable.count)"
  }
}

extension RaftLog: Sendable where Storage: Sendable {}
