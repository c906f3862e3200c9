import Bytes
import EtcdAPI
import MVCC
import Membership
import Testing
import V2Store

@testable import Member

/// A check that finds nothing in a broken structure is worth nothing.
@Suite struct InvariantTests {
  @Test func brokenQueuesOfReadsAreFound() {
    func queue() -> ReadQueue {
      var queue = ReadQueue()
      queue.add([1], tick: 0)
      return queue
    }
    var broken = queue()
    broken.begin(context: Bytes(), tick: 0)
    #expect(broken.checkInvariants(applied: 0)?.hasPrefix("1: ") == true)
    broken = queue()
    broken.begin(context: "c", tick: 0)
    broken.confirm("c", index: 5)
    #expect(broken.checkInvariants(applied: 4) == nil)
    #expect(broken.checkInvariants(applied: 5)?.hasPrefix("2: ") == true)
    broken = queue()
    broken.leaseQuestions = 3
    #expect(broken.checkInvariants(applied: 0)?.hasPrefix("3: ") == true)
  }

  private func table(_ ids: ClosedRange<Int64>) -> LeaseTable {
    LessorTests.table(ids.map { (LeaseID($0), 10, 0) })
  }

  @Test func deadlinesOfOtherLeasesAreFound() {
    var lessor = Lessor(LessorTests.config())
    #expect(lessor.checkInvariants(leases: table(1...3)) == nil)
    lessor.promote(term: 1, now: 0, leases: table(1...3))
    #expect(lessor.checkInvariants(leases: table(1...3)) == nil)
    #expect(lessor.checkInvariants(leases: table(1...4))?.hasPrefix("2: lease 4") == true)
    #expect(lessor.checkInvariants(leases: table(1...2))?.hasPrefix("2: 3 deadlines") == true)
    #expect(lessor.checkInvariants(leases: table(1...2), leaving: 3) == nil)
    #expect(lessor.checkInvariants(leases: table(1...2), leaving: 4)?.hasPrefix("2: ") == true)
    _ = lessor.remove(2)
    #expect(lessor.checkInvariants(leases: table(1...3))?.hasPrefix("2: lease 2") == true)
  }

  @Test func brokenQueuesOfDeadlinesAreFound() {
    var queue = DueQueue(sorted: [(1, 10), (2, 20), (3, 30)])
    queue.set(3, due: 5)
    var steps = 10
    _ = queue.takeDue(now: 7, again: 70, steps: &steps)
    #expect(queue.checkInvariants() == nil)
    // The caller's promise that ids are sorted, and each there once, is not kept.
    #expect(DueQueue(sorted: [(1, 30), (2, 20)]).checkInvariants()?.hasPrefix("1: ") == true)
    var lost = DueQueue(sorted: [(1, 10), (2, 20)])
    lost.heap.removeLast()
    #expect(lost.checkInvariants()?.hasPrefix("2: ") == true)
  }

  private func broken(_ change: (inout MemberCore.Position) -> Void) -> String {
    var position = MemberCore.Position()
    position.index = 4
    position.term = 2
    for id in [1, 2] as [MemberID] {
      let change = Membership.Change.add(
        MemberInfo(id: id, peerURLs: ["http://a:\(id)"], isLearner: id == 2, name: "m\(id)"))
      position.membership.apply(change)
      position.membership.record(change, in: &position.v2)
    }
    position.confState = Raftpb.ConfState(voters: [1], learners: [2])
    #expect(position.checkInvariants() == nil)
    change(&position)
    return position.checkInvariants() ?? "nothing"
  }

  @Test func brokenPositionsAreFound() {
    #expect(broken { $0.term = 0 }.hasPrefix("1: "))
    #expect(broken { $0.confState.voters = [1, 3] }.hasPrefix("2: "))
    #expect(broken { $0.confState = Raftpb.ConfState(voters: [1, 2]) }.hasPrefix("2: "))
    #expect(broken { $0.membership.setClusterVersion("3.5.0") }.hasPrefix("3: "))
    #expect(broken { _ = try? $0.v2.delete("/0/members/2", isRecursive: true) }.hasPrefix("3: "))
  }
}
