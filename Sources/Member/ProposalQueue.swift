import Bytes
import EtcdAPI

/// Requests that wait for their entry, and those of them that raft did not take yet. A value; times in ticks.
///
/// Guarantees:
/// 1. An id waits once, from `wait` until `remove` or `expire`; who asks gets one answer.
/// 2. `expire` gives ids in the order in which they came, and none before its time.
/// 3. What is parked and gave up is never proposed.
struct ProposalQueue: Sendable {
  /// A request and when it came.
  struct Expired: Equatable {
    let id: RequestID
    let start: Int
  }

  /// What raft's refusal depends on: it would refuse again before one of these changes.
  struct Circumstances: Equatable {
    let tick: Int
    let lead: UInt64
    let commit: UInt64
  }

  private var waiting = IDTable<Int>()
  /// In the order of `wait`; those before `head` are done with.
  private var order: [Expired] = []
  private var head = 0
  private var parked: [Proposal] = []
  private var refusal: Circumstances?
  /// Requests that got no answer in their time, or that raft refused.
  private(set) var failed = 0

  /// Requests that wait.
  var count: Int { waiting.count }
  func isWaiting(_ id: RequestID) -> Bool { waiting[id] != nil }

  mutating func wait(for id: RequestID, tick: Int) {
    waiting.insert(tick, for: id)
    order.append(Expired(id: id, start: tick))
  }

  /// Proposals that raft is to take.
  mutating func park(_ proposals: [Proposal], tick: Int) {
    for proposal in proposals { wait(for: proposal.id, tick: tick) }
    parked += proposals
  }

  /// - Returns: whether the request still waited.
  mutating func remove(_ id: RequestID) -> Bool { waiting.remove(id) != nil }

  /// Raft refused a request at once.
  mutating func refused(_ id: RequestID) {
    failed += 1
    _ = waiting.remove(id)
  }

  /// What is to be handed to raft now, in one batch; `nil` when there is nothing, or when it was refused under
  /// the same circumstances. Then call `tookParked` or `refusedParked`.
  mutating func nextBatch(_ now: Circumstances) -> [Bytes]? {
    guard !parked.isEmpty, refusal != now else { return nil }
    refusal = nil
    var data: [Bytes] = []
    data.reserveCapacity(parked.count)
    for proposal in parked where waiting[proposal.id] != nil { data.append(proposal.data) }
    guard !data.isEmpty else {
      parked.removeAll()
      return nil
    }
    return data
  }

  mutating func tookParked() { parked.removeAll(keepingCapacity: true) }
  mutating func refusedParked(_ now: Circumstances) { refusal = now }

  /// Gives up what waited for `limit` ticks. The entries may still be applied later.
  mutating func expire(tick: Int, after limit: Int) -> [Expired] {
    var expired: [Expired] = []
    while head < order.count, tick - order[head].start >= limit {
      if waiting.remove(order[head].id) != nil { expired.append(order[head]) }
      head += 1
    }
    if head > 4096, head * 2 > order.count {
      order.removeFirst(head)
      head = 0
    }
    failed += expired.count
    if parked.count > waiting.count { parked.removeAll { waiting[$0.id] == nil } }
    return expired
  }
}

/// Who leads, as this member sees it. A value; times in ticks.
struct LeaderWatch: Sendable {
  private(set) var leader = MemberID.none
  private(set) var changes = 0
  private var electedTick = 0

  mutating func changed(to leader: MemberID, tick: Int) {
    self.leader = leader
    guard leader != .none else { return }
    changes += 1
    electedTick = tick
  }

  /// Why a request that came at `start` got no answer.
  /// - Source: etcd `parseProposeCtxErr`.
  func timeoutReason(start: Int, electionTicks: Int) -> EtcdError {
    let lost = electedTick - 2 * electionTicks
    if changes > 1, start > lost, start < electedTick { return .timeoutLeaderFailure }
    return .timeout
  }
}
