import Bytes
import EtcdAPI

extension RaftCore {
  /// Appends entries as leader; false when the uncommitted tail would grow too large.
  mutating func append(_ entries: inout [Raftpb.Entry]) -> Bool {
    let last = log.lastIndex
    for at in entries.indices {
      entries[at].term = term
      entries[at].index = last + 1 + UInt64(at)
    }
    // Empty payloads always pass: a new leader's entry and leaving a joint configuration.
    let size = payloadSize(entries)
    if uncommittedSize > 0 && size > 0 && uncommittedSize + size > config.maxUncommittedEntriesSize
    {
      logger.warning(
        "\(hex(id)) appending new entries to log would exceed uncommitted entry size limit; "
          + "dropping proposal")
      return false
    }
    uncommittedSize += size
    let newLast = log.append(entries)
    // Counts for the quorum once it is stable here, like the answer of any follower.
    send(Raftpb.Message(type: .appResp, to: id, index: newLast))
    return true
  }

  /// Sends what is new to everyone.
  mutating func broadcastAppend() {
    for slot in tracker.progress.values.indices where tracker.progress.ids[slot] != id {
      sendAppend(slot: slot, sendIfEmpty: true)
    }
  }

  /// Sends entries after what the member has, or a snapshot when they are gone. A message without
  /// entries is only worth it for its commit index.
  @discardableResult
  mutating func sendAppend(slot: Int, sendIfEmpty: Bool) -> Bool {
    if tracker.progress.values[slot].isPaused { return false }
    let next = tracker.progress.values[slot].next
    let to = tracker.progress.ids[slot]
    guard let previousTerm = log.term(of: next - 1) else { return sendSnapshot(slot: slot) }
    // With a full window only an empty message goes out: if everything in the window was lost, the
    // answer to it is what frees the window again.
    var entries: [Raftpb.Entry] = []
    if tracker.progress.values[slot].state != .replicate
      || !tracker.progress.values[slot].inflights.isFull
    {
      guard let found = log.entries(from: next, maxSize: config.maxSizePerMessage) else {
        return sendIfEmpty && sendSnapshot(slot: slot)
      }
      entries = found
    }
    if entries.isEmpty && !sendIfEmpty { return false }
    tracker.progress.values[slot].sent(entries: entries.count, bytes: payloadSize(entries))
    tracker.progress.values[slot].sent(commit: log.committed)
    send(
      Raftpb.Message(
        type: .app, to: to, logTerm: previousTerm, index: next - 1, entries: entries,
        commit: log.committed))
    return true
  }

  private mutating func sendSnapshot(slot: Int) -> Bool {
    let to = tracker.progress.ids[slot]
    guard tracker.progress.values[slot].recentActive else {
      logger.debug("ignore sending snapshot to \(hex(to)) since it is not recently active")
      return false
    }
    let snapshot: Raftpb.Snapshot
    do {
      snapshot = try log.snapshot()
    } catch .snapshotTemporarilyUnavailable {
      logger.debug(
        "\(hex(id)) failed to send snapshot to \(hex(to)) because snapshot is temporarily "
          + "unavailable")
      return false
    } catch {
      fatalError("snapshot from storage: \(error)")
    }
    precondition(
      !snapshot.isEmpty, "need non-empty snapshot: the log starts at \(log.firstIndex)")
    let metadata = snapshot.metadata
    logger.debug(
      "\(hex(id)) [firstindex: \(log.firstIndex), commit: \(log.committed)] sent "
        + "snapshot[index: \(metadata.index), term: \(metadata.term)] to \(hex(to)) "
        + "[\(tracker.progress.values[slot])]")
    tracker.progress.values[slot].becomeSnapshot(at: metadata.index)
    logger.debug(
      "\(hex(id)) paused sending replication messages to \(hex(to)) "
        + "[\(tracker.progress.values[slot])]")
    send(Raftpb.Message(type: .snap, to: to, snapshot: snapshot))
    return true
  }

  /// Sends a heartbeat to everyone, with the latest waiting read.
  mutating func broadcastHeartbeat() {
    let context = readOnly.heartbeatContext
    for slot in tracker.progress.values.indices where tracker.progress.ids[slot] != id {
      // Beyond its match the member may hold other entries than ours.
      let commit = min(tracker.progress.values[slot].match, log.committed)
      tracker.progress.values[slot].sent(commit: commit)
      send(
        Raftpb.Message(
          type: .heartbeat, to: tracker.progress.ids[slot], commit: commit, context: context))
    }
  }

  /// Commits what a quorum has; true when the commit index rose.
  mutating func commitByQuorum() -> Bool {
    log.commitIfMatching(EntryID(term: term, index: tracker.committed))
  }

  /// Steps down when no quorum was heard of since the last check.
  mutating func checkQuorum() {
    if !tracker.isQuorumActive {
      logger.warning("\(hex(id)) stepped down to follower since quorum is not active")
      becomeFollower(term: term, lead: RaftNodeID.none)
    }
    for slot in tracker.progress.values.indices where tracker.progress.ids[slot] != id {
      tracker.progress.values[slot].recentActive = false
    }
  }
}
