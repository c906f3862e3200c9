import Bytes
import EtcdAPI
import MVCC
import TestSupport
import Testing

@testable import Member

/// Parts of the core, driven without raft, store and disk.
@Suite struct CorePartsTests {
  private typealias Circumstances = ProposalQueue.Circumstances

  private func proposal(_ id: UInt64) -> Proposal {
    Proposal(id: RequestID(id), data: Bytes("entry \(id)"))
  }

  /// For conditions that change a value, which the macro does not take.
  private func expect(
    _ holds: Bool, _ why: String = "", _ location: SourceLocation = #_sourceLocation
  ) { #expect(holds, "\(why)", sourceLocation: location) }

  // MARK: Proposals

  @Test func whatRaftRefusesIsTriedWhenSomethingChanged() {
    var queue = ProposalQueue()
    let first = Circumstances(tick: 1, lead: 7, commit: 3)
    expect(queue.nextBatch(first) == nil, "nothing waits")
    queue.park([proposal(1), proposal(2)], tick: 1)
    expect(queue.nextBatch(first)?.map(\.string) == ["entry 1", "entry 2"])
    queue.refusedParked(first)
    queue.park([proposal(3)], tick: 1)
    expect(queue.nextBatch(first) == nil, "the same circumstances refuse the same")
    for next in [
      Circumstances(tick: 2, lead: 7, commit: 3), Circumstances(tick: 2, lead: 8, commit: 3),
      Circumstances(tick: 2, lead: 8, commit: 4),
    ] {
      expect(queue.nextBatch(next)?.count == 3)
      queue.refusedParked(next)
    }
    expect(queue.nextBatch(Circumstances(tick: 3, lead: 8, commit: 4))?.count == 3)
    queue.tookParked()
    expect(queue.nextBatch(Circumstances(tick: 4, lead: 8, commit: 4)) == nil)
    #expect(queue.count == 3, "they wait for their entries")
  }

  @Test func brokenLinksHoldForAWhile() {
    var links = BrokenLinks()
    let (one, two) = (MemberID(1), MemberID(2))
    #expect(!links.holds(one, tick: 0, limit: 30), "nothing was told")
    links.changed(one, isUp: false, tick: 5)
    #expect(links.holds(one, tick: 34, limit: 30) && !links.holds(one, tick: 35, limit: 30))
    #expect(!links.holds(two, tick: 6, limit: 30))
    links.changed(one, isUp: true, tick: 7)
    #expect(!links.holds(one, tick: 8, limit: 30))
  }

  @Test func proposalsOfOthersAreHeldWhileNobodyTakesThem() {
    func message(_ bytes: Int) -> Raftpb.Message {
      var entry = Raftpb.Entry()
      entry.data = Bytes([UInt8](repeating: 7, count: bytes))
      var message = Raftpb.Message()
      message.type = .prop
      message.entries = [entry]
      return message
    }
    func now(_ tick: Int, lead: UInt64 = 1) -> ProposalQueue.Circumstances {
      ProposalQueue.Circumstances(tick: tick, lead: lead, commit: 0)
    }
    var queue = ForwardedProposals()
    #expect(queue.isEmpty && queue.take(now(0)).isEmpty)
    queue.hold(message(1), tick: 0)
    queue.hold(message(2), tick: 3)
    queue.refused(now(3))
    #expect(queue.take(now(3)).isEmpty, "nothing has changed")
    #expect(queue.take(now(3, lead: 2)).map { $0.message.entries[0].data.count } == [1, 2])
    #expect(queue.isEmpty && queue.take(now(4)).isEmpty, "each comes once")
    queue.hold(message(1), tick: 10)
    queue.hold(message(2), tick: 15)
    queue.expire(tick: 19, after: 10)
    queue.expire(tick: 20, after: 10)
    #expect(queue.take(now(20)).map { $0.message.entries[0].data.count } == [2])
    // However often raft refuses it, its time is that in which it came.
    queue.hold(message(3), tick: 20)
    for tick in 21..<30 {
      for (message, came) in queue.take(now(tick)) { queue.hold(message, tick: came) }
      queue.refused(now(tick))
      queue.expire(tick: tick, after: 9)
    }
    #expect(queue.isEmpty)
    for _ in 0..<3 { queue.hold(message(ForwardedProposals.bytesMax / 2), tick: 30) }
    #expect(queue.take(now(31)).count == 2, "what does not fit is dropped")
  }

  @Test func whoGaveUpIsNotProposed() {
    var queue = ProposalQueue()
    queue.park([proposal(1)], tick: 1)
    queue.park([proposal(2)], tick: 5)
    expect(queue.expire(tick: 10, after: 10).isEmpty)
    expect(
      queue.expire(tick: 11, after: 10) == [ProposalQueue.Expired(id: RequestID(1), start: 1)])
    let now = Circumstances(tick: 11, lead: 7, commit: 3)
    expect(queue.nextBatch(now)?.map(\.string) == ["entry 2"])
    #expect(queue.failed == 1 && queue.count == 1)
    expect(!queue.remove(RequestID(1)), "it was answered")
    expect(queue.remove(RequestID(2)))
    expect(queue.nextBatch(now) == nil, "nobody waits for it any more")
    queue.wait(for: RequestID(3), tick: 12)
    queue.refused(RequestID(3))
    #expect(queue.failed == 2 && queue.count == 0)
  }

  /// Every request gets one end, in the order in which they came, whatever is answered in between.
  @Test(arguments: 0..<20 as Range<UInt64>) func everyRequestEndsOnce(_ seed: UInt64) {
    var random = SeededGenerator(state: seed)
    var queue = ProposalQueue()
    var open: [(id: UInt64, tick: Int)] = []
    var next: UInt64 = 1
    for tick in 0..<400 {
      for _ in 0..<Int.random(in: 0..<40, using: &random) {
        queue.wait(for: RequestID(next), tick: tick)
        open.append((next, tick))
        next += 1
      }
      for _ in 0..<Int.random(in: 0..<30, using: &random) where !open.isEmpty {
        let at = Int.random(in: 0..<open.count, using: &random)
        expect(queue.remove(RequestID(open[at].id)))
        open.remove(at: at)
      }
      let expired = queue.expire(tick: tick, after: 10)
      let due = open.filter { tick - $0.tick >= 10 }
      open.removeAll { tick - $0.tick >= 10 }
      #expect(expired.map(\.id.rawValue) == due.map(\.id), "seed \(seed), tick \(tick)")
      #expect(queue.count == open.count)
    }
  }

  // MARK: Leader

  /// A request that came while the leader was being lost is told so.
  @Test func aLostLeaderIsTheReason() {
    var watch = LeaderWatch()
    watch.changed(to: 1, tick: 5)
    #expect(watch.timeoutReason(start: 1, electionTicks: 10) == .timeout, "it is the first one")
    watch.changed(to: .none, tick: 90)
    #expect(watch.changes == 1 && watch.leader == .none)
    watch.changed(to: 2, tick: 100)
    #expect(watch.timeoutReason(start: 85, electionTicks: 10) == .timeoutLeaderFailure)
    #expect(watch.timeoutReason(start: 80, electionTicks: 10) == .timeout, "long before")
    #expect(watch.timeoutReason(start: 100, electionTicks: 10) == .timeout, "after it")
  }

  // MARK: Backend

  private func position(_ index: UInt64) -> MemberCore.Position {
    var position = MemberCore.Position()
    position.index = LogIndex(index)
    return position
  }

  @Test func aBatchUnderAnInstalledSnapshotCountsForNothing() {
    var backend = BackendProgress(position(3), MemoryRows(), snapshotIndex: 2)
    backend.commitDue = true
    backend.froze(at: position(5))
    #expect(!backend.commitDue && backend.coming.index == 5 && backend.durable.index == 3)
    backend.beginsInstallation()
    #expect(backend.isInstalling)
    backend.installed(position(90), MemoryRows())
    backend.endsInstallation()
    expect(!backend.committed(MemoryRows()), "the batch was of the state before")
    #expect(backend.durable.index == 90 && backend.snapshotIndex == 90 && !backend.isInstalling)
    backend.froze(at: position(91))
    expect(backend.committed(MemoryRows()) && backend.durable.index == 91)
  }

  /// Nothing is frozen until the last of several snapshots is in place.
  /// - Source: etcd issue 18055.
  @Test func snapshotsThatComeTogetherAreCounted() {
    var backend = BackendProgress(position(3), MemoryRows(), snapshotIndex: 2)
    backend.beginsInstallation()
    backend.beginsInstallation()
    backend.installed(position(90), MemoryRows())
    backend.endsInstallation()
    #expect(backend.isInstalling, "the second is on its way")
    backend.installed(position(95), MemoryRows())
    backend.endsInstallation()
    #expect(!backend.isInstalling && backend.durable.index == 95)
  }

  @Test func anIntervalIsAskedForOnce() {
    var backend = BackendProgress(position(3), MemoryRows(), snapshotIndex: 2)
    let (quiet, first) = (
      backend.asksForCommit(isBehind: false), backend.asksForCommit(isBehind: true)
    )
    let again = backend.asksForCommit(isBehind: true)
    #expect(!quiet && first && !again)
    backend.commitIntervalEnded(isBehind: true)
    #expect(backend.commitDue)
    let whileDue = backend.asksForCommit(isBehind: true)
    #expect(!whileDue)
    backend.froze(at: position(4))
    let next = backend.asksForCommit(isBehind: true)
    #expect(next)
    backend.commitIntervalEnded(isBehind: false)
    #expect(!backend.commitDue, "somebody else had it committed")
  }

  @Test func compactionsAreAnsweredAfterTheirCommit() {
    var compactions = PhysicalCompactions()
    let result = KVResult.compaction(revision: 9)
    compactions.add(RequestID(1), revision: 5, result)
    compactions.add(RequestID(2), revision: 9, result)
    let early = compactions.committed()
    #expect(early.isEmpty)
    let (one, again) = (compactions.finished(5), compactions.finished(5))
    #expect(one && !again)
    compactions.froze()
    let other = compactions.finished(9)
    #expect(other, "its rows are in the next batch")
    expect(compactions.committed().map(\.id) == [RequestID(1)])
    compactions.froze()
    expect(compactions.committed().map(\.id) == [RequestID(2)])
    compactions.add(RequestID(3), revision: 12, result)
    expect(compactions.takeAll().map(\.id) == [RequestID(3)])
    expect(compactions.takeAll().isEmpty)
  }

  // MARK: Log

  @Test func aCommitIndexAloneGoesAlongWithTheNextWrite() {
    func append(commit: UInt64, entries: Int) -> LogAppend {
      LogAppend(
        hardState: Raftpb.HardState(term: 1, commit: commit),
        entries: (0..<entries).map { Raftpb.Entry(term: 1, index: UInt64($0 + 1)) }, snapshot: nil,
        mustSync: entries > 0, responses: [])
    }
    var log = LogProgress()
    expect(log.begin(append(commit: 4, entries: 0)) == nil, "it counts as done")
    var silent = append(commit: 0, entries: 1)
    silent.hardState = nil
    expect(log.begin(silent)?.hardState?.commit == 4)
    #expect(log.writesUnderWay == 1)
    expect(log.begin(append(commit: 5, entries: 0))?.hardState?.commit == 5, "behind a write")
    log.ended()
    log.ended()
    expect(log.takeNews() == nil)
    expect(log.begin(append(commit: 6, entries: 0)) == nil)
    expect(log.takeNews()?.hardState?.commit == 6)
    expect(log.takeNews() == nil && log.writesUnderWay == 1)
  }

  @Test func aPauseIsAskedForOnce() {
    func news(_ commit: UInt64) -> LogAppend {
      LogAppend(
        hardState: Raftpb.HardState(term: 1, commit: commit), entries: [], snapshot: nil,
        mustSync: false, responses: [])
    }
    var log = LogProgress()
    expect(!log.asksForPause(), "nothing is new")
    expect(log.begin(news(4)) == nil)
    expect(log.asksForPause())
    expect(log.begin(news(5)) == nil)
    expect(!log.asksForPause(), "the first one's covers it")
    log.pauseEnded()
    expect(log.takeNews()?.hardState?.commit == 5)
    expect(!log.asksForPause())
  }
}
