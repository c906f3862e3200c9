import Auth
import EtcdAPI
import MVCC
import Membership

/// Who carries out what a turn of the core gives. Calls come from the thread that works at the core, a
/// turn after the other; what arrives elsewhere must arrive in the order of the calls.
public protocol TurnSink {
  /// Messages to peers.
  func send(_ messages: [Raftpb.Message])
  /// Snapshots to stream to peers.
  func send(_ snapshots: [SnapshotSend])
  /// Writes for the log thread.
  func write(_ appends: [LogAppend])
  /// A raft snapshot for the log thread.
  func save(_ snapshot: Raftpb.Snapshot)
  /// A batch for the backend.
  func commit(_ batch: FrozenBatch)
  /// Facts for other threads. - Parameter membership: when it changed.
  func publish(_ status: MemberStatus, _ membership: Membership?)
  /// Users and roles, when they changed, and what that means for tokens.
  func authChanged(_ store: AuthStore?, _ events: [TokenEvent])
  /// Answers to requests.
  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: Term)
  /// Rows that became visible. - Parameter state: the store with them.
  func tell(_ rows: NewRows, _ state: () -> StoreSnapshot)
  /// What happened in the v2 store.
  func v2Changed(_ news: V2News)
  /// Members that came, changed or went.
  func membershipChanged(_ changes: [Membership.Change])
  /// Everything that is news and nothing more: leader, version, leases, compaction, removal.
  func announce(_ out: MemberOutput)
  /// An event to be left for the core after some time.
  func later(_ event: MemberEvent, after delay: TurnDelay)
  /// Nothing more is done: the member's disk and memory may disagree.
  func fail(_ reason: String)
}

/// When an event that a turn asked for is to come.
public enum TurnDelay: Sendable {
  /// Behind what waits.
  case none
  /// After the pause between two steps of a compaction.
  case compactionPause
  /// After the interval of the backend's commits.
  case commitInterval
  /// After the pause in which the log may get something to write anyway.
  case logPause
}

extension MemberOutput {
  /// Hands everything to `sink`, in the one order that keeps the promises. The server and the
  /// simulation both go through here.
  /// - Parameters:
  ///   - membership: as it is after the turn.
  ///   - state: the store as it is after the turn.
  public func carryOut(
    _ membership: @autoclosure () -> Membership, _ state: @autoclosure () -> StoreSnapshot,
    by sink: some TurnSink
  ) {
    // 1. After a fatal error nothing leaves: an answer would speak of a state that is not trusted.
    if let fatal { return sink.fail(fatal) }
    // 2. Followers write entries to their logs while we do; news of what is committed can wait until
    //    clients have their answers (step 8).
    let isUrgent = messages.contains { !$0.entries.isEmpty }
    if isUrgent { sink.send(messages) }
    // 3. The disk works while the rest is handed over.
    if !appends.isEmpty { sink.write(appends) }
    if let freeze { sink.commit(freeze) }
    // 4. Who is answered may ask for the status at once, and finds the state that answered.
    sink.publish(status, memberChanges.isEmpty && clusterVersion == nil ? nil : membership())
    // 5. Users before answers: a right that an answer says is revoked is gone everywhere.
    if auth != nil || !tokenEvents.isEmpty { sink.authChanged(auth, tokenEvents) }
    // 6. Peers before answers as well. They go to loops of their own: who added a member may be answered
    //    before it is dialled.
    if !memberChanges.isEmpty { sink.membershipChanged(memberChanges) }
    // Who is answered and begins to watch the v2 store is not told of what was before the answer.
    if !v2.isEmpty { sink.v2Changed(v2) }
    if !replies.isEmpty || !reads.isEmpty { sink.answer(replies, reads, term: status.term) }
    // 7. Who watches hears of it behind the answers. The status of step 4 is out: who begins to watch in
    //    between and is not told of these rows has seen their revision.
    if let newRows { sink.tell(newRows, state) }
    // 8.
    if !isUrgent && !messages.isEmpty { sink.send(messages) }
    if let saveSnapshot { sink.save(saveSnapshot) }
    if !sendSnapshots.isEmpty { sink.send(sendSnapshots) }
    sink.announce(self)
    // 9. What the core asked for comes behind everything that this turn left for it.
    if wantsMore { sink.later(.resume, after: .none) }
    if wantsCompaction { sink.later(.compact, after: .compactionPause) }
    if wantsCommit { sink.later(.commit, after: .commitInterval) }
    if wantsNews { sink.later(.writeNews, after: .logPause) }
  }
}
