import Testing

@testable import DevClusterKit

/// A member's life, without a process.
@Suite struct MemberLifeTests {
  private let plan = ClusterPlan(size: 1, basePort: nil, directory: "/d").members[0]

  private func running() throws -> MemberLife {
    var life = MemberLife(plan)
    #expect(try life.start() == [.spawn])
    life.spawned(7)
    return life
  }

  @Test func itEndsBecauseItIsTold() throws {
    var life = try running()
    #expect(life.pid == 7 && life.report.state == .unhealthy)
    #expect(throws: DevClusterError("m1 is already running")) { try life.start() }
    #expect(life.stop() == [.signal(.terminate), .beginPatience])
    #expect(life.stop() == [], "asked twice")
    #expect(life.patienceEnded() == [.signal(.kill)])
    #expect(life.exited("signal 9", lastWords: "bye") == [.endPatience])
    #expect(life.state == .stopped && life.failure == nil && life.report.exit == nil)
    #expect(life.patienceEnded() == [])
  }

  @Test func itEndsOnItsOwn() throws {
    var life = try running()
    _ = life.exited("exit status 3", lastWords: "no luck")
    #expect(life.report.state == .exited && life.report.exit == "exit status 3")
    #expect(life.lastWords == "no luck" && !life.isAlive)
    #expect(try life.start() == [.spawn])
    life.notSpawned()
    #expect(life.state == .stopped && life.report.exit == nil)
  }

  @Test func itIsFrozen() throws {
    var life = try running()
    #expect(throws: DevClusterError("m1 is not paused")) { try life.setPaused(false) }
    #expect(try life.setPaused(true) == [.signal(.freeze)])
    #expect(life.report.state == .paused)
    #expect(throws: DevClusterError("m1 is already paused")) { try life.setPaused(true) }
    #expect(try life.setPaused(false) == [.signal(.thaw)])
    _ = try life.setPaused(true)
    #expect(life.stop() == [.signal(.terminate), .signal(.thaw), .beginPatience])
    #expect(throws: DevClusterError("m1 is being stopped")) { try life.setPaused(true) }
    #expect(life.kill() == [.signal(.kill)])
    _ = life.exited("signal 9", lastWords: "")
    #expect(throws: DevClusterError("m1 is not running")) { try life.setPaused(true) }
    #expect(life.kill() == [])
  }
}

/// A cluster's life, without processes, sockets and clocks.
@Suite struct FleetLifeTests {
  private static let second: UInt64 = 1_000_000_000
  private let plan = ClusterPlan(size: 2, basePort: nil, directory: "/d")

  private func reports(_ states: MemberState...) -> [MemberReport] {
    zip(plan.members, states).map { MemberReport(plan: $0, state: $1) }
  }

  /// A cluster that was asked for; its members are m1, process 11, and m2, process 12.
  private func started() -> FleetLife {
    var life = FleetLife(plan, startSeconds: 60)
    #expect(life.handle(.ready, now: 0) == [.member(0, .spawn)])
    #expect(
      life.handle(.spawned(0, pid: 11), now: 0) == [.tell(pids: [11]), .member(1, .spawn)])
    #expect(
      life.handle(.spawned(1, pid: 12), now: 0)
        == [.tell(pids: [11, 12]), .look(.start, reports(.unhealthy, .unhealthy).with([11, 12]))])
    return life
  }

  private func running() -> FleetLife {
    var life = started()
    let healthy = reports(.healthy, .healthy)
    #expect(life.handle(.looked(.start, healthy), now: 1) == [.announce(healthy)])
    #expect(life.handle(.announced(isHeard: true), now: 1) == [])
    #expect(life.phase == .running)
    return life
  }

  private func ask(_ action: MemberAction, _ name: String, _ life: inout FleetLife)
    -> [FleetLife.Action]
  {
    life.handle(.asked(.member(action, name), 5), now: 2)
  }

  private func exit(_ member: Int, _ life: inout FleetLife) -> [FleetLife.Action] {
    life.handle(.exited(member, how: "signal 9", lastWords: "bye"), now: 3)
  }

  @Test func itWaitsForHealth() {
    var life = started()
    #expect(
      life.handle(.looked(.start, reports(.healthy, .unhealthy)), now: 1) == [.wait(.start)])
    #expect(
      ask(.stop, "m1", &life) == [.answer(5, .refused("the cluster is starting or stopping"))])
    guard case .look(.start, _) = life.handle(.due(.start), now: 2).first else {
      Issue.record("it does not look again")
      return
    }
    let over = life.handle(.looked(.start, reports(.healthy, .unhealthy)), now: 60 * Self.second)
    #expect(
      over == [
        .member(0, .signal(.terminate)), .member(0, .beginPatience),
        .member(1, .signal(.terminate)), .member(1, .beginPatience),
      ])
    #expect(exit(0, &life) == [.member(0, .endPatience), .tell(pids: [12])])
    #expect(
      exit(1, &life) == [
        .member(1, .endPatience), .tell(pids: []),
        .end(status: 1, failure: "not healthy after 60 s: m2; see /d/m2/log"),
      ])
  }

  @Test func aMemberThatEndsEarlyEndsTheStart() {
    var life = started()
    _ = exit(1, &life)
    _ = life.handle(.due(.start), now: 1)
    #expect(
      exit(0, &life).last
        == .end(
          status: 1,
          failure: "m2 ended with signal 9 before it was healthy; see /d/m2/log: bye"))
  }

  @Test func whatCannotBeStartedIsTold() {
    var life = FleetLife(plan, startSeconds: 60)
    #expect(
      life.handle(.failed("no socket"), now: 0) == [.end(status: 1, failure: "no socket")])
    life = FleetLife(plan, startSeconds: 60)
    _ = life.handle(.ready, now: 0)
    _ = life.handle(.spawned(0, pid: 11), now: 0)
    let stop = life.handle(.notSpawned(1, "port taken"), now: 0)
    #expect(stop == [.member(0, .signal(.terminate)), .member(0, .beginPatience)])
    #expect(exit(0, &life).last == .end(status: 1, failure: "port taken"))
    life = started()
    _ = life.handle(.looked(.start, reports(.healthy, .healthy)), now: 1)
    _ = life.handle(.announced(isHeard: false), now: 1)
    #expect(life.phase == .ending(1), "nobody is there any more to hear it")
  }

  @Test func downIsAnsweredWhenNothingRuns() {
    var life = running()
    let asked = life.handle(.asked(.down, 9), now: 2)
    #expect(asked.first == .note("stopping: asked by devcluster down"))
    #expect(life.handle(.asked(.down, 10), now: 2) == [.note("stopping: asked by devcluster down")])
    _ = exit(0, &life)
    #expect(
      exit(1, &life).suffix(3)
        == [.answer(9, .done), .answer(10, .done), .end(status: 0, failure: nil)])
    #expect(life.handle(.interrupted, now: 4) == [])
  }

  @Test func twoInterruptsEndItAtOnce() {
    var life = running()
    #expect(life.handle(.interrupted, now: 2).first == .note("stopping 2 members"))
    #expect(
      life.handle(.interrupted, now: 2)
        == [.member(0, .signal(.kill)), .member(1, .signal(.kill))])
    var early = started()
    _ = early.handle(.interrupted, now: 1)
    _ = exit(0, &early)
    #expect(exit(1, &early).last == .end(status: 1, failure: "interrupted"))
  }

  @Test func aMemberIsRestarted() {
    var life = running()
    #expect(ask(.restart, "m2", &life).first == .member(1, .signal(.terminate)))
    #expect(exit(1, &life).last == .member(1, .spawn))
    let deadline = 3 + FleetLife.actionNanoseconds
    let question = FleetLife.Question.health(member: 1, 5, deadline: deadline)
    let look = life.handle(.spawned(1, pid: 22), now: 3)
    #expect(
      look.last
        == .look(question, [MemberReport(plan: plan.members[1], state: .unhealthy, pid: 22)]))
    let one = [MemberReport(plan: plan.members[1], state: .unhealthy)]
    #expect(life.handle(.looked(question, one), now: 4) == [.wait(question)])
    var late = life
    #expect(
      late.handle(.looked(question, one), now: deadline)
        == [.answer(5, .note("m2 runs but is not healthy yet"))])
    #expect(
      life.handle(.looked(question, [reports(.healthy, .healthy)[1]]), now: 4)
        == [.answer(5, .done)])
    var gone = late
    _ = exit(1, &gone)
    #expect(
      gone.handle(.due(question), now: 5)
        == [.answer(5, .refused("m2 ended with signal 9; see /d/m2/log: bye"))])
  }

  @Test func requestsThatMakeNoSenseAreRefused() {
    var life = running()
    #expect(
      ask(.stop, "m9", &life) == [.answer(5, .refused("there is no member 'm9' among m1, m2"))])
    #expect(ask(.start, "m1", &life) == [.answer(5, .refused("m1 is already running"))])
    #expect(ask(.kill, "m1", &life) == [.member(0, .signal(.kill))])
    #expect(exit(0, &life).last == .answer(5, .done))
    #expect(ask(.stop, "m1", &life) == [.answer(5, .refused("m1 is not running"))])
    #expect(ask(.pause, "m1", &life) == [.answer(5, .refused("m1 is not running"))])
    _ = ask(.start, "m1", &life)
    #expect(
      life.handle(.notSpawned(0, "port taken"), now: 2) == [.answer(5, .refused("port taken"))])
    #expect(life.phase == .running)
    // A restart that meets the end of the cluster.
    _ = ask(.restart, "m2", &life)
    _ = life.handle(.interrupted, now: 3)
    #expect(exit(1, &life).contains(.answer(5, .refused("the cluster is stopping"))))
  }

  @Test func guardiansHearOfEveryChange() {
    var life = running()
    #expect(life.handle(.asked(.watch, 3), now: 1) == [.answer(3, .watching(pids: [11, 12]))])
    #expect(
      exit(1, &life) == [
        .member(1, .endPatience), .tell(pids: [11]),
        .note("m2 ended with signal 9 (start it again with: devcluster start m2)"),
      ])
    #expect(life.handle(.guardianEnded, now: 1).count == 1)
  }
}

extension [MemberReport] {
  /// The same with process ids.
  fileprivate func with(_ pids: [Int32]) -> [MemberReport] {
    zip(self, pids).map { report, pid in
      var report = report
      report.pid = pid
      return report
    }
  }
}
