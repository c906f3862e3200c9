import Auth
import EtcdAPI
import MVCC
import Member
import Membership
import Raft

/// What every member must agree on.
struct SharedFacts {
  private struct StateFact: Equatable {
    let revision: Int64
    let compactRevision: Int64
    let keys: Int
    let auth: AuthStore
    let alarms: [Etcdserverpb.AlarmMember]
    let v2Index: UInt64
  }

  private struct ConfigurationFact: Equatable {
    let state: Raftpb.ConfState
    let members: Set<MemberID>
    let removed: Set<MemberID>
  }

  private struct HashPlace: Hashable {
    let revision: Int64
    let compactRevision: Int64
  }

  private var leaders: [Term: MemberID] = [:]
  private var states: [LogIndex: StateFact] = [:]
  private var configurations: [LogIndex: ConfigurationFact] = [:]
  private var hashes: [HashPlace: UInt32] = [:]

  /// Terms that had a leader.
  var terms: Int { leaders.count }

  /// One leader a term (Raft thesis §3.6.3), and one state after each index (§3.6.3, State Machine
  /// Safety).
  /// - Parameter isReplaying: the state is ahead of the applied index.
  mutating func check(
    _ status: MemberStatus, _ auth: AuthStore, v2Index: UInt64, of id: MemberID,
    isReplaying: Bool
  ) -> String? {
    if status.role == .leader {
      if let other = leaders[status.term], other != id { return "two leaders in \(status.term)" }
      leaders[status.term] = id
    }
    if isReplaying { return nil }
    let fact = StateFact(
      revision: status.revision, compactRevision: status.compactRevision, keys: status.keys,
      auth: auth, alarms: status.alarms, v2Index: v2Index)
    if let other = states[status.appliedIndex], other != fact {
      return "states differ after index \(status.appliedIndex): \(other) and \(fact)"
    }
    states[status.appliedIndex] = fact
    return nil
  }

  /// One configuration after each index.
  mutating func check(
    _ state: Raftpb.ConfState, _ membership: Membership, at status: MemberStatus
  ) -> String? {
    let fact = ConfigurationFact(
      state: state, members: Set(membership.members.keys), removed: membership.removed)
    if let other = configurations[status.appliedIndex], other != fact {
      return "configurations differ after index \(status.appliedIndex): \(other) and \(fact)"
    }
    configurations[status.appliedIndex] = fact
    return nil
  }

  /// The cluster begins anew from a backup: its log and its terms begin anew, its history goes on.
  mutating func beginAnew() {
    (leaders, states, configurations) = ([:], [:], [:])
  }

  /// All members are of one mind at an index: what was before is not asked for again.
  mutating func turnPage(at index: LogIndex, term: Term) {
    leaders = leaders.filter { $0.key >= term }
    states = states.filter { $0.key >= index }
    configurations = configurations.filter { $0.key >= index }
    hashes = [:]
  }

  /// Members that hold the same history have the same hash of it.
  mutating func check(_ hash: StoreSnapshot.Hash) -> String? {
    let place = HashPlace(revision: hash.revision, compactRevision: hash.compactRevision)
    if let other = hashes[place], other != hash.hash {
      return "hashes differ at revision \(place.revision) compacted at \(place.compactRevision)"
    }
    hashes[place] = hash.hash
    return nil
  }
}
