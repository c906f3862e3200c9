import Foundation
import Simulation
import Synchronization
import Testing

/// Whole clusters under faults, decided by seeds. `SIM_SEEDS` sets how many, `SEED` picks one.
@Suite struct ClusterTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let lanes: UInt64 = 4

  private func run(_ options: SimulationOptions) -> Cluster {
    let cluster = Cluster(options)
    cluster.run()
    return cluster
  }

  private func expectSound(_ seed: UInt64) -> Cluster {
    let options = SimulationOptions.varied(seed: seed)
    let cluster = run(options)
    if let problem = cluster.problems.first {
      Issue.record("\(options)\n\(problem)\nrepeat with: make sim SEED=\(seed)")
    }
    return cluster
  }

  /// What all lanes have met together.
  private static let met = Mutex((lanes: UInt64(0), total: SimulationCounters()))

  /// Every tenth seed is run twice and must end the same way.
  @Test(arguments: 0..<lanes)
  func survivesFaults(lane: UInt64) {
    if let only = Self.environment["SEED"].flatMap(UInt64.init) {
      if lane == 0 { _ = expectSound(only) }
      return
    }
    let seeds = Self.environment["SIM_SEEDS"].flatMap(UInt64.init) ?? 40
    var total = SimulationCounters()
    for seed in 1...seeds where seed % Self.lanes == lane {
      let cluster = expectSound(seed)
      total += cluster.counters
      if seed % 10 == 0 { #expect(expectSound(seed).digest == cluster.digest, "seed \(seed)") }
    }
    print("lane \(lane): \(total)")
    #expect(total.crashes > 0 && total.snapshotsInstalled > 0 && total.compactions > 0)
    #expect(total.elections > 0 && total.acknowledged > 2 * total.unknown)
    #expect(total.leasesRenewed > 0 && total.leasesExpired > 0)
    #expect(total.watchEvents > 0 && total.authChanges > 0 && total.faults.count > 10)
    // What a lane alone may not come by.
    let whole = Self.met.withLock { met in
      met.lanes += 1
      met.total += total
      return met.lanes == Self.lanes ? met.total : nil
    }
    guard let whole else { return }
    #expect(whole.defragmentations > 0 && whole.locksHeld > 0)
    #expect(whole.memberChanges > 0 && whole.failedSyncs > 0)
  }

  /// Seeds that found the faults last time, where it was not one of the first: asked first, so that nothing is run in vain.
  private static let finders: [SimulationOptions.Mutant: UInt64] = [
    .repeatsProposals: 441, .readsLocally: 2, .forgetsRenewals: 5, .readsUnchecked: 2,
    .losesCompactedDeletions: 12, .losesLoneTombstones: 6, .repeatsAfterInstall: 17,
    .lowersFutureWatches: 3, .hastensProgress: 2, .skipsCompacted: 2, .forgetsFilters: 3,
    .holdsWithoutKey: 3, .locksLocally: 3, .ranksByModification: 2, .outlivesTheLease: 15,
  ]

  /// A fault that is built in must be found within a few seeds; otherwise the checks are worth
  /// nothing.
  @Test(arguments: SimulationOptions.Mutant.allCases)
  func findsBuiltInFaults(mutant: SimulationOptions.Mutant) {
    let seeds = [Self.finders[mutant] ?? 1] + Array(1...150)
    for seed in seeds {
      var options = SimulationOptions.varied(seed: seed, with: mutant)
      if !run(options).problems.isEmpty {
        print("\(mutant) found with seed \(seed)")
        options.mutant = nil
        #expect(run(options).problems.isEmpty, "found without the fault as well")
        return
      }
    }
    Issue.record("\(mutant) was not found")
  }
}
