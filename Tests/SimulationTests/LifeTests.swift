import Simulation
import Testing

/// Clusters that go on for days, mostly left alone.
@Suite struct LifeTests {
  private static func short(_ number: UInt64) -> Cluster {
    var options = SimulationOptions.life(seed: number, days: 2)
    options.life?.chapterDays = 1
    return Cluster(options)
  }

  @Test(arguments: [2, 4, 6] as [UInt64])
  func daysPass(number: UInt64) {
    let cluster = Self.short(number)
    cluster.run()
    #expect(cluster.problems.isEmpty, "\(cluster.options)")
    let counters = cluster.counters
    // Two days, and what mending takes behind each.
    #expect(counters.milliseconds >= 2 * 86_400_000)
    #expect(counters.bursts > 2 && counters.acknowledged > 100, "\(counters)")
    print("life \(number): \(counters)")
  }

  @Test func theSameNumberIsTheSameLife() {
    let (one, other) = (Self.short(8), Self.short(8))
    one.run()
    other.run()
    #expect(one.digest == other.digest && one.counters == other.counters)
  }
}
