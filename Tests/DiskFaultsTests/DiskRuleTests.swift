import Testing

@testable import DiskFaults

/// What becomes of calls, without processes and clocks.
@Suite struct DiskRuleTests {
  @Test func eachFaultMeetsItsCalls() {
    func outcomes(_ rule: DiskRule) -> [DiskRule.Outcome] {
      DiskRule.Call.allCases.map(rule.outcome)
    }
    #expect(DiskRule().isClear && outcomes(DiskRule()) == [.passes, .passes, .passes])
    #expect(outcomes(DiskRule(delay: 5)) == [.waits(5), .passes, .passes])
    #expect(outcomes(DiskRule(failure: .full)) == [.passes, .full, .full])
    #expect(outcomes(DiskRule(delay: 5, failure: .full)) == [.waits(5), .full, .full])
    #expect(outcomes(DiskRule(delay: 5, failure: .fail)) == [.fails, .fails, .passes])
  }

  @Test func answersWaitUntilTheyAreDue() {
    var slow = SlowAnswers()
    #expect(slow.wait(0) == nil && slow.take(9) == [])
    let late = SlowAnswers.Entry(listener: 1, id: 1, due: 30)
    let early = SlowAnswers.Entry(listener: 2, id: 2, due: 20)
    slow.add(late)
    slow.add(early)
    #expect(slow.wait(15) == 5 && slow.wait(25) == 0)
    #expect(slow.take(19) == [] && slow.take(20) == [early] && slow.wait(20) == 10)
    #expect(slow.take(40) == [late] && slow.entries.isEmpty)
  }

  @Test func whoIsHealedWaitsNoLonger() {
    var slow = SlowAnswers()
    for id in [1, 2] as [UInt64] {
      slow.add(SlowAnswers.Entry(listener: Int32(id), id: id, due: 1_000))
    }
    slow.hurry(1, atMost: 0, 10)
    #expect(slow.take(10).map(\.id) == [1])
    slow.hurry(2, atMost: 5_000, 10)
    #expect(slow.wait(10) == 990, "no rule makes an old call later")
    slow.forget(2)
    #expect(slow.wait(10) == nil)
  }
}
