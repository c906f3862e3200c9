import EtcdAPI
import Testing

@testable import Raft

/// A check that finds nothing in a broken structure is worth nothing.
@Suite struct InvariantTests {
  private func progress(_ change: (inout Progress) -> Void) -> String {
    var progress = Progress(next: 6, inflights: Inflights(limit: 4, byteLimit: 0), isLearner: false)
    progress.match = 5
    progress.becomeReplicate()
    progress.sent(entries: 2, bytes: 20)
    precondition(progress.checkInvariants() == nil)
    change(&progress)
    return progress.checkInvariants() ?? "nothing"
  }

  @Test func brokenProgressIsFound() {
    #expect(progress { $0.next = 5 }.hasPrefix("1: "))
    #expect(progress { $0.state = .probe }.hasPrefix("2: "))
    #expect(progress { $0.pendingSnapshot = 3 }.hasPrefix("3: "))
    #expect(progress { $0.match = 7 }.hasPrefix("4: "))
    #expect(progress { $0.next = 7 }.hasPrefix("4: "))
    #expect(progress { $0.inflights.add(index: 6, bytes: 1) }.hasPrefix("2: 3: "))
  }

  private func log() -> RaftLog<MemoryStorage> {
    var log = RaftLog(storage: MemoryStorage(), maxApplyingSize: 100, logger: LogSink(logger: nil))
    log.append((1...4).map { Raftpb.Entry(term: 1, index: $0) })
    log.commit(to: 3)
    return log
  }

  @Test func aBrokenLogIsFound() {
    #expect(log().checkInvariants() == nil)
    var log = log()
    log.restoreCommitted(9)
    #expect(log.checkInvariants()?.hasPrefix("1: ") == true)
    log = self.log()
    log.unstable = Unstable(offset: 4, logger: log.logger)
    log.restoreCommitted(0)
    #expect(log.checkInvariants()?.hasPrefix("3: ") == true)
  }
}
