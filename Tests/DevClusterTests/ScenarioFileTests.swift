import DiskFaults
import FaultRelay
import Foundation
import Testing

@testable import DevClusterKit

@Suite struct ScenarioFileTests {
  private func read(_ text: String) throws -> Scenario {
    try ScenarioReader.read(Array(text.utf8), path: "f")
  }

  private static let second: UInt64 = 1_000_000_000

  @Test func filesAreRead() throws {
    let scenario = try read(
      """
      name: all of it
      cluster: {members: 5, ports: auto}
      flags: {snapshot-count: 100}
      load: {kind: append, clients: 9, keys: 2, rate: 50, time: 20s}
      steps:
        - {at: 2s, cut: "leader <-> followers --mode swallow", for: 1500ms}
        - {at: 1s, kill: "random m3", for: 2s}
        - {at: 3s, disk: random slow 20ms --for 1s}
        - {at: 4s, add: --learner}
        - {at: 5s, heal: }
        - {at: 6s, reset-link: leader}
        - {at: 7s, upgrade: random 3.5.30}
      random: {from: 7s, until: 12s, pause: 500ms, for: 1s, faults: [pause random, cut leader, restart m1]}
      expect: {locks: false, writes-within: 3s, leader-within: 2s, leader-changes: 4}
      """)
    #expect(scenario.name == "all of it" && scenario.cluster.size == 5)
    #expect(scenario.cluster.flags == ["--snapshot-count=100"])
    #expect(scenario.load.kind == .append && scenario.load.clients == 9)
    #expect(scenario.load.time == 20 * Self.second)
    #expect(scenario.steps.map(\.at) == [2, 1, 3, 4, 5, 6, 7].map { $0 * Self.second })
    #expect(
      scenario.steps.map(\.request) == [
        .fault(
          FaultOrder(
            .cut(.swallow), from: ["leader"], to: ["followers"], isOneWay: false,
            duration: 1_500_000_000)),
        .member(.kill, ["random", "m3"], wait: 15),
        .fault(
          FaultOrder(
            .disk(.init(delay: 20_000_000)), from: ["random"], to: [], isOneWay: false,
            duration: Self.second)),
        .add(learner: true, wait: 15), .heal([]),
        .fault(FaultOrder(.reset, from: ["leader"], to: [], isOneWay: false)),
        .upgrade(["random"], binary: "3.5.30", wait: 15),
      ])
    #expect(
      scenario.steps.map(\.length) == [
        1_500_000_000, 2_000_000_000, 1_000_000_000, nil, nil, nil, nil,
      ])
    #expect(scenario.steps[1].undoing(["m2", "m3"]) == .member(.start, ["m2", "m3"], wait: 0))
    #expect(scenario.steps[0].undoing([]) == nil, "it ends by itself")
    #expect(!scenario.expect.hasSafeLocks && scenario.expect.isLinearizable)
    #expect(scenario.expect.longestGap == 3 * Self.second && scenario.expect.leaderChangesMax == 4)
    #expect(scenario.length(of: scenario.steps) == 20 * Self.second)
    #expect(scenario.expect.longestLeaderless == 2 * Self.second)
    let least = try read("name: x")
    #expect(least.length(of: least.steps) == Scenario.rest && least.load == Scenario.Load())
  }

  @Test(arguments: [
    ("steps: []", "f:1:1: a scenario needs a name"),
    ("nam: x", "f:1:1: unknown key 'nam' in the file; did you mean name?"),
    (
      "load: {kind: counter}",
      "f:1:14: kind: one of register, append, set, watch, lease, lock, mixed expected, found 'counter'"
    ),
    ("load: {clients: 0}", "f:1:17: clients: a number from 1 to 64 expected, found '0'"),
    (
      "load: {time: 5}",
      "f:1:14: time: a time such as 500ms or 2s, 3600s at most, expected, found '5'"
    ),
    ("steps: {at: 1s}", "f:1:8: steps: a list expected, found a mapping"),
    ("steps: [{at: 1s, kil: m1}]", "f:1:18: unknown key 'kil' in a step; did you mean kill?"),
    (
      "steps: [{kill: m1}]",
      "f:1:9: a step: a time and a command, such as {at: 2s, cut: leader, for: 1s} expected, found a mapping"
    ),
    (
      "steps: [{at: 1s, kill: m1, stop: m2}]",
      "f:1:9: a step has one command; write two steps with the same time"
    ),
    (
      "steps:\n- {at: 1s, cut: a->b->c}",
      "f:2:17: 'a->b->c' is no link; one is m1->m2, m1<->m2 or leader"
    ),
    ("steps: [{at: 1s, kill: }]", "f:1:24: devcluster kill needs somebody, such as m1 or leader"),
    (
      "steps: [{at: 1s, restart: m1, for: 1s}]",
      "f:1:36: 'restart m1' has no end; for is for faults, kill, stop, pause"
    ),
    (
      "random: {until: 1s, faults: []}",
      "f:1:9: random: faults, and until behind from, expected, found a mapping"
    ),
    ("expect: {linearizable: 1}", "f:1:24: linearizable: true or false expected, found '1'"),
  ])
  func whatIsNotKnownIsPlaced(_ text: String, _ message: String) {
    #expect(throws: DevClusterError.usage(message)) { try read(text) }
  }

  /// What docs/SCENARIOS.md shows can be run.
  @Test func theExampleOfThePageIsOne() throws {
    let path = ScenarioTests.folder + "/../../docs/SCENARIOS.md"
    let page = try String(contentsOfFile: path, encoding: .utf8)
    let parts = page.components(separatedBy: "```")
    let example = try #require(parts.first { $0.hasPrefix("yaml\n") })
    let scenario = try read(String(example.dropFirst("yaml\n".count)))
    #expect(scenario.steps.count == 3 && scenario.chance?.actions.count == 3)
    for name in ScenarioWords.commands + Scenario.Load.Kind.allCases.map(\.rawValue) {
      #expect(page.contains("`\(name)`") || page.contains("`kind: \(name)`"), "\(name)")
    }
  }

  @Test func aSeedDecidesWhatChanceDoes() throws {
    let scenario = try read(
      "{name: x, random: {from: 1s, until: 30s, faults: [pause random, cut leader --for 100ms, restart m1]}}"
    )
    let steps = scenario.steps(seed: 7)
    #expect(steps == scenario.steps(seed: 7) && steps != scenario.steps(seed: 8))
    #expect(steps.count > 8 && Set(steps.map(\.words)).count == 3)
    for (step, next) in zip(steps, steps.dropFirst()) {
      #expect(step.at + (step.length ?? 0) + 500_000_000 <= next.at, "one after another")
      if case .fault(let order) = step.request { #expect(order.duration == step.length) }
    }
    let members = (1...5).map {
      Targets.Candidate(name: "m\($0)", isLeader: $0 == 1, isLearner: false, isRunning: true)
    }
    var (random, again) = (SplitMix(state: 1), SplitMix(state: 1))
    for step in steps {
      let chosen = try step.request.choosing(among: members, &random)
      #expect(try chosen == step.request.choosing(among: members, &again))
      guard case .member(.pause, let who, _) = chosen else { continue }
      #expect(who.count == 1 && who[0] != "random")
    }
  }

  @Test func theClusterOfAScenarioIsAFileForUp() throws {
    let text = "{name: x, cluster: {members: 5}, steps: [{at: 1s, kill: m1}]}"
    #expect(try ConfigReader.read(Array(text.utf8), path: "f").size == 5)
    #expect(throws: DevClusterError.self) {
      try ConfigReader.read(Array(text.replacing("kill", with: "kil").utf8), path: "f")
    }
  }
}
