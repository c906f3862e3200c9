import FaultRelay
import JSON
import Testing

@testable import DevClusterKit

/// Links that are healed alone, and faults that take each other's place; without processes.
@Suite struct HealTests {
  private static func life() -> FleetLife {
    var life = FleetLife(ClusterPlan(size: 3, directory: "/d"), startSeconds: 60)
    life.phase = .running
    return life
  }

  private func link(_ from: String, _ to: String) -> Link {
    Link(from: .member(from), to: .member(to))
  }

  private func ask(_ request: ControlRequest, _ life: inout FleetLife) -> JSONObject? {
    for action in life.handle(.asked(request, 1), now: 1) {
      if case .answer(1, let answer) = action { return answer }
    }
    return nil
  }

  private func slow(
    _ milliseconds: UInt64, _ from: String, _ to: String, for time: UInt64? = nil
  ) -> ControlRequest {
    .fault(
      FaultOrder(
        .slow(milliseconds * 1_000_000, jitter: 0), from: [from], to: [to], isOneWay: true,
        duration: time))
  }

  @Test func oneLinkIsHealed() {
    var life = Self.life()
    let cut = FaultOrder(.cut(.hold), from: ["m1"], to: [], isOneWay: false)
    #expect(ask(.fault(cut), &life) != nil && life.rules.count == 4)
    #expect(ask(.heal(["m1->m2"]), &life) == ["links": ["m1->m2"]])
    #expect(life.rules[link("m1", "m2")] == nil && life.rules[link("m2", "m1")]?.cut == .hold)
    #expect(life.faults.map(\.text) == ["m2->m1, m1<->m3 cut (hold)"])
    #expect(ask(.heal(["m1->m2"]), &life) == ["links": []], "so it is already")
    #expect(ask(.heal(["m1", "<->", "m3"]), &life) == ["links": ["m1->m3", "m3->m1"]])
    #expect(ask(.heal(["m2->m1"]), &life) == ["links": ["m2->m1"]])
    #expect(life.faults.isEmpty && life.rules.isEmpty)
    #expect(ask(.heal(["m1->m7"]), &life)?["error"] != nil)
    #expect(ask(.heal(["m1->m2->m3"]), &life)?["code"] == 2)
  }

  @Test func theLaterTakesThePlaceOfTheEarlier() {
    var life = Self.life()
    #expect(ask(slow(50, "m1", "m2"), &life) == ["links": ["m1->m2"]])
    #expect(ask(slow(20, "m1", "m2"), &life) != nil)
    #expect(life.faults.map(\.text) == ["m1->m2 slow by 20.0 ms"])
    let cut = FaultOrder(.cut(.hold), from: ["m1"], to: ["m2"], isOneWay: true)
    #expect(ask(.fault(cut), &life) != nil && life.faults.count == 2, "another kind")
    // One that ends leaves what was before.
    #expect(ask(slow(90, "m1", "m2", for: 5), &life) != nil)
    #expect(life.rules[link("m1", "m2")]?.delay == 90_000_000)
    _ = life.handle(.tick, now: 10)
    #expect(life.rules[link("m1", "m2")]?.delay == 20_000_000)
    #expect(ask(slow(0, "m1", "m2"), &life) == ["links": ["m1->m2"]])
    #expect(life.faults.map(\.order.kind) == [.cut(.hold)])
    #expect(life.rules[link("m1", "m2")]?.cut == .hold)
  }

  @Test func theStatusSaysHowMuch() {
    var life = Self.life()
    _ = ask(slow(50, "m1", "m2"), &life)
    let fault = life.status(1)["faults"]?.array?.first
    #expect(fault?["delay"] == 50_000_000 && fault?["kind"] == "slow")
    #expect(life.status(1)["page"] == nil)
    life.page = "http://127.0.0.1:1/"
    #expect(life.status(1)["page"] == "http://127.0.0.1:1/")
  }
}
