import EtcdAPI

extension RawNode {
  private var softState: SoftState { SoftState(lead: core.lead, role: core.role) }
  private var isAsync: Bool { core.config.asyncStorageWrites }

  /// Whether `ready()` would have something in it.
  public var hasReady: Bool {
    if softState != previousSoftState { return true }
    let hardState = core.hardState
    if !hardState.isEmpty && hardState != previousHardState { return true }
    return core.log.unstable.hasNextSnapshot || !core.messages.isEmpty
      || !core.messagesAfterAppend.isEmpty || core.log.unstable.hasNextEntries
      || core.log.hasNextCommitted(allowUnstable: !isAsync) || !core.readStates.isEmpty
  }

  /// What has to be done next. It must be done, and with synchronous storage `advance` be called
  /// before the next `ready`.
  public mutating func ready() -> Ready {
    precondition(
      stepsOnAdvance.isEmpty, "two accepted Ready structs without call to Advance")
    var ready = collect()
    accept(&ready)
    return ready
  }

  private mutating func collect() -> Ready {
    var ready = Ready()
    ready.entries = core.log.unstable.nextEntries
    ready.committedEntries = core.log.nextCommitted(allowUnstable: !isAsync)
    swap(&ready.messages, &core.messages)
    swap(&ready.readStates, &core.readStates)
    let soft = softState
    if soft != previousSoftState {
      ready.softState = soft
      previousSoftState = soft
    }
    let hard = core.hardState
    ready.mustSync =
      !ready.entries.isEmpty || hard.vote != previousHardState.vote
      || hard.term != previousHardState.term
    if hard != previousHardState {
      ready.hardState = hard
      previousHardState = hard
    }
    ready.snapshot = core.log.unstable.nextSnapshot
    return ready
  }

  /// Adds the messages that wait for storage, and marks everything as handed out.
  private mutating func accept(_ ready: inout Ready) {
    let committed = ready.committedEntries
    if isAsync {
      if needsStorageAppend(ready) { ready.messages.append(storageAppend(ready)) }
      if !committed.isEmpty { ready.messages.append(storageApply(committed)) }
    } else {
      for message in core.messagesAfterAppend {
        if message.to == core.id {
          stepsOnAdvance.append(message)
        } else {
          ready.messages.append(message)
        }
      }
      if needsStorageAppendResponse(ready) { stepsOnAdvance.append(storageAppendResponse(ready)) }
      if !committed.isEmpty { stepsOnAdvance.append(storageApplyResponse(committed)) }
    }
    core.messagesAfterAppend = []
    core.log.unstable.acceptInProgress()
    core.log.lastSlice = nil
    if let last = committed.last {
      core.log.acceptApplying(
        to: last.index, size: limitSize(committed), allowUnstable: !isAsync)
    }
  }

  /// Reports that everything in the last `Ready` is done. With asynchronous storage the responses of
  /// the threads take its place.
  public mutating func advance() {
    precondition(!isAsync, "Advance must not be called when using AsyncStorageWrites")
    var steps: [Raftpb.Message] = []
    swap(&steps, &stepsOnAdvance)
    for message in steps {
      do {
        try core.step(message)
      } catch {
        core.logger.debug("\(message.type.text) not taken: \(error)")
      }
    }
  }

  private func needsStorageAppend(_ ready: Ready) -> Bool {
    !ready.entries.isEmpty || ready.hardState != nil || ready.snapshot != nil
      || !core.messagesAfterAppend.isEmpty
  }

  private func needsStorageAppendResponse(_ ready: Ready) -> Bool {
    core.log.unstable.count > 0 || ready.snapshot != nil
  }

  /// The message that has entries, hard state and snapshot written, with what may be sent once they
  /// are durable. Our own acknowledgement comes before the report of the write: it then finds the
  /// terms in the unstable part.
  private func storageAppend(_ ready: Ready) -> Raftpb.Message {
    var message = Raftpb.Message(
      type: .storageAppend, to: RaftNodeID.appendThread, from: core.id, entries: ready.entries,
      snapshot: ready.snapshot, responses: core.messagesAfterAppend)
    if let hardState = ready.hardState {
      message.term = hardState.term
      message.vote = hardState.vote
      message.commit = hardState.commit
    }
    if needsStorageAppendResponse(ready) {
      message.responses.append(storageAppendResponse(ready))
    }
    return message
  }

  /// The report that the log up to its present end is stable.
  ///
  /// It carries the present term and counts only in it: in a later term a write may be under way
  /// that replaces these entries, and a third one that brings entries of the same index and term
  /// back, so index and term of the entry alone cannot tell. Since such a report may be dropped,
  /// every write reports the end of the log, also one that brings no entries.
  private func storageAppendResponse(_ ready: Ready) -> Raftpb.Message {
    var message = Raftpb.Message(
      type: .storageAppendResp, to: core.id, from: RaftNodeID.appendThread, term: core.term,
      snapshot: ready.snapshot)
    if core.log.unstable.count > 0 {
      let last = core.log.lastID
      message.index = last.index
      message.logTerm = last.term
    }
    return message
  }

  private func storageApply(_ entries: [Raftpb.Entry]) -> Raftpb.Message {
    Raftpb.Message(
      type: .storageApply, to: RaftNodeID.applyThread, from: core.id, entries: entries,
      responses: [storageApplyResponse(entries)])
  }

  /// Committed entries are applied in no particular term.
  private func storageApplyResponse(_ entries: [Raftpb.Entry]) -> Raftpb.Message {
    Raftpb.Message(
      type: .storageApplyResp, to: core.id, from: RaftNodeID.applyThread, entries: entries)
  }
}
