import Raft

/// What a run of the cluster simulation does. Times are in units; a clock tick has 1000 of them.
public struct SimulationOptions: Sendable, CustomStringConvertible {
  /// A fault that is built in on purpose, to show that the checks find it.
  public enum Mutant: String, Sendable, CaseIterable {
    /// The log reports entries as durable before they are.
    case acknowledgesEarly
    /// The disk ignores every fsync.
    case ignoresSync
    /// Linearizable reads are answered from the member's own state.
    case readsLocally
    /// A committed proposal reaches the leader twice.
    case repeatsProposals
    /// Leases that were only looked at count as renewed.
    case forgetsRenewals
    /// What a turn on the loop of clients gives is seen before what earlier turns of other threads gave.
    case overtakesTurns
    /// Nobody looks whether a user may read.
    case readsUnchecked
    /// Now and then a message to a watcher is lost.
    case losesWatchMessages
    /// A deletion exactly at the compacted revision is not told.
    /// - Source: etcd issue 18089.
    case losesCompactedDeletions
    /// A deletion of whose key nothing else is left is not told after a restart.
    /// - Source: etcd issue 19179.
    case losesLoneTombstones
    /// After a snapshot watchers hear again what they were told before it.
    /// - Source: etcd issue 15271.
    case repeatsAfterInstall
    /// Who watches from a revision that is still to come hears of earlier ones.
    /// - Source: etcd issue 20221.
    case lowersFutureWatches
    /// Progress is told at once, before the events that it speaks of.
    /// - Source: etcd issue 15220.
    case hastensProgress
    /// Who is behind a compaction goes on at its revision instead of being cancelled.
    /// - Source: etcd issue 17529.
    case skipsCompacted
    /// The events of another message come once more in front of those of the next.
    /// - Source: etcd issue 17247.
    case sharesEventBuffers
    /// The pair that was there before is the one of now.
    case mistakesPrevious
    /// Every put looks like the first of its key.
    case mistakesCreation
    /// Events come although the watcher filters them.
    case forgetsFilters
    /// Whoever waited for the lock holds it as soon as who was in front is gone, without looking again.
    case trustsTheWait
    /// Whoever finds nobody in front holds the lock, though the own key has ended with its lease.
    /// - Source: etcd issue 11408, B36 of the list of faults.
    case holdsWithoutKey
    /// Where one stands in the line is read from the member's own state.
    case locksLocally
    /// The line is ordered by the last change of its keys.
    case ranksByModification
    /// A holder does not mind that its lease may have ended.
    case outlivesTheLease
  }

  public var seed: UInt64
  public var members = 3
  public var clients = 4
  /// Clients that hold a lease, renew it for a while and let it go.
  public var leaseHolders = 2
  /// Clients that contend for a lock.
  public var lockers = 2
  /// Members that may be added.
  public var spares = 0
  /// Whether an operator turns auth on, and takes rights away and gives them back.
  public var auth = false
  public var keys = 3
  /// Clients that watch: every second all keys, the others one.
  public var watchers = 3
  /// Clock ticks with faults.
  public var faultTicks = 250
  /// Clock ticks in which the cluster must be whole again afterwards.
  public var healTicks = 400
  public var member = SimulatedMember.Options()
  /// Messages are lost once in so many; 0 = never.
  public var lossOneIn = 20
  /// Messages are repeated once in so many; 0 = never.
  public var repeatOneIn = 20
  /// Units that a message usually takes, at most.
  public var delay = 400
  /// Units that a write to the disk usually takes, at most.
  public var diskLatency = 500
  /// Units until the loop of clients and peers sees what a turn gave, at most.
  public var loopDelay = 50
  /// How much rarer than usual faults and requests come, in so much more time: what comes of hours that are quiet.
  public var pace = 1
  /// A fault of some kind happens once in so many ticks.
  public var faultEvery = 12
  /// Units until a member does a turn for which there is something to do, at most.
  public var turnDelay = 50
  /// What makes the run a life; `nil` = it is a seed, busy all the time.
  public var life: LifeOptions?
  /// Messages take longer than usual once in so many; 0 = never.
  public var delayOneIn = 30
  /// Clients of the v2 API.
  public var v2Clients = 0
  /// Kinds of faults, those that hold all the time and those of which one happens at a time.
  public var faults: [FaultKind] = []
  public var mutant: Mutant?

  public init(seed: UInt64) { self.seed = seed }

  /// Options that differ from seed to seed, so that a range of seeds visits many shapes.
  public static func varied(seed: UInt64) -> SimulationOptions {
    var random = SplitMix64(seed: seed &* 0x9e37_79b9_7f4a_7c15 ^ 0x5157)
    func one<T>(of choices: [T]) -> T { choices[random.below(choices.count)] }
    var options = SimulationOptions(seed: seed)
    options.members = one(of: [1, 3, 3, 3, 5])
    options.clients = one(of: [3, 5, 8])
    options.keys = one(of: [1, 3, 4])
    options.lossOneIn = one(of: [5, 20, 50])
    options.repeatOneIn = one(of: [10, 50])
    options.delay = one(of: [100, 400, 2000])
    options.diskLatency = one(of: [100, 500, 3000])
    options.loopDelay = one(of: [20, 50, 300])
    options.faultEvery = one(of: [6, 12, 40])
    options.member.preVote = one(of: [true, true, false])
    options.member.snapshotCount = one(of: [5, 20, 60])
    options.member.catchUpEntries = one(of: [0, 5, 20])
    options.member.segmentBytes = one(of: [2 << 10, 8 << 10, 32 << 10])
    options.member.segmentsKept = one(of: [1, 2, 5])
    options.member.snapshotsKept = one(of: [1, 2, 5])
    options.leaseHolders = one(of: [0, 2, 4])
    options.member.leaseCheckpointInterval = one(of: [nil, 1000, 3000])
    options.member.leaseCheckpointPersist = one(of: [true, false])
    options.auth = one(of: [true, false])
    options.v2Clients = one(of: [0, 0, 2])
    options.faults = FaultKind.chosen(members: options.members, &random)
    let grows = options.faults.contains { $0 == .addLearner || $0 == .promoteLearner }
    options.spares = grows ? one(of: [1, 3]) : 0
    options.watchers = one(of: [1, 3, 6])
    options.lockers = one(of: [0, 3, 6])
    // Without pre-vote a member that missed changes of the cluster may ask those who have gone for votes, for ever
    // and in terms ahead of whoever could lead: its vote is not asked in an older term. Seed 22 did.
    if options.spares > 0 || !FaultKind.changing.isDisjoint(with: options.faults) {
      options.member.preVote = true
    }
    options.faultTicks = one(of: [100, 150, 200])
    if options.members == 5 { options.faultTicks = 100 }
    options.pace = one(of: [1, 1, 1, 8])
    return options
  }

  /// Units of a number of milliseconds.
  func units(milliseconds: Int) -> Int {
    milliseconds * Cluster.tickUnits / member.tickMilliseconds
  }

  /// The options of a seed with a built-in fault, so that there is something to see of it.
  public static func varied(seed: UInt64, with mutant: Mutant?) -> SimulationOptions {
    var options = varied(seed: seed)
    options.mutant = mutant
    if mutant != nil { options.pace = 1 }
    switch mutant {
    // Raft traps when a follower's log lost what it acknowledged, which would end the process.
    case .acknowledgesEarly, .ignoresSync: options.members = 1
    // Seen by who reads from a compacted revision on, at a member that has started since.
    case .losesLoneTombstones: (options.watchers, options.faultTicks) = (12, 500)
    case .trustsTheWait, .holdsWithoutKey, .locksLocally, .ranksByModification, .outlivesTheLease:
      (options.lockers, options.faultTicks) = (6, 400)
    default: break
    }
    return options
  }

  public var description: String {
    "\(life.map { "life \(seed) of \($0.days) days: tick \(member.tickMilliseconds) ms" } ?? "seed \(seed): pace \(pace)"), members \(members)+\(spares), auth \(auth), clients \(clients), keys \(keys), loss 1/\(lossOneIn), "
      + "repeat 1/\(repeatOneIn), delay \(delay), disk \(diskLatency), loop \(loopDelay), "
      + "fault every \(faultEvery), pre-vote \(member.preVote), snapshot count "
      + "\(member.snapshotCount), catch-up \(member.catchUpEntries), segment "
      + "\(member.segmentBytes) B, lease holders \(leaseHolders), lockers \(lockers), checkpoints "
      + "\(member.leaseCheckpointInterval.map { "\($0) ms" } ?? "off"), v2 clients \(v2Clients), faults \(faults.map(\.rawValue)), "
      + "mutant \(mutant?.rawValue ?? "none")"
  }
}
