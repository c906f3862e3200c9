import Bytes
import EtcdAPI

/// Why a member campaigns.
enum CampaignType {
  /// First phase with pre-vote: asks without a new term.
  case preElection
  case election
  /// A leader asked for it; voters then disregard the lease.
  case transfer

  /// What vote requests of a transfer carry.
  static let transferContext: Bytes = "CampaignTransfer"
}

extension RaftCore {
  /// Whether this member may become leader.
  var isPromotable: Bool {
    guard let slot = tracker.progress.slot(of: id) else { return false }
    return !tracker.progress.values[slot].isLearner && !log.hasPendingSnapshot
  }

  /// Starts over in a term: what belonged to the old role is forgotten.
  private mutating func reset(term newTerm: UInt64) {
    if term != newTerm {
      term = newTerm
      vote = RaftNodeID.none
    }
    lead = RaftNodeID.none
    electionElapsed = 0
    heartbeatElapsed = 0
    randomizedElectionTimeout = config.electionTicks + random.below(config.electionTicks)
    leadTransferee = RaftNodeID.none
    tracker.resetVotes()
    let last = log.lastIndex
    let own = tracker.progress.slot(of: id)
    for slot in tracker.progress.values.indices {
      tracker.progress.values[slot] = Progress(
        next: last + 1, inflights: tracker.emptyInflights,
        isLearner: tracker.progress.values[slot].isLearner, match: slot == own ? last : 0)
    }
    pendingConfIndex = 0
    uncommittedSize = 0
    readOnly = ReadOnly(option: config.readOnlyOption)
  }

  mutating func becomeFollower(term newTerm: UInt64, lead newLead: UInt64) {
    reset(term: newTerm)
    lead = newLead
    role = .follower
    logger.info("\(hex(id)) became follower at term \(term)")
  }

  private mutating func becomeCandidate() {
    precondition(role != .leader, "invalid transition [leader -> candidate] at term \(term)")
    reset(term: term + 1)
    vote = id
    role = .candidate
    logger.info("\(hex(id)) became candidate at term \(term)")
  }

  /// Changes neither term nor vote.
  private mutating func becomePreCandidate() {
    precondition(role != .leader, "invalid transition [leader -> pre-candidate] at term \(term)")
    tracker.resetVotes()
    lead = RaftNodeID.none
    role = .preCandidate
    logger.info("\(hex(id)) became pre-candidate at term \(term)")
  }

  private mutating func becomeLeader() {
    precondition(role != .follower, "invalid transition [follower -> leader] at term \(term)")
    reset(term: term)
    lead = id
    role = .leader
    guard let own = tracker.progress.slot(of: id) else {
      preconditionFailure("\(hex(id)) won an election without being in \(tracker.config)")
    }
    tracker.progress.values[own].becomeReplicate()
    tracker.progress.values[own].recentActive = true
    // There may be a change in the tail; finding out costs more than waiting for the tail.
    pendingConfIndex = log.lastIndex
    // Commits what earlier terms left (Raft thesis §3.6.2).
    var entries = [Raftpb.Entry()]
    let accepted = append(&entries)
    precondition(accepted, "empty entry was dropped at term \(term)")
    logger.info("\(hex(id)) became leader at term \(term)")
  }

  /// Campaigns, unless something speaks against it.
  mutating func startElection(_ type: CampaignType) {
    if role == .leader {
      logger.debug("\(hex(id)) ignoring MsgHup because already leader")
      return
    }
    guard isPromotable else {
      logger.warning("\(hex(id)) is unpromotable and can not campaign")
      return
    }
    guard mayCampaign else {
      logger.warning("\(hex(id)) does not campaign at term \(term): its storage is stuck")
      return
    }
    // A quorum of the old configuration must not elect once the new one may be in force elsewhere.
    if log.hasUnappliedConfChange() {
      logger.warning(
        "\(hex(id)) cannot campaign at term \(term) since there are still pending configuration "
          + "changes to apply")
      return
    }
    guard term < .max - 1 else {
      logger.error("\(hex(id)) cannot campaign: no term is left behind term \(term)")
      return
    }
    logger.info("\(hex(id)) is starting a new election at term \(term)")
    campaign(type)
  }

  private mutating func campaign(_ type: CampaignType) {
    let isPre = type == .preElection
    if isPre { becomePreCandidate() } else { becomeCandidate() }
    let request: Raftpb.MessageType = isPre ? .preVote : .vote
    let voteTerm = isPre ? term + 1 : term
    for voter in tracker.config.voters.ids {
      if voter == id {
        // Our own vote counts once it is stable, like any other.
        send(Raftpb.Message(type: isPre ? .preVoteResp : .voteResp, to: id, term: voteTerm))
        continue
      }
      let last = log.lastID
      logger.info(
        "\(hex(id)) [logterm: \(last.term), index: \(last.index)] sent \(request.text) request to "
          + "\(hex(voter)) at term \(term)")
      send(
        Raftpb.Message(
          type: request, to: voter, term: voteTerm, logTerm: last.term, index: last.index,
          context: type == .transfer ? CampaignType.transferContext : Bytes()))
    }
  }

  /// Decides about a vote request (Raft thesis §3.4, §3.6.1, §9.6). A learner votes too: it may have
  /// been promoted without knowing it yet, and its vote may be the one that is needed.
  mutating func handleVoteRequest(_ message: Raftpb.Message) {
    let canVote =
      vote == message.from
      || (vote == RaftNodeID.none && lead == RaftNodeID.none)
      || (message.type == .preVote && message.term > term)
    let candidateLast = EntryID(term: message.logTerm, index: message.index)
    let response: Raftpb.MessageType = message.type == .preVote ? .preVoteResp : .voteResp
    guard canVote && log.isUpToDate(candidateLast) else {
      logVote("rejected", message)
      send(Raftpb.Message(type: response, to: message.from, term: term, reject: true))
      return
    }
    logVote("cast", message)
    // The term asked for: a pre-candidate drops answers of its present term.
    send(Raftpb.Message(type: response, to: message.from, term: message.term))
    if message.type == .vote {
      electionElapsed = 0
      vote = message.from
    }
  }

  /// Messages to a candidate or pre-candidate.
  mutating func stepCandidate(_ message: Raftpb.Message) throws(RaftError) {
    switch message.type {
    case .prop:
      logger.info("\(hex(id)) no leader at term \(term); dropping proposal")
      throw .proposalDropped
    case .app:
      becomeFollower(term: message.term, lead: message.from)
      try handleAppend(message)
    case .heartbeat:
      becomeFollower(term: message.term, lead: message.from)
      try handleHeartbeat(message)
    case .snap:
      becomeFollower(term: message.term, lead: message.from)
      handleSnapshot(message)
    case .preVoteResp where role == .preCandidate, .voteResp where role == .candidate:
      countVote(message)
    case .timeoutNow:
      logger.debug(
        "\(hex(id)) [term \(term) state \(role)] ignored MsgTimeoutNow from \(hex(message.from))")
    default: break
    }
  }

  private mutating func countVote(_ message: Raftpb.Message) {
    logger.info(
      "\(hex(id)) received \(message.type.text)\(message.reject ? " rejection" : "") from "
        + "\(hex(message.from)) at term \(term)")
    tracker.recordVote(message.from, granted: !message.reject)
    let (granted, rejected, result) = tracker.tally()
    logger.info(
      "\(hex(id)) has received \(granted) \(message.type.text) votes and \(rejected) vote "
        + "rejections")
    switch result {
    case .won where role == .preCandidate: campaign(.election)
    case .won:
      becomeLeader()
      broadcastAppend()
    case .lost: becomeFollower(term: term, lead: RaftNodeID.none)
    case .pending: break
    }
  }
}
