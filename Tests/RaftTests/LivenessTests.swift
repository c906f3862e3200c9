import Foundation
import Testing

@testable import Raft

/// Wherever a majority is connected each with each, both ways, there is a leader that commits: within three election
/// timeouts of the moment in which links broke, whoever led, and whatever the other links do.
///
/// An election timeout is the longest that a member waits for a leader: 19 ticks, 1.9 s with etcd's defaults. A leader that
/// sends and does not hear takes up to two check-quorum intervals (20 ticks) to step down, and those who heard it one timeout
/// more.
/// - Source: Raft thesis §6.2 and §9.6; etcd-io/raft's pre-vote, check-quorum and leases.
@Suite struct LivenessTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let limit = 3 * LinkedGroup.timeoutMax

  /// What became of the runs.
  private struct Tally {
    /// Runs by the ticks until an entry was committed.
    var ticks: [Int: Int] = [:]
    var without = 0
    /// Runs in which a leader was followed by another although nothing changed any more.
    var disturbed = 0

    var runs: Int { ticks.values.reduce(0, +) }
    /// Ticks in which so many of a thousand runs were over.
    func quantile(_ thousandths: Int) -> Int {
      var left = runs * thousandths / 1000
      for (ticks, count) in ticks.sorted(by: { $0.key < $1.key }) {
        left -= count
        if left <= 0 { return ticks }
      }
      return ticks.keys.max() ?? 0
    }

    var text: String {
      "\(runs) with a connected majority: committed within \(quantile(500)) ticks in half of them, \(quantile(990)) in 99 %, "
        + "\(ticks.keys.max() ?? 0) in all; another leader later in \(disturbed); \(without) without such a majority"
    }
  }

  private func run(
    _ pattern: LinkPattern, _ group: LinkedGroup, _ tally: inout Tally, _ context: String
  ) throws {
    var group = group
    group.links = pattern
    let isLive = pattern.hasConnectedMajority
    var ticks = 0
    while ticks < Self.limit {
      try group.tick()
      ticks += 1
      if try group.hasCommitted() { break }
    }
    let hasCommitted = try group.hasCommitted()
    let term = group.term
    for _ in 0..<Self.limit where isLive { try group.tick() }
    if let problem = group.problem { Issue.record("\(problem): \(pattern), \(context)") }
    guard isLive else {
      tally.without += 1
      return
    }
    if group.term != term { tally.disturbed += 1 }
    tally.ticks[ticks, default: 0] += 1
    if !hasCommitted { Issue.record("nobody commits after \(ticks) ticks: \(pattern), \(context)") }
  }

  /// A group in which somebody has led for a while, at any place between two looks at the quorum.
  private func group(
    _ members: Int, leader: UInt64, ticks: Int, _ random: inout SplitMix64
  ) throws -> LinkedGroup {
    var group = try LinkedGroup(members, random: &random)
    try group.elect(leader)
    for _ in 0..<ticks { try group.tick() }
    #expect(group.leads(leader))
    return group
  }

  @Test func threeMembersAtEveryPattern() throws {
    var tally = Tally()
    var random = SplitMix64(seed: 3)
    for leader in 1...3 as ClosedRange<UInt64> {
      for ticks in 0..<LinkedGroup.electionTicks {
        let group = try group(3, leader: leader, ticks: ticks, &random)
        for bits in 0..<UInt32(1 << LinkPattern.links(3)) {
          let pattern = LinkPattern(members: 3, bits: bits)
          try run(pattern, group, &tally, "\(leader) led for \(ticks) ticks")
        }
      }
    }
    print("three members: \(tally.text)")
    #expect(tally.runs > 0 && tally.without > 0)
  }

  /// `LIVENESS_PATTERNS` says how many, `LIVENESS_SEED` which. Every second pattern has three links in four, so that many have
  /// a connected majority.
  @Test func fiveMembersAtManyPatterns() throws {
    let count = Self.environment["LIVENESS_PATTERNS"].flatMap(Int.init) ?? 2_000
    let seed = Self.environment["LIVENESS_SEED"].flatMap(UInt64.init) ?? .random(in: 1...1 << 32)
    print("five members: LIVENESS_SEED=\(seed)")
    var tally = Tally()
    var random = SplitMix64(seed: seed)
    let all = LinkPattern.all(5).bits
    var groups: [LinkedGroup] = []
    for number in 0..<count {
      if number % 50 == 0 {
        groups = try (1...5).map {
          try group(5, leader: $0, ticks: random.below(LinkedGroup.electionTicks), &random)
        }
      }
      var bits = UInt32(truncatingIfNeeded: random.next()) & all
      if number % 2 == 1 { bits |= UInt32(truncatingIfNeeded: random.next()) & all }
      let pattern = LinkPattern(members: 5, bits: bits)
      try run(pattern, groups[number % 5], &tally, "\(number % 5 + 1) led, seed \(seed)")
    }
    print("five members: \(tally.text)")
    #expect(tally.runs > count / 10 && tally.without > 0)
  }
}
