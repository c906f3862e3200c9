import Auth
import Bytes
import EtcdAPI
import MVCC
import Membership
import Raft
import V2Store

/// What raft wants of the log, the state and the peers, and what the disk has done: the backend's batches,
/// raft snapshots, and states that a leader sent.
extension MemberCore {
  mutating func process(_ ready: Ready, _ out: inout MemberOutput) {
    if let soft = ready.softState, MemberID(soft.lead) != leaderWatch.leader {
      leaderDidChange(to: MemberID(soft.lead), &out)
    }
    for state in ready.readStates { reads.confirm(state.context, index: LogIndex(state.index)) }
    for message in ready.messages {
      switch message.to {
      case RaftNodeID.appendThread:
        if message.snapshot != nil { backend.beginsInstallation() }
        append(
          LogAppend(
            hardState: ready.hardState, entries: message.entries, snapshot: message.snapshot,
            mustSync: ready.mustSync || message.snapshot != nil, responses: message.responses), &out
        )
      case RaftNodeID.applyThread:
        applyQueue.add(message)
        applyOn(&out)
      default: send(message, &out)
      }
    }
  }

  mutating func send(_ message: Raftpb.Message, _ out: inout MemberOutput) {
    guard message.type == .snap else {
      out.messages.append(message)
      return
    }
    // A member that just joined would refuse a state in which it is no member, again and again. And while this
    // one applies what its backend holds already, the rows are newer than the position that goes with them:
    // a receiver that was killed before it had the entries in between would not start again.
    guard backend.durable.index >= replayUntil, backend.durable.confState.holds(message.receiver)
    else {
      heldSnapshots.removeAll { $0.to == message.to }
      heldSnapshots.append(message)
      backend.commitDue = true
      return
    }
    // The backend's durable state is at least as new as the snapshot that raft has in mind.
    var message = message
    message.snapshot = Raftpb.Snapshot(
      data: backend.durable.v2.document(),
      metadata: Raftpb.SnapshotMetadata(
        confState: backend.durable.confState, index: backend.durable.index.rawValue,
        term: backend.durable.term.rawValue))
    out.sendSnapshots.append(SnapshotSend(message: message, state: backend.rows))
  }

  /// Sends snapshots that waited for the backend, as long as they are this leader's to send and the
  /// receiver is a member. Those that still have to wait do.
  mutating func sendHeldSnapshots(_ out: inout MemberOutput) {
    guard !heldSnapshots.isEmpty else { return }
    let term = node.basicStatus.hardState.term
    for message in exchange(&heldSnapshots, with: []) {
      if isLeader && message.term == term && applied.confState.holds(message.receiver) {
        send(message, &out)
      } else {
        node.reportSnapshot(message.to, failed: true)
      }
    }
  }

  /// Hands a write to the log.
  mutating func append(_ append: LogAppend, _ out: inout MemberOutput) {
    guard let write = log.begin(append) else { return finish(append) }
    disk.began(tick: ticks, isInstallation: write.snapshot != nil)
    out.appends.append(write)
  }

  /// Brings the log up to the commit index that it was not told yet.
  mutating func writeNews(_ out: inout MemberOutput) {
    guard let write = log.takeNews() else { return }
    disk.began(tick: ticks, isInstallation: false)
    out.appends.append(write)
  }

  mutating func didAppend(_ append: LogAppend) {
    log.ended()
    disk.reported(tick: ticks, underWay: log.writesUnderWay)
    finish(append)
  }

  mutating func finish(_ append: LogAppend) {
    node.storage.append(append.entries)
    if let state = append.hardState { node.storage.hardState = state }
    for response in append.responses {
      if response.receiver == id { step(response) } else { log.delay(response) }
    }
  }

  /// Answers once the backend holds what is applied now.
  mutating func flush(_ id: RequestID, withCompactions: Bool, _ out: inout MemberOutput) {
    guard flushes.count < config.appliedWaitsMax else {
      out.replies.append(Reply(id: id, outcome: .failed(.tooManyRequests)))
      return
    }
    flushes.append((id, applied.index, withCompactions))
    backend.commitDue = true
    writeNews(&out)
  }

  /// Answers those who wait for the backend.
  mutating func releaseFlushes(_ out: inout MemberOutput) {
    guard !flushes.isEmpty else { return }
    let isSettled = !store.isCompacting && store.droppedRows == 0 && !store.isCommitting
    func isOver(_ index: LogIndex, _ withCompactions: Bool) -> Bool {
      index <= backend.durable.index && (isSettled || !withCompactions)
    }
    for flush in flushes where isOver(flush.index, flush.withCompactions) {
      out.replies.append(Reply(id: flush.id, outcome: .done))
    }
    flushes.removeAll { isOver($0.index, $0.withCompactions) }
    if !flushes.isEmpty { backend.commitDue = true }
  }

  mutating func sendDelayed(_ out: inout MemberOutput) {
    for message in log.delayed { send(message, &out) }
    log.clearDelayed()
  }

  mutating func didCommit(_ state: any CommittedRows, _ out: inout MemberOutput) {
    guard backend.committed(state) else { return }
    store.didCommit(state)
    sendHeldSnapshots(&out)
    out.replies += physicalCompactions.committed()
  }

  mutating func maybeFreeze(_ out: inout MemberOutput) {
    // Half a transaction must not become durable.
    guard !backend.isInstalling, !store.isCommitting, out.freeze == nil, applyQueue.bulk == nil
    else {
      return
    }
    let full =
      store.pendingRows >= config.commitRows || store.unfrozenBytes >= config.commitBytes
      || store.droppedRows >= config.compactionBatchRows
    guard full || (backend.commitDue && (store.hasPending || backend.durable.index < applied.index))
    else { return }
    guard applied.index >= replayUntil else { return }
    backend.froze(at: applied)
    physicalCompactions.froze()
    auth.writeFirstRevision(to: &store)
    out.freeze = store.freeze(appliedIndex: applied.index, term: applied.term)
  }

  /// Whether something was applied that no batch took along.
  var isBackendBehind: Bool {
    store.hasPending || backend.coming.index < applied.index
  }

  /// What no batch took along waits for the end of an interval, which begins now unless one is under way.
  mutating func askForCommit(_ out: inout MemberOutput) {
    if backend.asksForCommit(isBehind: isBackendBehind) { out.wantsCommit = true }
  }

  mutating func maybeSnapshot(_ out: inout MemberOutput) {
    guard backend.savingSnapshot == nil, !backend.isInstalling,
      backend.durable.index > backend.snapshotIndex,
      backend.durable.index.entries(behind: backend.snapshotIndex) >= config.snapshotCount
    else { return }
    // A snapshot is good only when the log knows that it was committed.
    writeNews(&out)
    backend.savingSnapshot = backend.durable
    out.saveSnapshot = Raftpb.Snapshot(
      data: backend.durable.v2.document(),
      metadata: Raftpb.SnapshotMetadata(
        confState: backend.durable.confState, index: backend.durable.index.rawValue,
        term: backend.durable.term.rawValue))
  }

  mutating func didSaveSnapshot(_ index: LogIndex, _ out: inout MemberOutput) {
    guard let position = backend.savingSnapshot, position.index == index else { return }
    backend.savingSnapshot = nil
    do throws(RaftStorageError) {
      _ = try node.storage.createSnapshot(
        at: index.rawValue, confState: position.confState, data: Bytes())
      backend.snapshotIndex = index
      let keep = config.catchUpEntries
      guard index.rawValue > keep else { return }
      try node.storage.compact(to: (index - keep).rawValue)
      out.compactedLog = index - keep
    } catch { _ = error }  // A newer snapshot was installed, or the log is compacted that far.
  }

  mutating func didInstall(
    _ append: LogAppend, _ restored: MVCCStore, _ out: inout MemberOutput
  ) {
    guard let snapshot = append.snapshot else { preconditionFailure("install without snapshot") }
    do {
      let position = try Position(snapshot)
      try node.storage.applySnapshot(snapshot)
      store = restored
      try alarms.restore(from: store)
      downgrade = try Self.downgrade(in: store)
      try restoreAuth(&out)
      replayUntil = try store.consistentIndex()
      applied = position
      newV2Store = V2News.Replacement(applied.v2)
      backend.installed(position, restored.committedState)
      // What was on its way is in the snapshot; raft still counts on hearing of it.
      for response in applyQueue.drop() { step(response) }
      heldSnapshots.removeAll()
      // Their rows went with the old state.
      out.replies += physicalCompactions.takeAll()
      let membership = applied.membership
      out.memberChanges += membership.sorted.map { .add($0) }
      out.memberChanges += membership.removed.sorted().map { .remove($0) }
    } catch { halt("snapshot at index \(snapshot.metadata.index): \(error)") }
    backend.endsInstallation()
    didAppend(append)
  }
}

extension Raftpb.ConfState {
  /// Whether a member votes, learns, or is about to leave in this configuration.
  func holds(_ member: MemberID) -> Bool {
    let id = member.rawValue
    return voters.contains(id) || learners.contains(id) || votersOutgoing.contains(id)
      || learnersNext.contains(id)
  }
}
