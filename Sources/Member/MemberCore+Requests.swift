import Bytes
import EtcdAPI
import MVCC
import Raft

/// Requests that wait: proposals, configuration changes, read rounds.
extension MemberCore {
  mutating func propose(_ proposals: [Proposal], _ out: inout MemberOutput) {
    if store.pendingBytes > config.pendingBytesMax
      || waiting.count + proposals.count > config.waitingMax
    {
      for proposal in proposals {
        out.replies.append(Reply(id: proposal.id, outcome: .failed(.tooManyRequests)))
      }
      return
    }
    for proposal in proposals { wait(for: proposal.id) }
    parked += proposals
    proposeParked(&out)
  }

  mutating func wait(for id: RequestID) {
    waiting.insert(ticks, for: id)
    waitingOrder.append(Waiting(id: id, startTick: ticks))
  }

  /// Hands proposals to raft in one batch, once there is a leader to take them. When raft refuses them they wait
  /// for a tick, a commit or another leader: they may be very many.
  mutating func proposeParked(_ out: inout MemberOutput) {
    guard !parked.isEmpty, node.basicStatus.softState.lead != RaftNodeID.none else { return }
    let status = node.basicStatus
    let now = (tick: ticks, lead: status.softState.lead, commit: status.hardState.commit)
    if let refusal = parkedRefusal, refusal == now { return }
    parkedRefusal = nil
    var data: [Bytes] = []
    data.reserveCapacity(parked.count)
    // A request that gave up while it was parked is not proposed any more.
    for proposal in parked where waiting[proposal.id] != nil { data.append(proposal.data) }
    guard !data.isEmpty else {
      parked.removeAll()
      return
    }
    do throws(RaftError) {
      try node.propose(data)
      parked.removeAll(keepingCapacity: true)
    } catch {
      // Leadership is being handed over or the leader is full: they stay parked until their time.
      _ = error
      parkedRefusal = now
    }
  }

  mutating func propose(_ change: Raftpb.ConfChange, id: RequestID, _ out: inout MemberOutput) {
    wait(for: id)
    var change = change
    change.id = id.rawValue
    do throws(RaftError) { try node.proposeConfChange(.v1(change)) } catch {
      proposalsFailed += 1
      waiting.remove(id)
      out.replies.append(Reply(id: id, outcome: .failed(.noLeader)))
    }
  }

  /// Part of the leader's log that a learner must hold to be promoted.
  /// - Source: etcd `readyPercentThreshold`.
  private static let learnerReadyPart = 0.9

  /// Says whether a learner is ready; only the leader knows.
  func checkLearner(_ learner: MemberID, id: RequestID, _ out: inout MemberOutput) {
    let status = node.status
    var verdict = Outcome.done
    if let own = status.progress[status.basic.id], isLeader {
      if let progress = status.progress[learner.rawValue] {
        let part = Double(progress.match) / Double(Swift.max(own.match, 1))
        if part < Self.learnerReadyPart { verdict = .failed(.learnerNotReady) }
      } else {
        verdict = .failed(.memberNotFound)
      }
    } else {
      verdict = .failed(.notLeader)
    }
    out.replies.append(Reply(id: id, outcome: verdict))
  }

  /// Answers a request when its entry was applied here.
  mutating func reply(_ id: RequestID, _ outcome: Outcome, _ out: inout MemberOutput) {
    guard waiting.remove(id) != nil else { return }
    out.replies.append(Reply(id: id, outcome: outcome))
  }

  /// Fails requests that waited too long. The entry may still be applied later.
  mutating func expireWaiting(_ out: inout MemberOutput) {
    while waitingHead < waitingOrder.count {
      let entry = waitingOrder[waitingHead]
      guard ticks - entry.startTick >= config.requestTicks else { break }
      waitingHead += 1
      guard waiting.remove(entry.id) != nil else { continue }
      proposalsFailed += 1
      out.replies.append(
        Reply(id: entry.id, outcome: .failed(timeoutReason(start: entry.startTick))))
    }
    if waitingHead > 4096, waitingHead * 2 > waitingOrder.count {
      waitingOrder.removeFirst(waitingHead)
      waitingHead = 0
    }
    if parked.count > waiting.count { parked.removeAll { waiting[$0.id] == nil } }
  }

  /// - Source: etcd `parseProposeCtxErr`.
  private func timeoutReason(start: Int) -> EtcdError {
    let lost = leaderElectedTick - 2 * config.raft.electionTicks
    if leaderChanges > 1, start > lost, start < leaderElectedTick { return .timeoutLeaderFailure }
    return .timeout
  }

  mutating func leaderDidChange(to leader: MemberID, _ out: inout MemberOutput) {
    lead = leader
    out.leaderChanged = true
    if leader != .none {
      leaderChanges += 1
      leaderElectedTick = ticks
    }
    finish(reads.takeAsked(), .failure(.leaderChanged), &out)
  }

  /// Starts a read round when reads wait, none is under way and there is a leader to ask.
  mutating func askForReads() {
    guard reads.wantsRound, node.basicStatus.softState.lead != RaftNodeID.none else { return }
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(readContexts.next().rawValue)
    reads.begin(context: writer.finish(), tick: ticks)
    node.readIndex(context: reads.context)
  }

  /// What reads of the state of now get, whatever alarms are raised.
  /// - Source: etcd `EtcdServer.Range`, which goes past the applier that refuses.
  private var readResult: Result<StoreSnapshot, EtcdError> { .success(snapshot()) }

  /// Reads that want a state as new as everything acknowledged.
  mutating func read(_ ids: [RequestID], _ out: inout MemberOutput) {
    guard reads.count + ids.count <= config.waitingMax else {
      out.reads.append(batch(ids, .failure(.tooManyRequests)))
      return
    }
    reads.add(ids, tick: ticks)
  }

  /// Reads that accept the state of this member.
  func readLocal(_ ids: [RequestID], _ out: inout MemberOutput) {
    out.reads.append(batch(ids, readResult))
  }

  /// Lets everything go whose read index is applied.
  mutating func releaseReads(_ out: inout MemberOutput) {
    let released = reads.release(applied: applied.index)
    if !released.isEmpty { finish(released, readResult, &out) }
  }

  /// Answers what has waited for a read index.
  mutating func finish(
    _ entries: [ReadQueue.Entry], _ result: Result<StoreSnapshot, EtcdError>,
    _ out: inout MemberOutput
  ) {
    var ids: [RequestID] = []
    ids.reserveCapacity(entries.count)
    for entry in entries {
      switch entry.waiter {
      case .read: ids.append(entry.id)
      case .lease(let kind): finish(kind, entry.id, result, &out)
      }
    }
    if !ids.isEmpty { out.reads.append(batch(ids, result)) }
  }

  private func batch(_ ids: [RequestID], _ result: Result<StoreSnapshot, EtcdError>) -> ReadBatch {
    ReadBatch(ids: ids, result: result.map { ReadState(snapshot: $0, auth: auth) })
  }
}
