import Bytes
import EtcdAPI

extension RaftCore {
  /// Takes one message.
  mutating func step(_ message: Raftpb.Message) throws(RaftError) {
    // Term 0 marks messages of this member, proposals and reads.
    if message.term > term {
      guard enterHigherTerm(message) else { return }
    } else if message.term != 0 && message.term < term {
      answerLowerTerm(message)
      return
    }
    switch message.type {
    case .hup: startElection(config.preVote ? .preElection : .election)
    case .storageAppendResp: handleStorageAppendResponse(message)
    case .storageApplyResp: handleStorageApplyResponse(message)
    case .vote, .preVote: handleVoteRequest(message)
    default:
      switch role {
      case .leader: try stepLeader(message)
      case .follower: try stepFollower(message)
      case .candidate, .preCandidate: try stepCandidate(message)
      }
    }
  }

  /// Follows a higher term. Returns false when the message is to be ignored.
  private mutating func enterHigherTerm(_ message: Raftpb.Message) -> Bool {
    let isVote = message.type == .vote || message.type == .preVote
    if isVote && message.context != CampaignType.transferContext && isInLease {
      // Within an election timeout of hearing from a leader no other candidate is supported, so a
      // removed or partitioned member cannot disturb (Raft thesis §4.2.3).
      let last = log.lastID
      logger.info(
        "\(hex(id)) [logterm: \(last.term), index: \(last.index), vote: \(hex(vote))] ignored "
          + "\(message.type.text) from \(hex(message.from)) [logterm: \(message.logTerm), "
          + "index: \(message.index)] at term \(term): lease is not expired "
          + "(remaining ticks: \(config.electionTicks - electionElapsed))")
      return false
    }
    // A pre-vote, and the answer that grants it, speak of a term not yet begun.
    if message.type == .preVote || (message.type == .preVoteResp && !message.reject) {
      return true
    }
    logger.info(
      "\(hex(id)) [term: \(term)] received a \(message.type.text) message with higher term from "
        + "\(hex(message.from)) [term: \(message.term)]")
    switch message.type {
    case .app, .heartbeat, .snap: becomeFollower(term: message.term, lead: message.from)
    default: becomeFollower(term: message.term, lead: RaftNodeID.none)
    }
    return true
  }

  private var isInLease: Bool {
    config.checkQuorum && lead != RaftNodeID.none && electionElapsed < config.electionTicks
  }

  private mutating func answerLowerTerm(_ message: Raftpb.Message) {
    switch message.type {
    case .heartbeat where config.checkQuorum || config.preVote,
      .app where config.checkQuorum || config.preVote:
      // Our term may have risen in isolation, and votes alone cannot tell the leader: members in
      // its lease ignore them. An answer with our term makes it step down, and we rejoin.
      send(Raftpb.Message(type: .appResp, to: message.from))
    case .preVote:
      // A candidate of an older term with a longer log would wait forever without an answer.
      logVote("rejected", message)
      send(Raftpb.Message(type: .preVoteResp, to: message.from, term: term, reject: true))
    case .storageAppendResp:
      if message.index != 0 {
        // A later term may be overwriting those entries right now.
        logger.info(
          "\(hex(id)) [term: \(term)] ignored entry appends from a \(message.type.text) message "
            + "with lower term [term: \(message.term)]")
      }
      // A snapshot holds committed state, which is valid in any term.
      if let snapshot = message.snapshot { appliedSnapshot(snapshot) }
    default:
      logger.info(
        "\(hex(id)) [term: \(term)] ignored a \(message.type.text) message with lower term from "
          + "\(hex(message.from)) [term: \(message.term)]")
    }
  }

  private mutating func handleStorageAppendResponse(_ message: Raftpb.Message) {
    if message.index != 0 {
      log.unstable.stable(to: EntryID(term: message.logTerm, index: message.index))
    }
    if let snapshot = message.snapshot { appliedSnapshot(snapshot) }
  }

  private mutating func handleStorageApplyResponse(_ message: Raftpb.Message) {
    guard let last = message.entries.last else { return }
    applied(to: last.index, size: limitSize(message.entries))
    // The estimate may be too low, as it starts from 0 with each term.
    uncommittedSize -= min(uncommittedSize, payloadSize(message.entries))
  }

  private mutating func appliedSnapshot(_ snapshot: Raftpb.Snapshot) {
    let index = snapshot.metadata.index
    log.unstable.stableSnapshot(at: index)
    applied(to: index, size: 0)
  }

  /// Notes what the application has applied; a leader then leaves a joint configuration that is to
  /// be left automatically.
  private mutating func applied(to index: UInt64, size: UInt64) {
    let newApplied = max(index, log.applied)
    log.applied(to: newApplied, size: size)
    guard tracker.config.autoLeave && newApplied >= pendingConfIndex && role == .leader
    else { return }
    do throws(RaftError) {
      // Dropped during a leadership transfer; the next application tries again.
      var entries = [ConfChangeProposal.leaveJoint.entry]
      try propose(&entries)
      logger.info(
        "initiating automatic transition out of joint configuration \(tracker.config)")
    } catch {
      logger.debug(
        "not initiating automatic transition out of joint configuration \(tracker.config): \(error)"
      )
    }
  }

  /// Logs what became of a vote request.
  func logVote(_ verb: String, _ message: Raftpb.Message) {
    let last = log.lastID
    logger.info(
      "\(hex(id)) [logterm: \(last.term), index: \(last.index), vote: \(hex(vote))] \(verb) "
        + "\(message.type.text) \(verb == "cast" ? "for" : "from") \(hex(message.from)) "
        + "[logterm: \(message.logTerm), index: \(message.index)] at term \(term)")
  }
}
