import Raft

/// What makes a run a life: a cluster as slow as etcd allows, which lives for months and is mostly left alone.
public struct LifeOptions: Sendable {
  public var days = 91
  /// Days after which all is mended and checked, as at the end of a seed; then the life goes on.
  public var chapterDays = 7
  /// Ticks between two times at which clients come, on average, and for how many they stay.
  public var burstEvery = 2_000
  public var burstTicks = 100
  /// Ticks of history that the operator keeps, as `--auto-compaction-retention` does.
  public var retention = 1_000
  /// How much rarer than in a seed things go wrong while nobody is there.
  public var faultPace = 200
  /// The longest that clients ask for, in seconds: of leases that they hold for long, and of those of locks.
  public var leaseSeconds = 24 * 3_600
  public var lockSeconds = 600

  /// How much rarer than in a seed watchers read while nobody writes, and ticks after which operators look again.
  static let restPace = 50
  static let restTicks = 100

  public init(days: Int) { self.days = days }

  /// Seconds to live of a lease, from less than the shortest possible to the longest.
  func ttl(_ random: inout SplitMix64) -> Int64 {
    let most = [100, 3_600, 6 * 3_600, leaseSeconds][random.below(4)]
    return 1 + Int64(random.below(most))
  }
}

extension SimulationOptions {
  /// The longest election timeout that etcd takes, in milliseconds.
  /// - Source: etcd `maxElectionMs`.
  private static let electionMilliseconds = 50_000

  /// Options of a life. It has the shape of the seed of this number, and its faults.
  public static func life(seed: UInt64, days: Int) -> SimulationOptions {
    var options = varied(seed: seed)
    var random = SplitMix64(seed: seed &* 0x9e37_79b9_7f4a_7c15 ^ 0x11fe)
    func one<T>(of choices: [T]) -> T { choices[random.below(choices.count)] }
    var life = LifeOptions(days: days)
    life.burstEvery = one(of: [2_000, 4_000, 16_000])
    life.burstTicks = one(of: [40, 80, 160])
    life.retention = one(of: [360, 2_880, 8_640])
    options.life = life
    options.pace = 1
    // On one key alone too much of unknown outcome comes together in a week.
    options.keys = max(options.keys, 3)
    options.member.tickMilliseconds = one(of: [5_000, 10_000, 10_000, 10_000])
    options.member.electionTicks = electionMilliseconds / options.member.tickMilliseconds
    // A thousandth of a tick is 5 or 10 ms.
    options.delay = one(of: [1, 10, 50])
    options.diskLatency = one(of: [1, 5, 20])
    options.loopDelay = 2
    options.turnDelay = 2
    options.lossOneIn = one(of: [20, 100, 1_000])
    options.delayOneIn = 300
    options.faultEvery = one(of: [6, 12, 40])
    options.member.snapshotCount = one(of: [50, 500, 2_000])
    options.member.catchUpEntries = one(of: [10, 100, 500])
    options.member.segmentBytes = one(of: [16 << 10, 64 << 10, 256 << 10])
    options.member.leaseCheckpointInterval = one(of: [nil, 300_000, 3_600_000])
    return options
  }
}
