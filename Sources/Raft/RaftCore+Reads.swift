import EtcdAPI

extension RaftCore {
  /// Whether this leader knows how far the log is committed (Raft thesis §6.4, step 1).
  private var hasCommittedInTerm: Bool { log.term(of: log.committed) == term }

  /// Takes a read as leader.
  mutating func handleRead(_ message: Raftpb.Message) {
    // A leader alone must wait as well: a restart may have lost the newest commit index.
    if !hasCommittedInTerm {
      guard waitingReads.count < RaftLimits.pendingReadsMax else {
        logger.warning("\(hex(id)) too many waiting reads at term \(term); dropping one")
        return
      }
      waitingReads.append(message)
    } else {
      confirmRead(message)
    }
  }

  private mutating func confirmRead(_ message: Raftpb.Message) {
    guard !tracker.isSingleton else { return answerRead(message, index: log.committed) }
    switch config.readOnlyOption {
    case .leaseBased: answerRead(message, index: log.committed)
    case .safe:
      guard !readOnly.isFull else {
        logger.warning("\(hex(id)) too many unconfirmed reads at term \(term); dropping one")
        return
      }
      readOnly.add(message, index: log.committed)
      readOnly.acknowledge(from: id, context: readOnly.heartbeatContext)
      broadcastHeartbeat()
    }
  }

  /// Goes on with reads that waited for the first commit of the term.
  mutating func releaseWaitingReads() {
    guard !waitingReads.isEmpty else { return }
    guard hasCommittedInTerm else {
      logger.error(
        "pending MsgReadIndex should be released only after first commit in current term")
      return
    }
    let reads = waitingReads
    waitingReads = []
    for read in reads { confirmRead(read) }
  }

  /// Counts a heartbeat answer for the waiting reads.
  mutating func confirmReads(_ message: Raftpb.Message) {
    guard config.readOnlyOption == .safe, !message.context.isEmpty else { return }
    readOnly.acknowledge(from: message.from, context: message.context)
    for read in readOnly.takeConfirmed(tracker.config.voters) {
      answerRead(read.message, index: read.index)
    }
  }

  /// Answers this member's application or the member that passed the read on.
  private mutating func answerRead(_ message: Raftpb.Message, index: UInt64) {
    if message.from == RaftNodeID.none || message.from == id {
      guard let context = message.entries.first?.data else { return }
      readStates.append(ReadState(index: index, context: context))
    } else {
      send(
        Raftpb.Message(
          type: .readIndexResp, to: message.from, index: index, entries: message.entries))
    }
  }
}
