import EtcdAPI

/// Role of a member in its term.
public enum RaftRole: Sendable, Hashable, CustomStringConvertible {
  case follower, candidate, leader, preCandidate

  public var description: String {
    switch self {
    case .follower: "StateFollower"
    case .candidate: "StateCandidate"
    case .leader: "StateLeader"
    case .preCandidate: "StatePreCandidate"
    }
  }
}

/// The raft state machine of one member: messages and ticks in, messages and log changes out.
///
/// It does no input or output; `RawNode` collects what has to be written, sent and applied.
///
/// - Source: Raft thesis ch. 3, 4, 6, 9; etcd-io/raft `raft`.
struct RaftCore<Storage: RaftStorage> {
  let config: RaftConfig
  let logger: LogSink
  var random: SplitMix64

  var term: UInt64 = 0
  var vote = RaftNodeID.none
  var lead = RaftNodeID.none
  var role = RaftRole.follower
  var isLearner = false
  var log: RaftLog<Storage>
  var tracker: ProgressTracker

  /// To other members, sent at once.
  var messages: [Raftpb.Message] = []
  /// Votes and acknowledgements: they promise what must first be stable here.
  var messagesAfterAppend: [Raftpb.Message] = []
  /// Answers to reads of this member.
  var readStates: [ReadState] = []

  var readOnly: ReadOnly
  /// Reads that came before this leader had a committed entry in its term.
  var waitingReads: [Raftpb.Message] = []
  /// Whom the leader is handing over to (Raft thesis §3.10).
  var leadTransferee = RaftNodeID.none
  /// Whether elections may be started.
  var mayCampaign = true
  /// No configuration change is accepted before this index is applied.
  var pendingConfIndex: UInt64 = 0
  /// Payload bytes of the leader's uncommitted tail, possibly underestimated.
  var uncommittedSize: UInt64 = 0

  /// Ticks since an election timeout, or since the leader was heard of.
  var electionElapsed = 0
  /// Ticks since the last heartbeat of a leader.
  var heartbeatElapsed = 0
  /// Between one and two election timeouts, drawn anew at each change of role.
  var randomizedElectionTimeout = 0

  var id: UInt64 { config.id }

  /// - Throws: `RaftError` when the settings or what the storage holds cannot work.
  init(_ settings: RaftConfig, storage: Storage) throws(RaftError) {
    config = try settings.validated()
    logger = LogSink(logger: config.logger)
    random = config.random
    log = RaftLog(
      storage: storage, maxApplyingSize: config.maxCommittedSizePerReady, logger: logger)
    tracker = ProgressTracker(
      maxInflight: config.maxInflightMessages, maxInflightBytes: config.maxInflightBytes)
    readOnly = ReadOnly(option: config.readOnlyOption)
    try restoreState()
    becomeFollower(term: term, lead: RaftNodeID.none)
    let last = log.lastID
    logger.info(
      "newRaft \(hex(id)) [peers: [\(tracker.config.voters.ids.map(hex).joined(separator: ","))], "
        + "term: \(term), commit: \(log.committed), applied: \(log.applied), "
        + "lastindex: \(last.index), lastterm: \(last.term)]")
  }

  private mutating func restoreState() throws(RaftError) {
    let hardState: Raftpb.HardState
    do {
      let saved = try log.storage.initialState()
      hardState = saved.hardState
      var changer = ConfChanger(tracker, lastIndex: log.lastIndex)
      let restored = try changer.restore(saved.confState)
      switchConfig(restored.config, restored.progress)
    } catch let error as ConfChangeError {
      throw .confChange(error)
    } catch {
      throw .invalidState("initial state: \(error)")
    }
    if !hardState.isEmpty {
      guard log.committed <= hardState.commit && hardState.commit <= log.lastIndex else {
        throw .invalidState(
          "\(hex(id)) state.commit \(hardState.commit) is out of range "
            + "[\(log.committed), \(log.lastIndex)]")
      }
      log.restoreCommitted(hardState.commit)
      term = hardState.term
      vote = hardState.vote
    }
    if config.applied > 0 {
      guard log.applied <= config.applied && config.applied <= log.committed else {
        throw .invalidState(
          "applied(\(config.applied)) is out of range "
            + "[prevApplied(\(log.applied)), committed(\(log.committed))]")
      }
      log.applied(to: config.applied, size: 0)
    }
  }

  var hardState: Raftpb.HardState {
    Raftpb.HardState(term: term, vote: vote, commit: log.committed)
  }

  /// Passes one tick.
  mutating func tick() {
    if role == .leader { tickHeartbeat() } else { tickElection() }
  }

  private mutating func tickElection() {
    electionElapsed += 1
    guard isPromotable && electionElapsed >= randomizedElectionTimeout else { return }
    electionElapsed = 0
    startElection(config.preVote ? .preElection : .election)
  }

  private mutating func tickHeartbeat() {
    heartbeatElapsed += 1
    electionElapsed += 1
    if electionElapsed >= config.electionTicks {
      electionElapsed = 0
      if config.checkQuorum { checkQuorum() }
      // A transfer that took an election timeout has failed.
      if role == .leader { leadTransferee = RaftNodeID.none }
    }
    guard role == .leader, heartbeatElapsed >= config.heartbeatTicks else { return }
    heartbeatElapsed = 0
    broadcastHeartbeat()
  }

  /// Puts a message into the right queue, with sender and term.
  mutating func send(_ outgoing: Raftpb.Message) {
    var message = outgoing
    if message.from == RaftNodeID.none { message.from = id }
    switch message.type {
    case .vote, .voteResp, .preVote, .preVoteResp:
      // The term campaigned for or voted on, which is not always our own.
      precondition(message.term != 0, "term should be set when sending \(message.type.text)")
    case .prop, .readIndex:
      precondition(message.term == 0, "term \(message.term) on a forwarded \(message.type.text)")
    default:
      precondition(
        message.term == 0,
        "term should not be set when sending \(message.type.text) (was \(message.term))")
      message.term = term
    }
    switch message.type {
    case .appResp, .voteResp, .preVoteResp:
      // Must not leave before the vote or the entries are stable here (Raft thesis §3.8).
      messagesAfterAppend.append(message)
    default:
      precondition(
        message.to != id, "message should not be self-addressed when sending \(message.type.text)")
      messages.append(message)
    }
  }
}

extension RaftCore: Sendable where Storage: Sendable {}
