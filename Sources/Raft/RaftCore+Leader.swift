import EtcdAPI

extension RaftCore {
  /// Messages to the leader.
  mutating func stepLeader(_ message: Raftpb.Message) throws(RaftError) {
    switch message.type {
    case .beat: broadcastHeartbeat()
    case .checkQuorum: checkQuorum()
    case .prop:
      var entries = message.entries
      try propose(&entries)
    case .readIndex: handleRead(message)
    case .forgetLeader: break
    default:
      guard let slot = tracker.progress.slot(of: message.from) else {
        logger.debug("\(hex(id)) no progress available for \(hex(message.from))")
        return
      }
      stepLeader(message, slot: slot)
    }
  }

  private mutating func stepLeader(_ message: Raftpb.Message, slot: Int) {
    switch message.type {
    case .appResp:
      tracker.progress.values[slot].recentActive = true
      if message.reject {
        handleRejection(message, slot: slot)
      } else {
        handleAcknowledgement(message, slot: slot)
      }
    case .heartbeatResp: handleHeartbeatResponse(message, slot: slot)
    case .snapStatus: handleSnapshotStatus(message, slot: slot)
    case .unreachable:
      // Appends on the way are probably lost.
      if tracker.progress.values[slot].state == .replicate {
        tracker.progress.values[slot].becomeProbe()
      }
      logger.debug(
        "\(hex(id)) failed to send message to \(hex(message.from)) because it is unreachable "
          + "[\(tracker.progress.values[slot])]")
    case .transferLeader: handleTransfer(to: message.from, slot: slot)
    default: break
    }
  }

  /// Appends a batch to the log and sends it to everyone.
  mutating func propose(_ entries: inout [Raftpb.Entry]) throws(RaftError) {
    if entries.isEmpty { throw .emptyProposal }
    // A removed leader accepts nothing more.
    if tracker.progress.slot(of: id) == nil { throw .proposalDropped }
    if leadTransferee != RaftNodeID.none {
      logger.debug(
        "\(hex(id)) [term \(term)] transfer leadership to \(hex(leadTransferee)) is in progress; "
          + "dropping proposal")
      throw .proposalDropped
    }
    for at in entries.indices where entries[at].isConfChange {
      try admitConfChange(&entries[at], offset: at)
    }
    guard append(&entries) else { throw .proposalDropped }
    broadcastAppend()
  }

  private mutating func handleRejection(_ message: Raftpb.Message, slot: Int) {
    logger.debug(
      "\(hex(id)) received MsgAppResp(rejected, hint: (index \(message.rejectHint), term "
        + "\(message.logTerm))) from \(hex(message.from)) for index \(message.index)")
    // The follower has `logTerm` at the hint; our entries above that term cannot be in its log, so
    // they need no probe.
    var hint = message.rejectHint
    if message.logTerm > 0 {
      hint = log.conflictHint(index: min(hint, log.lastIndex), term: message.logTerm).index
    }
    guard tracker.progress.values[slot].reject(message.index, hint: hint) else { return }
    logger.debug(
      "\(hex(id)) decreased progress of \(hex(message.from)) to [\(tracker.progress.values[slot])]")
    if tracker.progress.values[slot].state == .replicate {
      tracker.progress.values[slot].becomeProbe()
    }
    sendAppend(slot: slot, sendIfEmpty: true)
  }

  private mutating func handleAcknowledgement(_ message: Raftpb.Message, slot: Int) {
    // No log reaches further than the leader's.
    guard message.index <= log.lastIndex else { return }
    // A match we knew of still tells a probe that the member is there.
    guard
      tracker.progress.values[slot].acknowledge(message.index)
        || (tracker.progress.values[slot].match == message.index
          && tracker.progress.values[slot].state == .probe)
    else { return }
    updateState(message, slot: slot)

    if commitByQuorum() {
      releaseWaitingReads()
      broadcastAppend()
    } else if id != message.from
      && tracker.progress.values[slot].canBumpCommit(to: log.committed)
    {
      sendAppend(slot: slot, sendIfEmpty: true)
    }
    // The window may have room for several messages now.
    if id != message.from {
      while sendAppend(slot: slot, sendIfEmpty: false) {}
    }
    if message.from == leadTransferee && tracker.progress.values[slot].match == log.lastIndex {
      logger.info(
        "\(hex(id)) sent MsgTimeoutNow to \(hex(message.from)) after received MsgAppResp")
      send(Raftpb.Message(type: .timeoutNow, to: message.from))
    }
  }

  private mutating func updateState(_ message: Raftpb.Message, slot: Int) {
    switch tracker.progress.values[slot].state {
    case .probe: tracker.progress.values[slot].becomeReplicate()
    case .snapshot where tracker.progress.values[slot].match + 1 >= log.firstIndex:
      // Whatever snapshot arrived, from here on the log suffices.
      logger.debug(
        "\(hex(id)) recovered from needing snapshot, resumed sending replication messages to "
          + "\(hex(message.from)) [\(tracker.progress.values[slot])]")
      tracker.progress.values[slot].becomeProbe()
      tracker.progress.values[slot].becomeReplicate()
    case .snapshot: break
    case .replicate: tracker.progress.values[slot].inflights.free(through: message.index)
    }
  }

  private mutating func handleHeartbeatResponse(_ message: Raftpb.Message, slot: Int) {
    tracker.progress.values[slot].recentActive = true
    tracker.progress.values[slot].isFlowPaused = false
    // Also when the window is full or nothing is missing: the answer frees the window, or takes the
    // member back from probing.
    if tracker.progress.values[slot].match < log.lastIndex
      || tracker.progress.values[slot].state == .probe
    {
      sendAppend(slot: slot, sendIfEmpty: true)
    }
    confirmReads(message)
  }

  private mutating func handleSnapshotStatus(_ message: Raftpb.Message, slot: Int) {
    guard tracker.progress.values[slot].state == .snapshot else { return }
    // Without the snapshot, probing starts from the match again.
    if message.reject { tracker.progress.values[slot].pendingSnapshot = 0 }
    tracker.progress.values[slot].becomeProbe()
    logger.debug(
      "\(hex(id)) snapshot \(message.reject ? "failed" : "succeeded"), resumed sending replication "
        + "messages to \(hex(message.from)) [\(tracker.progress.values[slot])]")
    // Success: wait for the member's own answer. Failure: wait for a heartbeat.
    tracker.progress.values[slot].isFlowPaused = true
  }

  /// Hands leadership over as soon as the member has the whole log (Raft thesis §3.10).
  private mutating func handleTransfer(to transferee: UInt64, slot: Int) {
    if tracker.progress.values[slot].isLearner {
      logger.debug("\(hex(id)) is learner. Ignored transferring leadership")
      return
    }
    if leadTransferee != RaftNodeID.none {
      if leadTransferee == transferee {
        logger.info(
          "\(hex(id)) [term \(term)] transfer leadership to \(hex(transferee)) is in progress, "
            + "ignores request to same node \(hex(transferee))")
        return
      }
      logger.info(
        "\(hex(id)) [term \(term)] abort previous transferring leadership to "
          + "\(hex(leadTransferee))")
      leadTransferee = RaftNodeID.none
    }
    if transferee == id {
      logger.debug("\(hex(id)) is already leader. Ignored transferring leadership to self")
      return
    }
    logger.info("\(hex(id)) [term \(term)] starts to transfer leadership to \(hex(transferee))")
    // It has one election timeout.
    electionElapsed = 0
    leadTransferee = transferee
    if tracker.progress.values[slot].match == log.lastIndex {
      send(Raftpb.Message(type: .timeoutNow, to: transferee))
      logger.info(
        "\(hex(id)) sends MsgTimeoutNow to \(hex(transferee)) immediately as \(hex(transferee)) "
          + "already has up-to-date log")
    } else {
      sendAppend(slot: slot, sendIfEmpty: true)
    }
  }
}
