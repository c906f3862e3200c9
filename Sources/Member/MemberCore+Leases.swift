import Auth
import Bytes
import EtcdAPI
import MVCC
import Membership
import Protobuf
import Raft

/// Leases: the replicated part is applied as any entry; deadlines are kept while this member leads.
extension MemberCore {
  /// Milliseconds on the clock of leases.
  private var leaseTime: Int64 { Int64(ticks) * Int64(config.tickMilliseconds) }

  /// Leases that exist as far as the log is applied here, in order.
  public var leaseIDs: [LeaseID] { store.leases.leases.keys.sorted() }
  public func holdsLease(_ id: LeaseID) -> Bool { store.leases.contains(id) }

  // MARK: Leadership

  /// The empty entry of a term is applied: if this member leads in it, everything that earlier leaders
  /// did is applied too, and the deadlines begin.
  mutating func promoteLessor(at term: Term) {
    guard isLeader, Term(node.basicStatus.hardState.term) == term else { return }
    lessor.promote(term: term, now: leaseTime, leases: store.leases)
  }

  /// Ends the deadlines when this member does not lead any more.
  private mutating func checkLessor(_ out: inout MemberOutput) {
    guard let term = lessor.primaryTerm else { return }
    if isLeader, Term(node.basicStatus.hardState.term) == term { return }
    lessor.demote()
    fail(parkedRenewals.takeAll(), .notLeader, &out)
  }

  private func fail(_ ids: [RequestID], _ error: EtcdError, _ out: inout MemberOutput) {
    for id in ids { out.replies.append(Reply(id: id, outcome: .failed(error))) }
  }

  // MARK: Apply

  mutating func applyLease(
    _ grant: Etcdserverpb.LeaseGrantRequest, _ out: inout MemberOutput
  ) throws(StoreError) -> Outcome {
    let ttl = try store.apply(grant, minTTL: lessor.config.minTTL)
    out.leases.granted.append(ttl)
    let id = LeaseID(grant.id)
    if let lease = store.leases.leases[id] { lessor.refresh(id, lease, now: leaseTime) }
    return .leaseGranted(id: id, ttl: ttl, revision: store.revision)
  }

  mutating func applyLease(
    _ revoke: Etcdserverpb.LeaseRevokeRequest, _ out: inout MemberOutput
  ) throws(StoreError) -> Outcome {
    try store.apply(revoke)
    return didRevoke(LeaseID(revoke.id), &out)
  }

  /// A lease is gone, and its keys with it.
  mutating func didRevoke(_ id: LeaseID, _ out: inout MemberOutput) -> Outcome {
    out.leases.revoked += 1
    if lessor.remove(id) { out.leases.expired += 1 }
    answer(parkedRenewals.settle(id, ttl: 0), &out)
    return .leaseRevoked(revision: store.revision)
  }

  mutating func applyLease(
    _ request: Etcdserverpb.LeaseCheckpointRequest, _ out: inout MemberOutput
  ) {
    store.apply(request, persist: persistsCheckpoints)
    for checkpoint in request.checkpoints {
      let id = LeaseID(checkpoint.id)
      lessor.didCheckpoint(id)
      settleRenewals(of: id, &out)
    }
  }

  /// From 3.6 on every member remembers what was left.
  private var persistsCheckpoints: Bool {
    if config.leaseCheckpointPersist { return true }
    let numbers = (membership.clusterVersion ?? "").split(separator: ".").compactMap { Int($0) }
    return numbers.count >= 2 && (numbers[0], numbers[1]) >= (3, 6)
  }

  // MARK: Questions

  /// A question waits for a round that confirms this member as the leader, and for everything before
  /// it to be applied: a leader that was replaced without knowing it renews nothing.
  mutating func ask(_ questions: [LeaseQuestion], _ out: inout MemberOutput) {
    checkLessor(&out)
    // Whoever asks for all leases in one turn gets the same list: going through a million of them is work
    // that a flood of questions must not multiply.
    var list: [LeaseListing]?
    var keysOfAll: [LeaseKeys]?
    for question in questions {
      if case .list = question.kind {
        let all = list ?? listing
        list = all
        out.replies.append(Reply(id: question.id, outcome: .lease(.list(all))))
      } else if case .keys(let lease) = question.kind {
        let keys = lease.map { keysOf($0) } ?? keysOfAll ?? keysOfAllLeases
        if lease == nil { keysOfAll = keys }
        out.replies.append(Reply(id: question.id, outcome: .lease(.keys(keys, auth))))
      } else if !lessor.isPrimary {
        fail([question.id], .notLeader, &out)
      } else if reads.leaseQuestions + parkedRenewals.count + question.kind.weight
        > config.waitingMax
      {
        fail([question.id], .tooManyRequests, &out)
      } else {
        reads.add(question, tick: ticks)
      }
    }
  }

  private func keysOf(_ lease: LeaseID) -> [LeaseKeys] {
    store.leases.leases[lease].map { [$0.keys] } ?? []
  }

  private var keysOfAllLeases: [LeaseKeys] {
    store.leases.leases.values.lazy.map(\.keys).filter { !$0.isEmpty }
  }

  private var listing: [LeaseListing] {
    store.leases.leases.keys.map { LeaseListing(id: $0, deadline: lessor.deadline(of: $0) ?? 0) }
  }

  /// Answers a question whose round is over.
  mutating func finish(
    _ kind: LeaseQuestion.Kind, _ id: RequestID, _ result: Result<StoreSnapshot, EtcdError>,
    _ out: inout MemberOutput
  ) {
    if case .failure(let error) = result {
      return fail([id], error == .leaderChanged ? .notLeader : error, &out)
    }
    checkLessor(&out)
    answer(kind, id, &out)
  }

  private mutating func answer(
    _ kind: LeaseQuestion.Kind, _ id: RequestID, _ out: inout MemberOutput
  ) {
    switch kind {
    case .renew(let leases): renew(leases, id, &out)
    case .timeToLive(let lease, let wantsKeys):
      guard let remaining = lessor.remaining(lease, now: leaseTime) else {
        let isGone = lessor.isPrimary && !store.leases.contains(lease)
        return fail([id], isGone ? .leaseNotFound : .notLeader, &out)
      }
      guard let held = store.leases.leases[lease] else { return fail([id], .leaseNotFound, &out) }
      let answer = LeaseAnswer.timeToLive(
        remaining: remaining, granted: lessor.ttl(of: held),
        keys: wantsKeys ? held.keys : LeaseKeys())
      out.replies.append(Reply(id: id, outcome: .lease(answer)))
    case .list, .keys: preconditionFailure("what every member knows waits for no round")
    }
  }

  /// Renews leases. Those that have to wait are parked, and the answer with them.
  private mutating func renew(_ leases: [LeaseID], _ id: RequestID, _ out: inout MemberOutput) {
    var ttls: [Int64] = []
    ttls.reserveCapacity(leases.count)
    var waiting: [(position: Int, lease: LeaseID)] = []
    for lease in leases {
      do throws(EtcdError) {
        let ttl = try renew(lease, &out)
        if ttl == nil { waiting.append((ttls.count, lease)) }
        ttls.append(ttl ?? 0)
      } catch { return fail([id], error, &out) }
    }
    let batch = ParkedRenewals.Batch(id: id, tick: ticks, ttls: ttls, waiting: waiting)
    if waiting.isEmpty { answer([batch], &out) } else { parkedRenewals.park(batch) }
  }

  /// Renews a lease, which may have to wait:
  /// - an overdue lease is about to be revoked, and the answer is what becomes of it;
  /// - what a checkpoint recorded as left must be forgotten by a quorum before the lease may count on
  ///   more, or the next leader would end it early.
  /// - Returns: the seconds that it lives from now on, 0 when there is none, `nil` while it has to wait.
  /// - Throws: `notLeader`.
  private mutating func renew(
    _ id: LeaseID, _ out: inout MemberOutput
  ) throws(EtcdError) -> Int64? {
    guard lessor.isPrimary else { throw .notLeader }
    guard let lease = store.leases.leases[id] else { return 0 }
    if lessor.isOverdue(id, now: leaseTime) || lessor.isCheckpointing(id) { return nil }
    if lease.remaining > 0 {
      let forget = Etcdserverpb.LeaseCheckpoint(id: id.rawValue, remainingTTL: 0)
      guard proposeCheckpoints([forget]) else { throw .notLeader }
      lessor.willForget(id)
      return nil
    }
    lessor.refresh(id, lease, now: leaseTime)
    out.leases.renewed += 1
    return lessor.ttl(of: lease)
  }

  /// A checkpoint is applied: what waited for it goes on.
  private mutating func settleRenewals(of id: LeaseID, _ out: inout MemberOutput) {
    guard parkedRenewals.holds(id) else { return }
    do throws(EtcdError) {
      guard let ttl = try renew(id, &out) else { return }
      answer(parkedRenewals.settle(id, ttl: ttl), &out)
    } catch { fail(parkedRenewals.drop(id), error, &out) }
  }

  private func answer(_ batches: [ParkedRenewals.Batch], _ out: inout MemberOutput) {
    for batch in batches {
      out.replies.append(Reply(id: batch.id, outcome: .lease(.renewed(ttls: batch.ttls))))
    }
  }

  // MARK: Work

  mutating func tickLeases(_ out: inout MemberOutput) {
    lessor.tick(now: leaseTime)
    fail(
      parkedRenewals.takeExpired(tick: ticks, after: config.requestTicks), .timeout, &out)
  }

  /// Revokes what is overdue, and records what is left of long leases.
  mutating func leaseWork(_ out: inout MemberOutput) {
    checkLessor(&out)
    guard lessor.isPrimary else { return }
    let overdue = lessor.takeOverdue(now: leaseTime)
    if !overdue.isEmpty, !proposeRevocations(overdue) { lessor.giveBack(overdue, now: leaseTime) }
    while true {
      let due = lessor.takeCheckpoints(now: leaseTime, leases: store.leases)
      guard !due.isEmpty else { return }
      guard proposeCheckpoints(due) else { return lessor.giveBack(due, now: leaseTime) }
    }
  }

  /// In the name of root, who may delete every key. An entry that meets newer users is refused, and
  /// the lease is tried again.
  /// - Returns: whether the entries are in this leader's log.
  /// - Source: etcd `revokeExpiredLeases`, `WithRoot`.
  private mutating func proposeRevocations(_ leases: [LeaseID]) -> Bool {
    let caller: AuthInfo = auth.isEnabled ? auth.rootInfo : .nobody
    return appendOwn(
      leases.map { lease in
        Etcdserverpb.InternalRaftRequest(
          leaseRevoke: Etcdserverpb.LeaseRevokeRequest(id: lease.rawValue),
          header: Etcdserverpb.RequestHeader(
            id: readContexts.next().rawValue, username: caller.username,
            authRevision: caller.revision)
        ).encoded()
      })
  }

  private mutating func proposeCheckpoints(
    _ checkpoints: [Etcdserverpb.LeaseCheckpoint]
  ) -> Bool {
    appendOwn([
      Etcdserverpb.InternalRaftRequest(
        leaseCheckpoint: Etcdserverpb.LeaseCheckpointRequest(checkpoints: checkpoints),
        header: Etcdserverpb.RequestHeader(id: readContexts.next().rawValue)
      ).encoded()
    ])
  }

  /// Appends entries to the own log as the leader; they are never forwarded to another one.
  private mutating func appendOwn(_ data: [Bytes]) -> Bool {
    // Refused while leadership is being handed over, or the followers are far behind.
    isLeader && (try? node.propose(data)) != nil
  }
}

extension MemberCore.Config {
  /// - Source: etcd `NewServer`: `minTTL`, `ExpiredLeasesRetryInterval`; `Promote(ElectionTimeout)`.
  var lessor: Lessor.Config {
    let tick = Int64(tickMilliseconds)
    let minimum = Int64(3 * raft.electionTicks / 2) * tick
    return Lessor.Config(
      tick: tick, minTTL: (minimum + 999) / 1000,
      promotionExtension: Int64(raft.electionTicks) * tick,
      retry: Int64(requestTicks) * tick,
      checkpointInterval: leaseCheckpoint ? Int64(leaseCheckpointInterval) : nil)
  }
}
