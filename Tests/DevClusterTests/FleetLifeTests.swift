import JSON
import Testing

@testable import DevClusterKit

/// A member's life, without a process.
@Suite struct MemberLifeTests {
  private let plan = ClusterPlan(size: 1, directory: "/d").members[0]

  private func running() throws -> MemberLife {
    var life = MemberLife(plan)
    #expect(try life.start() == [.spawn])
    life.spawned(7, 0)
    return life
  }

  @Test func itEndsBecauseItIsTold() throws {
    var life = try running()
    #expect(life.pid == 7 && life.reportedState == .unhealthy)
    #expect(throws: DevClusterError("m1 is already running")) { try life.start() }
    #expect(life.stop() == [.signal(.terminate), .beginPatience])
    #expect(life.stop() == [], "asked twice")
    #expect(life.patienceEnded() == [.signal(.kill)])
    #expect(life.exited("signal 9", lastWords: "bye") == [.endPatience])
    #expect(life.state == .stopped && life.failure == nil)
    #expect(life.patienceEnded() == [])
  }

  @Test func itEndsOnItsOwn() throws {
    var life = try running()
    _ = life.exited("exit status 3", lastWords: "no luck")
    #expect(life.reportedState == .exited && life.failure == "exit status 3")
    #expect(life.lastWords == "no luck" && !life.isAlive)
    #expect(try life.start() == [.spawn])
    life.notSpawned()
    #expect(life.state == .stopped && life.failure == nil)
  }

  @Test func itIsFrozen() throws {
    var life = try running()
    #expect(throws: DevClusterError("m1 is not paused")) { try life.setPaused(false) }
    #expect(try life.setPaused(true) == [.signal(.freeze)])
    #expect(life.reportedState == .paused)
    #expect(throws: DevClusterError("m1 is already paused")) { try life.setPaused(true) }
    #expect(try life.setPaused(false) == [.signal(.thaw)])
    // By hand, and so it is told.
    life.found(isStopped: true)
    #expect(life.reportedState == .paused)
    #expect(life.stop() == [.signal(.terminate), .signal(.thaw), .beginPatience])
    #expect(throws: DevClusterError("m1 is being stopped")) { try life.setPaused(true) }
    #expect(life.kill() == [.signal(.kill)])
    _ = life.exited("signal 9", lastWords: "")
    #expect(throws: DevClusterError("m1 is not running")) { try life.setPaused(true) }
    #expect(life.kill() == [])
  }

  @Test func itIsAskedOnceAtATime() throws {
    var life = try running()
    #expect(life.mayBeAsked(5, olderThan: 10))
    life.asked(5)
    #expect(!life.mayBeAsked(50, olderThan: 10) && life.wasAsked(at: 10, within: 10))
    #expect(!life.wasAsked(at: 20, within: 10), "one that is frozen is not waited for")
    var seen = Observation()
    seen.isHealthy = true
    life.observed(seen, 60)
    #expect(life.mayBeAsked(60, olderThan: 10) && life.reportedState == .healthy)
    life.observed(nil, 70)
    #expect(life.reportedState == .unhealthy)
  }
}

/// A cluster's life, without processes, sockets and clocks.
@Suite struct FleetLifeTests {
  private static let second: UInt64 = 1_000_000_000
  private let plan = ClusterPlan(size: 2, directory: "/d")

  /// What a member with an ID says that takes another for the leader.
  private func seen(_ id: UInt64, leader: UInt64 = 1, isHealthy: Bool = true) -> Observation {
    var seen = Observation()
    seen.id = id
    seen.leader = leader
    seen.term = 2
    seen.isHealthy = isHealthy
    return seen
  }

  /// All but what is only written down.
  private func handle(
    _ event: FleetLife.Event, _ life: inout FleetLife, now: UInt64 = 2
  ) -> [FleetLife.Action] {
    life.handle(event, now: now).filter {
      switch $0 {
      case .event, .save, .probe, .tell: false
      default: true
      }
    }
  }

  private func started() -> FleetLife {
    var life = FleetLife(plan, startSeconds: 60)
    #expect(handle(.ready, &life) == [.member(0, .spawn)])
    #expect(handle(.spawned(0, pid: 11), &life) == [.member(1, .spawn)])
    #expect(handle(.spawned(1, pid: 12), &life) == [])
    return life
  }

  private func running() -> FleetLife {
    var life = started()
    #expect(handle(.observed(0, run: 1, seen(1)), &life) == [])
    let last = handle(.observed(1, run: 1, seen(2)), &life)
    #expect(last == [.announce(life.reports)])
    #expect(handle(.announced(isHeard: true), &life) == [])
    #expect(life.phase == .running && life.plan.wasHealthy)
    return life
  }

  private func exit(
    _ member: Int, _ life: inout FleetLife, now: UInt64 = 2
  ) -> [FleetLife.Action] {
    handle(.exited(member, how: "signal 9", lastWords: "bye"), &life, now: now)
  }

  private func ask(
    _ action: MemberAction, _ who: String..., in life: inout FleetLife
  ) -> [FleetLife.Action] {
    handle(.asked(.member(action, who, wait: 15), 5), &life)
  }

  private func refused(_ text: String) -> FleetLife.Action {
    .answer(5, ["error": .string(text), "code": 1])
  }

  @Test func readyMeansThatAllKnowOneLeader() {
    var life = started()
    _ = handle(.observed(0, run: 1, seen(1)), &life)
    #expect(handle(.observed(1, run: 1, seen(2, leader: 0, isHealthy: false)), &life) == [])
    #expect(handle(.observed(1, run: 7, seen(2)), &life) == [], "of another process")
    #expect(handle(.observed(1, run: 1, seen(2)), &life) == [.announce(life.reports)])
  }

  @Test func notHealthyInTimeIsAFailure() {
    var life = started()
    _ = handle(.observed(0, run: 1, seen(1)), &life)
    _ = handle(.tick, &life, now: 2 + 60 * Self.second)
    #expect(life.phase == .ending(1))
    _ = exit(0, &life)
    #expect(
      exit(1, &life).last
        == .end(status: 1, failure: "not healthy after 60 s: m2; see /d/m2/log"))
  }

  @Test func anEarlyEndIsAFailure() {
    var life = started()
    _ = exit(1, &life)
    _ = handle(.tick, &life)
    #expect(
      exit(0, &life).last
        == .end(
          status: 1, failure: "m2 ended with signal 9 before it was healthy; see /d/m2/log: bye"))
  }

  @Test func whatCannotBeStartedIsTold() {
    var life = FleetLife(plan, startSeconds: 60)
    #expect(handle(.failed("no socket"), &life) == [.end(status: 1, failure: "no socket")])
    life = FleetLife(plan, startSeconds: 60)
    _ = handle(.ready, &life)
    _ = handle(.spawned(0, pid: 11), &life)
    #expect(
      handle(.notSpawned(1, "port taken"), &life)
        == [.member(0, .signal(.terminate)), .member(0, .beginPatience)])
    #expect(exit(0, &life).last == .end(status: 1, failure: "port taken"))
    life = started()
    _ = handle(.abandoned, &life)
    #expect(life.phase == .ending(1), "who waited for the start is gone")
  }

  @Test func downIsAnsweredWhenNothingRuns() {
    var life = running()
    let asked = handle(.asked(.down, 9), &life)
    #expect(asked.first == .note("stopping: asked by devcluster down"))
    _ = handle(.asked(.down, 10), &life)
    _ = exit(0, &life)
    #expect(
      exit(1, &life).suffix(3)
        == [.answer(9, [:]), .answer(10, [:]), .end(status: 0, failure: nil)])
    #expect(handle(.interrupted, &life) == [])
  }

  /// Nothing can be decided any more, and what was answered is on disk.
  @Test func withoutAQuorumTheEndIsHurried() {
    var life = running()
    _ = handle(.asked(.down, 9), &life, now: 100)
    _ = exit(0, &life, now: 100)
    #expect(handle(.tick, &life, now: 100 + FleetLife.hurryNanoseconds - 1) == [])
    #expect(
      handle(.tick, &life, now: 100 + FleetLife.hurryNanoseconds) == [.member(1, .signal(.kill))])
  }

  @Test func twoInterruptsEndItAtOnce() {
    var life = running()
    #expect(handle(.interrupted, &life).first == .note("stopping 2 members"))
    #expect(
      handle(.interrupted, &life) == [.member(0, .signal(.kill)), .member(1, .signal(.kill))])
    var early = started()
    _ = handle(.interrupted, &early)
    _ = exit(0, &early)
    #expect(exit(1, &early).last == .end(status: 1, failure: "interrupted"))
  }

  @Test func aMemberIsRestarted() {
    var life = running()
    #expect(ask(.restart, "m2", in: &life).first == .member(1, .signal(.terminate)))
    #expect(exit(1, &life).last == .member(1, .spawn))
    #expect(handle(.spawned(1, pid: 22), &life) == [])
    #expect(handle(.observed(1, run: 2, seen(2, leader: 0, isHealthy: false)), &life) == [])
    let late = 3 + 15 * Self.second
    var other = life
    let note = "m2 runs but is not healthy after 15 s"
    #expect(
      handle(.tick, &other, now: late)
        == [.answer(5, ["members": ["m2"], "note": .string(note), "code": 3])])
    var gone = life
    #expect(
      exit(1, &gone).last == refusedNaming("m2", "m2 ended with signal 9; see /d/m2/log: bye"))
    #expect(
      handle(.observed(1, run: 2, seen(2)), &life) == [.answer(5, ["members": ["m2"]])])
  }

  private func refusedNaming(_ member: String, _ text: String) -> FleetLife.Action {
    .answer(5, ["members": [.string(member)], "error": .string(text), "code": 1])
  }

  @Test func aStartWithoutAQuorumIsAnsweredAtOnce() {
    var life = running()
    _ = ask(.kill, "all", in: &life)
    _ = exit(0, &life)
    _ = exit(1, &life)
    _ = ask(.start, "m1", in: &life)
    _ = handle(.spawned(0, pid: 33), &life)
    let answer = handle(
      .observed(0, run: 2, seen(1, leader: 0, isHealthy: false)), &life)
    guard case .answer(5, let json) = answer.last else {
      Issue.record("not answered: \(answer)")
      return
    }
    #expect(json["code"] == 4)
    #expect(json["note"]?.string == "m1 runs, but there is no quorum: 1 of 2 voters run")
  }

  @Test func requestsThatMakeNoSenseAreRefused() {
    var life = running()
    guard case .answer(5, let json) = ask(.stop, "m9", in: &life).last else {
      Issue.record("m9 was found")
      return
    }
    #expect(json["error"]?.string?.hasPrefix("there is no member 'm9' among m1, m2") == true)
    #expect(
      ask(.start, "m1", in: &life) == [
        .answer(5, ["members": [], "error": "m1 is already running", "code": 1])
      ])
    #expect(ask(.kill, "leader", in: &life) == [.member(0, .signal(.kill))])
    #expect(exit(0, &life).last == .answer(5, ["members": ["m1"]]))
    #expect(
      ask(.stop, "all", in: &life).first == .member(1, .signal(.terminate)),
      "those that are stopped already are no mistake")
    _ = exit(1, &life)
    _ = ask(.start, "m1", in: &life)
    #expect(
      handle(.notSpawned(0, "port taken"), &life) == [refusedNaming("m1", "port taken")])
    #expect(life.phase == .running)
  }

  @Test func aFrozenMemberHoldsUpNobody() {
    var life = running()
    _ = life.handle(.tick, now: 2 * Self.second)
    // Both were asked, and m2 does not answer.
    _ = life.handle(.observed(0, run: 1, seen(1)), now: 2 * Self.second)
    let late = 2 * Self.second + 50_000_000
    _ = life.handle(.asked(.status, 8), now: late)
    let answer = life.handle(.observed(0, run: 1, seen(1)), now: late + 1)
    #expect(answer.contains { if case .answer(8, _) = $0 { true } else { false } })
  }

  @Test func electionsAreWrittenDown() {
    var life = running()
    let events = life.handle(.observed(0, run: 1, seen(1, leader: 2)), now: 9)
    #expect(events.isEmpty, "an older view of the same term")
    var later = seen(2, leader: 2)
    later.term = 3
    #expect(
      life.handle(.observed(1, run: 1, later), now: 9)
        == [.event(ClusterEvent(kind: "leader", member: "m2", text: "m2 leads in term 3"))])
  }

  @Test func alarmsAreWrittenDownAndTheirEnd() {
    var life = running()
    func events(_ problems: [String]) -> [FleetLife.Action] {
      var seen = seen(1)
      seen.problems = problems
      return life.handle(.observed(0, run: 1, seen), now: 9)
    }
    let alarm = "memberID:1 alarm:NOSPACE "
    func event(_ kind: String, _ text: String) -> FleetLife.Action {
      .event(ClusterEvent(kind: kind, member: "m1", text: text))
    }
    #expect(events([alarm]) == [event("alarm", "m1: \(alarm)")])
    #expect(events([alarm]) == [])
    #expect(events([alarm, "no leader"]) == [event("problem", "m1: no leader")])
    #expect(events([]) == [event("alarm-cleared", "m1: no longer \(alarm)")])
  }

  @Test func guardiansHearOfEveryChange() {
    var life = running()
    let actions = life.handle(.exited(1, how: "signal 9", lastWords: ""), now: 3)
    #expect(actions.contains(.tell(pids: [11])))
    #expect(
      actions.contains(
        .note("m2 ended with signal 9 (start it again with: devcluster start m2)")))
  }
}
