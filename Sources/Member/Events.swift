import Auth
import Bytes
import EtcdAPI
import MVCC
import Membership
import Raft

/// What happens to a member core.
public enum MemberEvent: Sendable {
  /// One heartbeat interval passed.
  case tick
  /// Requests to put into the log; the answer comes as `Reply` with the same id.
  case propose([Proposal])
  /// Linearizable reads: answered as one `ReadBatch` once the state is fresh enough.
  case read([RequestID])
  /// Reads of the state as it is here, without asking the leader.
  case readLocal([RequestID])
  /// Questions that the leader's clock of leases answers; each is answered with its id.
  case askLeases([LeaseQuestion])
  /// Questions about the v2 store as it is here; each is answered with its id.
  case askV2([V2Question])
  /// Wait until an index is applied here; answered with the id.
  case awaitApplied(id: RequestID, index: LogIndex)
  /// Bring the backend up to what is applied now; answered with the id once it is durable, and, when
  /// that is asked for, compactions are over and the rows that they took have left the backend.
  case flush(id: RequestID, withCompactions: Bool = false)
  /// Go on with work that `wantsMore` announced.
  case resume
  /// Go on with the compaction that `wantsCompaction` announced.
  case compact
  /// The interval that `wantsCommit` announced is over: what waits is to be written to the backend.
  case commit
  /// The pause that `wantsNews` announced is over: the log is told what is committed.
  case writeNews
  /// Messages from peers.
  case receive([Raftpb.Message])
  /// A write to the log, and everything in it, is durable.
  case appended(LogAppend)
  /// The backend holds the frozen batch durably; `state` shows it.
  case committed(any CommittedRows)
  /// A snapshot from the leader is in place of backend and log.
  case installed(LogAppend, store: MVCCStore)
  /// The raft snapshot of this index is in the snapshot directory and the log.
  case snapshotSaved(LogIndex)
  /// A peer could not be reached.
  case unreachable(MemberID)
  /// The stream to a peer was made, or broke.
  case linked(MemberID, isUp: Bool)
  /// A snapshot sent to a peer arrived, or did not.
  case snapshotSent(MemberID, failed: Bool)
  /// Ask for votes, unless there is a leader or somebody asks already.
  case campaign
  /// Hand leadership over.
  case transferLeader(MemberID)
  /// A configuration change; answered with the proposal's id.
  case changeMembers(id: RequestID, Raftpb.ConfChange)
  /// Asks whether a learner holds enough of the log to be promoted; answered with the id.
  case checkLearner(id: RequestID, learner: MemberID)
  /// The backend was rewritten without changing a row.
  case replacedBackend(any CommittedRows)
}

/// A request on its way into the log.
public struct Proposal: Sendable {
  public let id: RequestID
  /// Encoded InternalRaftRequest or v2 Request.
  public let data: Bytes

  public init(id: RequestID, data: Bytes) {
    self.id = id
    self.data = data
  }
}

/// A write to the log: hard state, entries and possibly a snapshot, durable before the responses go.
public struct LogAppend: Sendable {
  public internal(set) var hardState: Raftpb.HardState?
  public let entries: [Raftpb.Entry]
  public let snapshot: Raftpb.Snapshot?
  /// Whether an fsync is needed; a commit index alone can be learnt again.
  public let mustSync: Bool
  let responses: [Raftpb.Message]

  /// Whether it brings nothing but a newer commit index, or answers that only had to wait their turn.
  var isNewsOnly: Bool { !mustSync && entries.isEmpty && snapshot == nil }
}

/// The answer to a proposal.
public struct Reply: Sendable {
  public let id: RequestID
  public let outcome: Outcome
}

/// What applying a request gave.
public enum Outcome: Sendable {
  case kv(KVResult)
  case alarms([Etcdserverpb.AlarmMember], revision: Int64)
  case leaseGranted(id: LeaseID, ttl: Int64, revision: Int64)
  case leaseRevoked(revision: Int64)
  case lease(LeaseAnswer)
  case members([MemberInfo])
  case auth(AuthResult, revision: Int64)
  /// What a request or a question of the v2 API gave.
  indirect case v2(V2Answer)
  /// A request without an answer of its own.
  case done
  case failed(EtcdError)
}

/// A state that a read is answered from.
public struct ReadState: Sendable {
  public let snapshot: StoreSnapshot
  /// Users and roles of the very same state: neither can be older than the other.
  public let auth: AuthStore
}

/// Reads, linearizable ones and others, that may run on a snapshot now, or failed together.
public struct ReadBatch: Sendable {
  public let ids: [RequestID]
  public let result: Result<ReadState, EtcdError>

  /// The batch with some of its reads alone; `nil` when it has none of them.
  public func part(_ holds: (RequestID) -> Bool) -> ReadBatch? {
    let ids = ids.filter(holds)
    return ids.isEmpty ? nil : ReadBatch(ids: ids, result: result)
  }
}

/// A snapshot to stream to a peer: the message, and the backend state that goes with it.
public struct SnapshotSend: Sendable {
  public let message: Raftpb.Message
  public let state: any CommittedRows
}

/// What a member core wants done, in the order in which `carryOut` does it.
public struct MemberOutput: Sendable {
  public init() {}
  /// The member after the turn.
  public var status = MemberStatus()
  /// Messages to peers.
  public var messages: [Raftpb.Message] = []
  /// Writes to the log, in order.
  public var appends: [LogAppend] = []
  public var replies: [Reply] = []
  public var reads: [ReadBatch] = []
  /// Rows that became visible.
  public var newRows: NewRows?
  /// A batch for the backend.
  public var freeze: FrozenBatch?
  /// A snapshot to save next to the log.
  public var saveSnapshot: Raftpb.Snapshot?
  public var sendSnapshots: [SnapshotSend] = []
  /// What happened in the v2 store.
  public var v2 = V2News()
  /// Members that came, changed or went.
  public var memberChanges: [Membership.Change] = []
  /// Users and roles, when they changed.
  public var auth: AuthStore?
  /// What that means for tokens, in the order of the entries.
  public var tokenEvents: [TokenEvent] = []
  /// The leader as this member sees it changed.
  public var leaderChanged = false
  /// This member was removed from the cluster.
  public var removedSelf = false
  /// The cluster version was decided.
  public var clusterVersion: String?
  /// What happened to leases, for metrics.
  public var leases = LeaseActivity()
  /// Rows that a compaction took in this turn.
  public var compactedRows = 0
  /// Compactions that began, to be hashed off the core.
  public var compactionsBegun: [UnhashedCompaction] = []
  /// A downgrade was enabled or ended.
  public var downgrade: Downgrade?
  /// Raft's log begins behind this entry from now on.
  public var compactedLog: LogIndex?
  /// A compaction was finished at this revision.
  public var compacted: Int64?
  /// Work is left: call `advance` again after other events.
  public var wantsMore = false
  /// A compaction is under way: leave `compact` after a pause, in which requests have the processor
  /// and the disk to themselves. Asked for once until that event comes.
  public var wantsCompaction = false
  /// Something was applied that the backend does not hold: leave `commit` when its interval is over.
  /// Asked for once until that event comes, and never by a member without writes.
  public var wantsCommit = false
  /// The log does not know what is committed: leave `writeNews` after a short pause, unless more comes to write.
  /// Asked for once until that event comes.
  public var wantsNews = false
  /// The member cannot go on: replicated state contradicts the disk.
  public var fatal: String?
}

/// Facts about a member core for status, health and metrics.
public struct MemberStatus: Sendable, Equatable {
  public init() {}
  public var leader = MemberID.none
  public var term: Term = 0
  public var commitIndex: LogIndex = 0
  public var appliedIndex: LogIndex = 0
  public var revision: Int64 = 1
  public var compactRevision: Int64 = -1
  public var keys: Int = 0
  /// Bytes of keys and values that are applied and not in the backend yet.
  public var pendingBytes: Int = 0
  public var role: RaftRole = .follower
  public var isLearner = false
  /// The log has reported nothing for an election timeout.
  public var isDiskStuck = false
  public var alarms: [Etcdserverpb.AlarmMember] = []
  public var downgrade = Downgrade.none
  public var leaderChanges = 0
  public var proposalsPending = 0
  public var proposalsFailed = 0
  public var slowReads = 0
  /// Read rounds that ended without an answer.
  public var failedReads = 0
  /// Bytes of keys and values that were put since the start.
  public var putBytes: Int = 0
  /// Keys of the v2 store wait for SYNC requests to end them.
  public var hasExpiringV2Keys = false
  public var authRevision: UInt64 = 0
}
