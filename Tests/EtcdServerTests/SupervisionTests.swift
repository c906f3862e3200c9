import Testing

@testable import EtcdServer

/// What supervisors are told, as values.
@Suite struct SupervisionTests {
  @Test func phasesFollowTheMember() {
    let watch = PhaseWatch(first: 100, last: 200)
    func phase(
      _ applied: UInt64, _ committed: UInt64 = 300, isReady: Bool = true, hasLeader: Bool = true,
      isLeader: Bool = false, isLearner: Bool = false
    ) -> String {
      "\(watch.phase(applied: applied, committed: committed, isReady: isReady, hasLeader: hasLeader, isLeader: isLeader, isLearner: isLearner))"
    }
    #expect(phase(100, isReady: false) == "replaying 0 %")
    #expect(phase(140, isReady: false) == "replaying 40 %")
    #expect(phase(90, isReady: false) == "replaying 0 %")
    #expect(phase(199, isReady: false) == "replaying 99 %")
    #expect(phase(200, isReady: false) == "joining")
    #expect(phase(250) == "follower at lag 50")
    #expect(phase(301, 300) == "follower at lag 0")
    #expect(phase(250, isLearner: true) == "learner at lag 50")
    #expect(phase(250, isLeader: true) == "leader")
    #expect(phase(250, hasLeader: false) == "without a leader")
    let empty = PhaseWatch(first: 5, last: 5)
    let joining = empty.phase(
      applied: 0, committed: 0, isReady: false, hasLeader: false, isLeader: false, isLearner: false)
    #expect(joining == .joining)
    let large = PhaseWatch(first: 0, last: .max).phase(
      applied: .max / 2, committed: .max, isReady: false, hasLeader: true, isLeader: false,
      isLearner: false)
    #expect(large == .replaying(50))
  }

  @Test func eachPartHasToMove() {
    var gate = MovementGate(patience: .seconds(10), now: 0)
    func sight(_ turns: UInt64, _ ticks: UInt64, _ log: UInt64) -> Movement.Sight {
      Movement.Sight(turns: turns, ticks: ticks, logAnswers: log)
    }
    let second: UInt64 = 1_000_000_000
    #expect(gate.stuck(sight(1, 1, 1), now: 5 * second) == [])
    #expect(gate.stuck(sight(1, 1, 1), now: 15 * second) == [])
    #expect(gate.stuck(sight(1, 1, 1), now: 15 * second + 1) == ["core", "log"])
    // A clock that ticks is no core that turns, and a core that turns no log that answers.
    #expect(gate.stuck(sight(1, 2, 2), now: 16 * second) == ["core"])
    #expect(gate.stuck(sight(2, 2, 2), now: 17 * second) == [])
    #expect(gate.stuck(sight(3, 3, 2), now: 27 * second) == ["log"])
    #expect(gate.stuck(sight(4, 4, 3), now: 28 * second) == [])
  }
}
