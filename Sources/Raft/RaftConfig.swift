/// Ids with a meaning of their own.
public enum RaftNodeID {
  /// No member.
  public static let none: UInt64 = 0
  /// Target of `storageAppend` messages when storage writes are asynchronous.
  public static let appendThread: UInt64 = .max
  /// Target of `storageApply` messages when storage writes are asynchronous.
  public static let applyThread: UInt64 = .max - 1

  /// Whether the id names a storage thread of the member itself.
  public static func isLocalThread(_ id: UInt64) -> Bool {
    id == appendThread || id == applyThread
  }
}

/// How a linearizable read finds out that its leader still leads.
public enum ReadOnlyOption: Sendable, Hashable {
  /// A round of heartbeats answered by a quorum (Raft thesis §6.4).
  case safe
  /// The leader's lease; needs check-quorum and bounded clock drift.
  case leaseBased
}

/// Sizes that keep memory bounded whatever peers and clients do.
enum RaftLimits {
  /// No limit.
  static let none = UInt64.max
  /// Reads a leader holds while it has no committed entry in its term, and reads not yet confirmed.
  /// A read beyond it is dropped, and its client asks again.
  static let pendingReadsMax = 1 << 16
}

/// Settings of one raft member.
///
/// - Units: times in ticks, sizes in bytes.
/// - Source: etcd-io/raft `Config`.
public struct RaftConfig: Sendable {
  /// This member; neither 0 nor a storage thread.
  public var id: UInt64
  /// Ticks without a leader's message after which an election may start.
  public var electionTicks: Int
  /// Ticks between two heartbeats.
  public var heartbeatTicks: Int
  /// Last index the application has applied; set on restart.
  public var applied: UInt64
  /// Storage writes by messages to threads instead of `ready`/`advance`.
  public var asyncStorageWrites: Bool
  /// Largest sum of encoded entries in one append message; 0 means one entry a message.
  public var maxSizePerMessage: UInt64
  /// Largest sum of encoded entries being applied; 0 means as `maxSizePerMessage`.
  public var maxCommittedSizePerReady: UInt64
  /// Largest sum of payloads not yet committed before proposals are dropped; 0 means no limit.
  public var maxUncommittedEntriesSize: UInt64
  /// Append messages on the way to one follower.
  public var maxInflightMessages: Int
  /// Payload bytes on the way to one follower; 0 means no limit.
  public var maxInflightBytes: UInt64
  /// The leader steps down when no quorum was heard of for an election timeout.
  public var checkQuorum: Bool
  /// Ask for votes without a new term first (Raft thesis §9.6).
  public var preVote: Bool
  /// How linearizable reads are confirmed.
  public var readOnlyOption: ReadOnlyOption
  /// Followers drop proposals instead of passing them to the leader.
  public var disableProposalForwarding: Bool
  /// Configuration changes enter the log unchecked; the application serialises and checks them.
  public var disableConfChangeValidation: Bool
  /// A leader that was removed or demoted steps down.
  public var stepDownOnRemoval: Bool
  /// Source of election timeouts.
  public var random: SplitMix64
  /// Where messages go.
  public var logger: (any RaftLogger)?

  /// Settings with the defaults of etcd-io/raft; `id` has none.
  public init(
    id: UInt64,
    electionTicks: Int = 10,
    heartbeatTicks: Int = 1,
    applied: UInt64 = 0,
    asyncStorageWrites: Bool = false,
    maxSizePerMessage: UInt64 = .max,
    maxCommittedSizePerReady: UInt64 = 0,
    maxUncommittedEntriesSize: UInt64 = 0,
    maxInflightMessages: Int = 256,
    maxInflightBytes: UInt64 = 0,
    checkQuorum: Bool = false,
    preVote: Bool = false,
    readOnlyOption: ReadOnlyOption = .safe,
    disableProposalForwarding: Bool = false,
    disableConfChangeValidation: Bool = false,
    stepDownOnRemoval: Bool = false,
    random: SplitMix64 = SplitMix64(seed: 0),
    logger: (any RaftLogger)? = nil
  ) {
    self.id = id
    self.electionTicks = electionTicks
    self.heartbeatTicks = heartbeatTicks
    self.applied = applied
    self.asyncStorageWrites = asyncStorageWrites
    self.maxSizePerMessage = maxSizePerMessage
    self.maxCommittedSizePerReady = maxCommittedSizePerReady
    self.maxUncommittedEntriesSize = maxUncommittedEntriesSize
    self.maxInflightMessages = maxInflightMessages
    self.maxInflightBytes = maxInflightBytes
    self.checkQuorum = checkQuorum
    self.preVote = preVote
    self.readOnlyOption = readOnlyOption
    self.disableProposalForwarding = disableProposalForwarding
    self.disableConfChangeValidation = disableConfChangeValidation
    self.stepDownOnRemoval = stepDownOnRemoval
    self.random = random
    self.logger = logger
  }

  /// The settings with defaults put in.
  /// - Throws: `RaftError.invalidConfig` with etcd-io/raft's text.
  public func validated() throws(RaftError) -> RaftConfig {
    func require(_ condition: Bool, _ reason: String) throws(RaftError) {
      if !condition { throw .invalidConfig(reason) }
    }
    var config = self
    try require(id != RaftNodeID.none, "cannot use none as id")
    try require(!RaftNodeID.isLocalThread(id), "cannot use local target as id")
    try require(heartbeatTicks > 0, "heartbeat tick must be greater than 0")
    try require(
      electionTicks > heartbeatTicks, "election tick must be greater than heartbeat tick")
    if maxUncommittedEntriesSize == 0 { config.maxUncommittedEntriesSize = RaftLimits.none }
    if maxCommittedSizePerReady == 0 { config.maxCommittedSizePerReady = maxSizePerMessage }
    // 0 would leave no room for even one entry.
    config.maxCommittedSizePerReady = max(config.maxCommittedSizePerReady, 1)
    try require(maxInflightMessages > 0, "max inflight messages must be greater than 0")
    if maxInflightBytes == 0 {
      config.maxInflightBytes = RaftLimits.none
    } else {
      try require(
        maxInflightBytes >= maxSizePerMessage, "max inflight bytes must be >= max message size")
    }
    try require(
      readOnlyOption != .leaseBased || checkQuorum,
      "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased")
    return config
  }
}

/// Seeded generator of 64-bit numbers.
///
/// - Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
public struct SplitMix64: RandomNumberGenerator, Sendable, Hashable {
  private var state: UInt64

  /// The same seed gives the same numbers.
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A number in `0..<bound`.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "no number below \(bound)")
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }
}
