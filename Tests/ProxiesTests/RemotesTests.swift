import TestSupport
import Testing

@testable import Proxies

/// Which server a connection goes to.
@Suite struct RemotesTests {
  private func remotes(_ list: (priority: UInt16, weight: UInt16)...) -> Remotes {
    Remotes(
      list.enumerated().map { index, item in
        Remote(
          host: "h\(index)", port: 2379, priority: item.priority, weight: item.weight)
      })
  }

  private func picks(_ remotes: inout Remotes, _ count: Int, seed: UInt64 = 1) -> [Int] {
    var random = SeededGenerator(state: seed)
    return (0..<count).compactMap { _ in remotes.pick(using: &random) }
  }

  @Test func thoseWithoutWeightTakeTurns() {
    var remotes = remotes((0, 0), (0, 0), (0, 0))
    #expect(picks(&remotes, 7) == [0, 1, 2, 0, 1, 2, 0])
  }

  @Test func inactiveOnesAreLeftOut() {
    var remotes = remotes((0, 0), (0, 0), (0, 0))
    #expect(remotes.deactivate(1) && !remotes.deactivate(1))
    #expect(picks(&remotes, 4) == [0, 2, 0, 2])
    _ = remotes.deactivate(0)
    _ = remotes.deactivate(2)
    #expect(picks(&remotes, 4) == [])
    remotes.activate(1)
    #expect(picks(&remotes, 3) == [1, 1, 1])
  }

  @Test func eachIsTriedAgainOnceAtATime() {
    var remotes = remotes((0, 0), (0, 0), (0, 0))
    _ = remotes.deactivate(2)
    _ = remotes.deactivate(0)
    #expect(remotes.examine() == [0, 2])
    #expect(remotes.examine() == [], "both are being tried")
    remotes.stayInactive(0)
    remotes.activate(2)
    #expect(remotes.examine() == [0])
  }

  @Test func theBestPriorityCountsAsLongAsOneAnswers() {
    var remotes = remotes((20, 0), (10, 0), (10, 0), (65_535, 0))
    #expect(picks(&remotes, 4) == [1, 2, 1, 2])
    _ = remotes.deactivate(1)
    #expect(picks(&remotes, 2) == [2, 2])
    _ = remotes.deactivate(2)
    #expect(picks(&remotes, 2) == [0, 0])
    _ = remotes.deactivate(0)
    #expect(picks(&remotes, 2) == [3, 3])
  }

  @Test func weightsAreShares() {
    var remotes = remotes((0, 10), (0, 30), (0, 60))
    var counts = [0, 0, 0]
    for index in picks(&remotes, 20_000) { counts[index] += 1 }
    #expect(abs(counts[0] - 2_000) < 300 && abs(counts[1] - 6_000) < 400)
    #expect(abs(counts[2] - 12_000) < 400)
  }

  @Test func noWeightIsASmallChanceBesideWeights() {
    var remotes = remotes((0, 0), (0, 5))
    let first = picks(&remotes, 20_000).filter { $0 == 0 }.count
    #expect((100...300).contains(first), "about one of a hundred, not \(first) of 20,000")
  }

  @Test func sumsOfTheLargestWeightsFit() {
    var remotes = Remotes(
      (0..<100).map { Remote(host: "h\($0)", port: 1, weight: .max) })
    #expect(Set(picks(&remotes, 5_000)).count == 100)
  }

  @Test func addressesOfSixteenBytesStandInBrackets() {
    #expect(Remote(host: "::1", port: 2379).description == "[::1]:2379")
    #expect(Remote(host: "infra0", port: 1).description == "infra0:1")
  }
}
