import EtcdAPI

extension RaftCore {
  /// Messages to a follower.
  mutating func stepFollower(_ message: Raftpb.Message) throws(RaftError) {
    switch message.type {
    case .prop: try forwardProposal(message)
    case .app:
      follow(message.from)
      try handleAppend(message)
    case .heartbeat:
      follow(message.from)
      try handleHeartbeat(message)
    case .snap:
      follow(message.from)
      handleSnapshot(message)
    case .transferLeader:
      forward(message, "leader transfer msg")
    case .readIndex:
      forward(message, "index reading msg")
    case .forgetLeader: forgetLeader()
    case .timeoutNow:
      logger.info(
        "\(hex(id)) [term \(term)] received MsgTimeoutNow from \(hex(message.from)) and starts an "
          + "election to get leadership.")
      // Without pre-vote: this is no return from a partition.
      startElection(.transfer)
    case .readIndexResp:
      guard message.entries.count == 1 else {
        logger.error(
          "\(hex(id)) invalid format of MsgReadIndexResp from \(hex(message.from)), "
            + "entries count: \(message.entries.count)")
        return
      }
      readStates.append(ReadState(index: message.index, context: message.entries[0].data))
    default: break
    }
  }

  private mutating func follow(_ leader: UInt64) {
    electionElapsed = 0
    lead = leader
  }

  private mutating func forwardProposal(_ message: Raftpb.Message) throws(RaftError) {
    if lead == RaftNodeID.none {
      logger.info("\(hex(id)) no leader at term \(term); dropping proposal")
      throw .proposalDropped
    }
    if config.disableProposalForwarding {
      logger.info(
        "\(hex(id)) not forwarding to leader \(hex(lead)) at term \(term); dropping proposal")
      throw .proposalDropped
    }
    var forwarded = message
    forwarded.to = lead
    forwarded.term = 0
    send(forwarded)
  }

  private mutating func forward(_ message: Raftpb.Message, _ what: String) {
    if lead == RaftNodeID.none {
      logger.info("\(hex(id)) no leader at term \(term); dropping \(what)")
      return
    }
    var forwarded = message
    forwarded.to = lead
    forwarded.term = 0
    send(forwarded)
  }

  private mutating func forgetLeader() {
    if config.readOnlyOption == .leaseBased {
      logger.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased")
      return
    }
    guard lead != RaftNodeID.none else { return }
    logger.info("\(hex(id)) forgetting leader \(hex(lead)) at term \(term)")
    lead = RaftNodeID.none
  }

  /// Appends a leader's entries and acknowledges, or tells where the logs may match.
  /// - Throws: `RaftError.contradiction`.
  mutating func handleAppend(_ message: Raftpb.Message) throws(RaftError) {
    if message.index < log.committed {
      send(Raftpb.Message(type: .appResp, to: message.from, index: log.committed))
      return
    }
    let previous = EntryID(term: message.logTerm, index: message.index)
    if let last = try log.append(after: previous, message.entries, committed: message.commit) {
      send(Raftpb.Message(type: .appResp, to: message.from, index: last))
      return
    }
    logger.debug(
      "\(hex(id)) [logterm: \(log.term(of: message.index) ?? 0), index: \(message.index)] rejected "
        + "MsgApp [logterm: \(message.logTerm), index: \(message.index)] from \(hex(message.from))")
    // Skips our tail of terms above the leader's, so that it probes once a term at most.
    let hint = log.conflictHint(
      index: min(message.index, log.lastIndex), term: message.logTerm)
    send(
      Raftpb.Message(
        type: .appResp, to: message.from, logTerm: hint.term, index: message.index, reject: true,
        rejectHint: hint.index))
  }

  /// - Throws: `RaftError.contradiction` when the leader knows this log to reach further than it does.
  mutating func handleHeartbeat(_ message: Raftpb.Message) throws(RaftError) {
    guard message.commit <= log.lastIndex else {
      throw .contradiction(
        "tocommit(\(message.commit)) is out of range [lastIndex(\(log.lastIndex))]. "
          + "Was the raft log corrupted, truncated, or lost?")
    }
    log.commit(to: message.commit)
    send(Raftpb.Message(type: .heartbeatResp, to: message.from, context: message.context))
  }

  mutating func handleSnapshot(_ message: Raftpb.Message) {
    let snapshot = message.snapshot ?? Raftpb.Snapshot()
    let restored = restore(snapshot)
    logger.info(
      "\(hex(id)) [commit: \(log.committed)] \(restored ? "restored" : "ignored") snapshot "
        + "[index: \(snapshot.metadata.index), term: \(snapshot.metadata.term)]")
    send(
      Raftpb.Message(
        type: .appResp, to: message.from, index: restored ? log.lastIndex : log.committed))
  }

  /// Replaces log and configuration by a snapshot; false when it is of no use.
  private mutating func restore(_ snapshot: Raftpb.Snapshot) -> Bool {
    let snapshotID = EntryID(term: snapshot.metadata.term, index: snapshot.metadata.index)
    let state = snapshot.metadata.confState
    guard snapshotID.index > log.committed else { return false }
    // Only followers get here.
    precondition(role == .follower, "\(hex(id)) restores a snapshot as \(role)")
    guard (state.voters + state.learners + state.votersOutgoing).contains(id) else {
      logger.warning(
        "\(hex(id)) attempted to restore snapshot but it is not in the ConfState "
          + "\(RaftText.describe(state)); should never happen")
      return false
    }
    if log.matches(snapshotID) {
      logRestored("fast-forwarded commit to", snapshotID)
      log.commit(to: snapshotID.index)
      return false
    }
    var empty = tracker
    empty.config = MemberConfig()
    empty.progress = ProgressMap()
    var changer = ConfChanger(empty, lastIndex: snapshotID.index)
    let restored: ConfChanger.Result
    do {
      restored = try changer.restore(state)
    } catch {
      logger.warning("\(hex(id)) unable to restore config \(RaftText.describe(state)): \(error)")
      return false
    }
    log.restore(snapshot)
    tracker.resetVotes()
    switchConfig(restored.config, restored.progress)
    logRestored("restored", snapshotID)
    return true
  }

  private func logRestored(_ verb: String, _ snapshot: EntryID) {
    let last = log.lastID
    logger.info(
      "\(hex(id)) [commit: \(log.committed), lastindex: \(last.index), lastterm: \(last.term)] "
        + "\(verb) snapshot [index: \(snapshot.index), term: \(snapshot.term)]")
  }
}
