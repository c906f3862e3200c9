import Bytes
import EtcdAPI
import MVCC
import Membership
import Raft
import V2Store

/// What holds between turns: the simulation asks after every one, a server when `ETCD_VERIFY=all`.
extension MemberCore {
  /// Guarantees:
  /// 1. `durable <= freezing <= applied`: a batch holds nothing that was not applied.
  /// 2. `applied <= commit`: nothing is applied that a quorum does not hold.
  /// 3. A raft snapshot, saved or being saved, is of a state that the backend holds.
  /// 4. Answers wait for the log only while a turn is done.
  /// 5. Snapshots wait for the backend only while it is behind.
  /// 6. Those of `ReadQueue`, `RaftLog` and `Progress`.
  /// - Returns: the first one that does not hold.
  public func checkInvariants() -> String? {
    let positions =
      "durable \(backend.durable.index), freezing \(backend.freezing?.index ?? 0), applied "
      + "\(applied.index), commit \(status.commitIndex), snapshot \(backend.snapshotIndex)"
    let middle = backend.coming.index
    guard backend.durable.index <= middle, middle <= applied.index else { return "1: \(positions)" }
    guard applied.index <= status.commitIndex else { return "2: \(positions)" }
    guard backend.snapshotIndex <= backend.durable.index || applied.index < replayUntil,
      backend.savingSnapshot?.index ?? 0 <= backend.durable.index
    else { return "3: \(positions)" }
    guard log.delayed.isEmpty else { return "4: \(log.delayed.count) answers were left" }
    guard
      heldSnapshots.isEmpty || backend.durable.index < applied.index || backend.commitDue
        || backend.freezing != nil
    else {
      return "5: \(heldSnapshots.count) snapshots wait, \(positions)"
    }
    if let problem = reads.checkInvariants(applied: applied.index) { return "reads \(problem)" }
    if let problem = parkedRenewals.checkInvariants() { return "leases \(problem)" }
    return node.checkInvariants().map { "raft \($0)" }
  }

  /// The state as it is now, to be looked at elsewhere.
  public var state: MemberState {
    MemberState(
      store: store, lessor: lessor, applied: applied, durableIndex: backend.durable.index,
      durableRows: backend.rows, isReplayed: backend.durable.index >= replayUntil,
      leavingLease: applyQueue.leavingLease)
  }
}

/// Everything that is replicated, and what the leader keeps beside it, as of one moment: a copy that costs
/// next to nothing and may be walked through on another thread.
public struct MemberState: Sendable {
  let store: MVCCStore
  let lessor: Lessor
  let applied: MemberCore.Position
  let durableIndex: LogIndex
  let durableRows: any CommittedRows
  /// Whether what the backend held at the start was applied.
  let isReplayed: Bool
  let leavingLease: LeaseID?

  /// Guarantees, between turns:
  /// 1. The state from which snapshots for peers are taken is that of the durable index.
  /// 2. Those of `MVCCStore`.
  /// 3. Those of `Lessor`.
  /// 4. Those of `Position`.
  /// - Returns: the first one that does not hold.
  /// - Complexity: O(keys + leases + nodes of the v2 store).
  public func checkInvariants() -> String? {
    if isReplayed, durableIndex > 0 {
      do throws(StoreError) {
        var reader = ByteReader(try durableRows.value(.meta, "consistent_index") ?? Bytes())
        let index = LogIndex(reader.readBigEndian() ?? 0)
        if index != durableIndex { return "1: rows of \(index), durable \(durableIndex)" }
      } catch { return "1: \(error)" }
    }
    if let problem = store.checkInvariants() { return "2: store \(problem)" }
    if let problem = lessor.checkInvariants(leases: store.leases, leaving: leavingLease) {
      return "3: lessor \(problem)"
    }
    return applied.checkInvariants().map { "4: position \($0)" }
  }
}

extension MemberState {
  /// What the buckets of members and of alarms hold, against what is in memory: the truth that others are told.
  /// Says nothing while a start applies again what the buckets hold already.
  /// - Returns: the first difference.
  public func checkBuckets(alarms: [Etcdserverpb.AlarmMember]) -> String? {
    guard isReplayed else { return nil }
    do {
      let stored = try store.rows(.members).map { try MemberInfo(json: $0.value) }
        .sorted { $0.id < $1.id }.map { "\($0.hexID) \($0.peerURLs) \($0.isLearner)" }
      let known = applied.membership.sorted.map { "\($0.hexID) \($0.peerURLs) \($0.isLearner)" }
      guard stored == known else { return "the bucket of members has \(stored), not \(known)" }
      let removed = try store.rows(.membersRemoved).map(\.key.string)
      let gone = applied.membership.removed.map(\.hex).sorted()
      guard removed == gone else { return "the bucket of removed has \(removed), not \(gone)" }
      var raised = AlarmSet()
      try raised.restore(from: store)
      return raised.all == alarms ? nil : "the bucket of alarms has \(raised.all), not \(alarms)"
    } catch { return "a bucket cannot be read: \(error)" }
  }
}

extension MemberCore.Position {
  /// Guarantees:
  /// 1. An entry has an index and a term, or neither.
  /// 2. The configuration names the members, and as learners those that are.
  /// 3. The v2 store holds the same members and version.
  /// 4. Those of `V2Store`.
  /// - Returns: the first one that does not hold.
  func checkInvariants() -> String? {
    guard (index == 0) == (term == 0) else { return "1: index \(index) in term \(term)" }
    let named = Set(
      (confState.voters + confState.learners + confState.votersOutgoing).map { MemberID($0) })
    guard named == Set(membership.members.keys) else {
      return "2: the configuration names \(named.sorted()), members are "
        + "\(membership.members.keys.sorted())"
    }
    let learners = Set((confState.learners + confState.learnersNext).map { MemberID($0) })
    for member in membership.sorted where member.isLearner != learners.contains(member.id) {
      return "2: member \(member.id) learns: \(member.isLearner), learners \(learners.sorted())"
    }
    do throws(MembershipError) {
      let stored = try Membership(v2)
      guard Self.facts(of: stored) == Self.facts(of: membership) else {
        return "3: \(Self.facts(of: stored)), not \(Self.facts(of: membership))"
      }
    } catch { return "3: \(error)" }
    return v2.checkInvariants().map { "4: v2 store \($0)" }
  }

  /// What the v2 store has too. Names and client URLs come there when a member publishes them.
  private static func facts(of membership: Membership) -> [String] {
    membership.sorted.map { "\($0.hexID) \($0.peerURLs) \($0.isLearner)" }
      + membership.removed.sorted().map { "removed \($0.hex)" }
      + [membership.clusterVersion ?? "no version"]
  }
}
