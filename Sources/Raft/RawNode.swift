import Bytes
import EtcdAPI

/// One raft member as its owner drives it: events in, `Ready` out. Not shared between threads.
///
/// - Source: etcd-io/raft `RawNode`.
public struct RawNode<Storage: RaftStorage> {
  var core: RaftCore<Storage>
  var previousSoftState: SoftState
  var previousHardState: Raftpb.HardState
  /// What `advance` reports to the machine.
  var stepsOnAdvance: [Raftpb.Message] = []

  /// A member that continues from what the storage holds.
  /// - Throws: `RaftError.invalidConfig`, `.invalidState` or `.confChange`.
  public init(_ config: RaftConfig, storage: Storage) throws(RaftError) {
    core = try RaftCore(config, storage: storage)
    previousSoftState = SoftState(lead: core.lead, role: core.role)
    previousHardState = core.hardState
  }

  /// The stable log; the owner writes to it what `Ready` asks for.
  public var storage: Storage {
    _read { yield core.log.storage }
    _modify { yield &core.log.storage }
  }

  /// This member.
  public var id: UInt64 { core.id }

  /// The settings, with defaults put in.
  public var config: RaftConfig { core.config }

  /// Whether it may try to lead, by itself or when it is asked to. One that may not votes and follows.
  public var mayCampaign: Bool {
    get { core.mayCampaign }
    set { core.mayCampaign = newValue }
  }

  /// Passes one tick.
  public mutating func tick() { core.tick() }

  /// Starts an election.
  public mutating func campaign() {
    core.startElection(core.config.preVote ? .preElection : .election)
  }

  /// Takes a message from another member or a storage thread.
  ///
  /// The sender must be the member it claims to be; beyond that, messages no correct member sends
  /// are refused.
  /// - Throws: `RaftError.stepLocalMessage`, `.peerNotFound`, `.malformedMessage`,
  ///   `.malformedConfChange`, `.proposalDropped`, or `.contradiction`, after which the member must not
  ///   go on.
  public mutating func step(_ message: Raftpb.Message) throws(RaftError) {
    let isFromThread = RaftNodeID.isLocalThread(message.from)
    if message.type.isLocal && !isFromThread { throw .stepLocalMessage }
    if message.type.isResponse && !isFromThread
      && core.tracker.progress.slot(of: message.from) == nil
    {
      throw .peerNotFound
    }
    if let reason = message.malformation { throw .malformedMessage(reason) }
    if !isFromThread, let reason = core.implausibility(of: message) {
      throw .malformedMessage(reason)
    }
    try core.step(message)
  }

  /// Proposes a batch of entries with one broadcast; all are taken or none.
  /// - Throws: `RaftError.proposalDropped`, or `.emptyProposal` when there is nothing in it.
  public mutating func propose(_ data: [Bytes]) throws(RaftError) {
    if data.isEmpty { throw .emptyProposal }
    var entries = data.map { Raftpb.Entry(data: $0) }
    try propose(&entries)
  }

  /// Proposes a configuration change.
  /// - Throws: `RaftError.proposalDropped`. A change that is not allowed now is logged and becomes an
  ///   empty entry.
  public mutating func proposeConfChange(_ change: ConfChangeProposal) throws(RaftError) {
    var entries = [change.entry]
    try propose(&entries)
  }

  private mutating func propose(_ entries: inout [Raftpb.Entry]) throws(RaftError) {
    if core.role == .leader {
      try core.propose(&entries)
    } else {
      try core.step(Raftpb.Message(type: .prop, from: core.id, entries: entries))
    }
  }

  /// Puts a configuration change in force. The owner calls it when it applies the entry, unless it
  /// rejects the change.
  ///
  /// An apply thread may be behind a snapshot that already set a later configuration; with the index
  /// of the entry such a change is recognised and changes nothing.
  /// - Parameter index: index of the entry.
  /// - Returns: the configuration in force.
  /// - Throws: `RaftError.confChange` when it does not fit; nothing has changed then.
  @discardableResult
  public mutating func applyConfChange(
    _ change: Raftpb.ConfChangeV2, at index: UInt64? = nil
  ) throws(RaftError) -> Raftpb.ConfState {
    let covered = max(core.log.applied, core.log.unstable.snapshot?.metadata.index ?? 0)
    if let index, index <= covered { return core.tracker.config.confState }
    return try core.apply(change)
  }

  /// Asks for a read index; the answer comes in `Ready.readStates` with the same context.
  ///
  /// There is no answer when there is no leader or messages are lost: ask again. With the same context, a late
  /// answer to the first question counts as well.
  public mutating func readIndex(context: Bytes) {
    stepOwn(Raftpb.Message(type: .readIndex, entries: [Raftpb.Entry(data: context)]))
  }

  /// Asks the leader to hand over to a member.
  public mutating func transferLeader(to id: UInt64) {
    stepOwn(Raftpb.Message(type: .transferLeader, from: id))
  }

  /// Makes a follower forget its leader, so that it may vote for another one at once.
  public mutating func forgetLeader() {
    stepOwn(Raftpb.Message(type: .forgetLeader))
  }

  /// Reports that the last message to a member was not delivered.
  public mutating func reportUnreachable(_ id: UInt64) {
    stepOwn(Raftpb.Message(type: .unreachable, from: id))
  }

  /// Reports what became of a snapshot sent to a member.
  public mutating func reportSnapshot(_ id: UInt64, failed: Bool) {
    stepOwn(Raftpb.Message(type: .snapStatus, from: id, reject: failed))
  }

  private mutating func stepOwn(_ message: Raftpb.Message) {
    do {
      try core.step(message)
    } catch {
      core.logger.debug("\(message.type.text) not taken: \(error)")
    }
  }

  /// Overrides the election timeout, in ticks, until the role changes; for tests.
  package mutating func setRandomizedElectionTimeout(_ ticks: Int) {
    core.randomizedElectionTimeout = ticks
  }
}

extension RawNode: Sendable where Storage: Sendable {}

extension Raftpb.Message {
  /// Why no correct member can have sent this; `nil` when there is nothing to say against it.
  var malformation: String? {
    if term == .max { return "term out of range" }
    let last = RaftBounds.indexMax
    if index > last || commit > last || rejectHint > last {
      return "index out of range: \(index), commit \(commit), hint \(rejectHint)"
    }
    if type.carriesTerm && term == 0 { return "\(type.text) without a term" }
    switch type {
    case .prop: return entries.isEmpty ? "proposal without entries" : nil
    case .readIndex: return entries.isEmpty ? "read without a context" : nil
    case .app: return areEntriesConsistent ? nil : "entries are not a slice of a leader's log"
    case .snap:
      guard let metadata = snapshot?.metadata else { return "snapshot message without a snapshot" }
      if metadata.index > last || metadata.term > term { return "snapshot out of range" }
      let members = metadata.confState.memberCount
      return members > RaftBounds.membersMax ? "configuration of \(members) members" : nil
    default: return nil
    }
  }

  /// Indexes follow on `index`, terms ascend from `logTerm` and end at most at the leader's `term`.
  private var areEntriesConsistent: Bool {
    guard index < .max - UInt64(entries.count) else { return false }
    var last = EntryID(term: logTerm, index: index)
    for entry in entries {
      guard entry.index == last.index + 1 && entry.term >= last.term else { return false }
      last = entry.id
    }
    return last.term <= term
  }
}

/// Numbers that no cluster reaches and that arithmetic on them bears.
public enum RaftBounds {
  /// Four billion entries a second for a lifetime.
  static let indexMax: UInt64 = 1 << 62
  /// Elections that a member can have held alone while others did not hear of them: one a millisecond
  /// for more than a century.
  static let termJumpMax: UInt64 = 1 << 42
  /// Members of a configuration that a message or an entry names; bringing in one costs the square of those that
  /// are there.
  public static let membersMax = 256
}

extension Raftpb.ConfState {
  /// Ids that it names, one several times perhaps.
  fileprivate var memberCount: Int {
    voters.count + learners.count + votersOutgoing.count + learnersNext.count
  }
}

extension RaftCore {
  /// Why no correct member can have sent this to a member in this state; `nil` when nothing speaks
  /// against it. A term out of reach would leave no room for the elections to come.
  func implausibility(of message: Raftpb.Message) -> String? {
    guard message.term > term, message.term - term > RaftBounds.termJumpMax else { return nil }
    return "term \(message.term) is out of reach of term \(term)"
  }
}
