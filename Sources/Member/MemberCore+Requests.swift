import Bytes
import EtcdAPI
import MVCC
import Raft

/// Requests that wait: proposals, configuration changes, read rounds.
extension MemberCore {
  mutating func propose(_ proposals: [Proposal], _ out: inout MemberOutput) {
    if store.pendingBytes > config.pendingBytesMax
      || self.proposals.count + proposals.count > config.waitingMax
    {
      for proposal in proposals {
        out.replies.append(Reply(id: proposal.id, outcome: .failed(.tooManyRequests)))
      }
      return
    }
    self.proposals.park(proposals, tick: ticks)
    proposeParked(&out)
  }

  mutating func wait(for id: RequestID) {
    proposals.wait(for: id, tick: ticks)
  }

  /// Gives raft a message. Proposals that it does not take now are kept for a while.
  /// - Parameter came: the tick in which it came, when that was earlier.
  mutating func step(_ message: Raftpb.Message, came: Int? = nil) {
    do throws(RaftError) { try node.step(message) } catch {
      switch error {
      case .contradiction(let reason):
        halt(
          "\(message.type.protoName ?? "message") from \(message.sender.hex): \(reason)")
      case .proposalDropped where message.type == .prop:
        var own = message
        own.from = config.raft.id
        forwarded.hold(own, tick: came ?? ticks)
      // What raft refuses otherwise (a stranger's response) needs no answer.
      default: break
      }
    }
  }

  /// Those of other members that had to wait.
  private mutating func proposeForwarded(_ now: ProposalQueue.Circumstances) {
    for (message, tick) in forwarded.take(now) { step(message, came: tick) }
    if !forwarded.isEmpty { forwarded.refused(now) }
  }

  /// Elections for which proposals wait while the stream to the leader is broken: the next leader is known by then.
  private static let brokenElections = 3

  /// Whether there is a leader, and a way to it.
  private var reachesLeader: Bool {
    let lead = node.basicStatus.softState.lead
    guard lead != RaftNodeID.none else { return false }
    return isLeader
      || !links.holds(
        MemberID(lead), tick: ticks, limit: Self.brokenElections * config.raft.electionTicks)
  }

  /// Hands proposals to raft in one batch, once there is a leader to take them. When raft refuses them they wait
  /// for a tick, a commit or another leader: they may be very many.
  mutating func proposeParked(_ out: inout MemberOutput) {
    let status = node.basicStatus
    guard reachesLeader else { return }
    proposeParkedChanges()
    let now = ProposalQueue.Circumstances(
      tick: ticks, lead: status.softState.lead, commit: status.hardState.commit)
    proposeForwarded(now)
    guard let data = proposals.nextBatch(now) else { return }
    // Refused while leadership is handed over or the leader is full: they stay parked until their time.
    if (try? node.propose(data)) != nil {
      proposals.tookParked()
    } else {
      proposals.refusedParked(now)
    }
  }

  /// A change waits for a leader as every proposal does.
  /// - Source: etcd raft `node.ProposeConfChange`, which blocks while there is none.
  mutating func propose(_ change: Raftpb.ConfChange, id: RequestID, _ out: inout MemberOutput) {
    wait(for: id)
    guard parkedChanges.count < config.waitingMax else {
      proposals.refused(id)
      out.replies.append(Reply(id: id, outcome: .failed(.tooManyRequests)))
      return
    }
    var change = change
    change.id = id.rawValue
    parkedChanges.append(change)
    if reachesLeader { proposeParkedChanges() }
  }

  /// What raft refuses, while leadership is handed over, waits for the next turn; what was given up is left out.
  private mutating func proposeParkedChanges() {
    guard !parkedChanges.isEmpty else { return }
    let all = parkedChanges
    parkedChanges = []
    for change in all where proposals.isWaiting(RequestID(change.id)) {
      if (try? node.proposeConfChange(.v1(change))) == nil { parkedChanges.append(change) }
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
    guard proposals.remove(id) else { return }
    out.replies.append(Reply(id: id, outcome: outcome))
  }

  /// Fails requests that waited too long. The entry may still be applied later.
  mutating func expireWaiting(_ out: inout MemberOutput) {
    forwarded.expire(tick: ticks, after: config.requestTicks)
    for entry in proposals.expire(tick: ticks, after: config.requestTicks) {
      let reason = leaderWatch.timeoutReason(
        start: entry.start, electionTicks: config.raft.electionTicks)
      out.replies.append(Reply(id: entry.id, outcome: .failed(reason)))
    }
  }

  mutating func leaderDidChange(to leader: MemberID, _ out: inout MemberOutput) {
    leaderWatch.changed(to: leader, tick: ticks)
    out.leaderChanged = true
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
