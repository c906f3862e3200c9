import Foundation
import Testing

@testable import Raft

/// Random runs of whole groups; a failure names seed and options.
@Suite struct SafetyTests {
  /// Seeds a variant; `RAFT_SEEDS` asks for more.
  private var seeds: UInt64 {
    ProcessInfo.processInfo.environment["RAFT_SEEDS"].flatMap { UInt64($0) } ?? 16
  }

  static let variants: [(String, SimulatedGroup.Options)] = [
    ("plain", .init()),
    ("five", .init(members: 5)),
    ("async", .init(isAsync: true)),
    ("async five", .init(members: 5, isAsync: true, preVote: true)),
    ("prevote", .init(preVote: true, checkQuorum: true)),
    ("members", .init(members: 5, changesMembers: true)),
    ("async members", .init(members: 5, isAsync: true, checkQuorum: true, changesMembers: true)),
    ("narrow", .init(inflight: 1, inflightBytes: 64)),
  ]

  @Test(arguments: Self.variants.indices)
  func groupKeepsItsPromises(_ variant: Int) throws {
    let (name, options) = Self.variants[variant]
    var applied: UInt64 = 0
    var reads = 0
    var snapshots = 0
    var leaders = 0
    for seed in 1...seeds {
      var group = try SimulatedGroup(seed: seed &* 1000 &+ UInt64(variant), options)
      for step in 0..<8000 {
        try group.step()
        if step % 200 == 0 { group.checkLogMatching() }
        if !group.failures.isEmpty { break }
      }
      let isHealed = try group.heal()
      group.checkLogMatching()
      #expect(group.failures.isEmpty, "variant \(name), seed \(seed): \(group.failures)")
      #expect(
        isHealed, "variant \(name), seed \(seed): no progress without faults: \(group.summary)")
      applied += group.highestApplied
      reads += group.readsAnswered
      snapshots += group.snapshotsRestored
      leaders += group.leaders.count
    }
    print("\(name): applied \(applied), reads \(reads), snapshots \(snapshots), leaders \(leaders)")
    #expect(applied > 500)
    #expect(reads > 10)
    #expect(snapshots > 0)
    #expect(leaders > 20)
  }
}
