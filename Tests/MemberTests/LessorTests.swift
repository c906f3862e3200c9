import Bytes
import EtcdAPI
import TestSupport
import Testing

@testable import MVCC
@testable import Member

/// Deadlines in simulated time.
@Suite struct LessorTests {
  static let tick: Int64 = 100

  static func config() -> Lessor.Config {
    Lessor.Config(tick: tick, minTTL: 2, promotionExtension: 1000, retry: 7000)
  }

  static func table(_ leases: [(id: LeaseID, ttl: Int64, remaining: Int64)]) -> LeaseTable {
    var table = LeaseTable()
    for lease in leases {
      _ = table.grant(lease.id, ttl: lease.ttl, remaining: lease.remaining)
    }
    return table
  }

  /// Runs the clock from `start` until `end` and says when each lease was taken first. A lease that was
  /// taken is revoked at once.
  static func run(
    _ lessor: inout Lessor, from start: Int64, until end: Int64
  ) -> [LeaseID: Int64] {
    var taken: [LeaseID: Int64] = [:]
    for now in stride(from: start, through: end, by: Int(tick)) {
      lessor.tick(now: now)
      while true {
        let overdue = lessor.takeOverdue(now: now)
        if overdue.isEmpty { break }
        for id in overdue {
          taken[id] = now
          let removed = lessor.remove(id)
          #expect(removed)
        }
      }
    }
    return taken
  }

  /// Every lease ends at or after its deadline, at most a tick and a bit later, and nothing ends that
  /// was renewed or revoked.
  @Test func endsInTimeAndNeverBefore() {
    var random = SeededGenerator.printed("Lessor")
    for _ in 0..<100 {
      var lessor = Lessor(Self.config())
      var table = LeaseTable()
      var ends: [LeaseID: Int64] = [:]
      lessor.promote(term: 1, now: 0, leases: table)
      for now in stride(from: Int64(0), through: 60_000, by: Int(Self.tick)) {
        lessor.tick(now: now)
        // What happens between this tick and the next happened at `real`.
        let real = now + Int64.random(in: 0..<Self.tick, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
          let id = LeaseID(now + 1)
          let ttl = Int64.random(in: 0...20, using: &random)
          let isNew = table.grant(id, ttl: ttl)
          #expect(isNew)
          lessor.refresh(id, table.leases[id]!, now: now)
          ends[id] = real + Swift.max(ttl, 2) * 1000
        case 1:
          guard let id = ends.keys.sorted().randomElement(using: &random),
            !lessor.isOverdue(id, now: now)
          else { break }
          lessor.refresh(id, table.leases[id]!, now: now)
          ends[id] = real + Swift.max(table.leases[id]!.ttl, 2) * 1000
        case 2:
          guard let id = ends.keys.sorted().randomElement(using: &random) else { continue }
          let removed = lessor.remove(id)
          #expect(!removed)
          _ = table.revoke(id)
          ends[id] = nil
        default: break
        }
        for id in lessor.takeOverdue(now: now) {
          let end = ends.removeValue(forKey: id)
          #expect(end != nil, "\(id) is not there")
          #expect(end ?? .max <= now, "\(id) ended before its time")
          #expect(now - (end ?? .min) <= 2 * Self.tick, "\(id) ended late")
          let removed = lessor.remove(id)
          #expect(removed)
          _ = table.revoke(id)
        }
        for (id, end) in ends {
          let left = lessor.remaining(id, now: now) ?? -1
          #expect(left * 1000 <= Swift.max(end - now, 0), "\(id) promises too much")
          #expect(left >= (end - now) / 1000 - 1, "\(id) promises too little")
        }
      }
    }
  }

  @Test func onlyThePrimaryKeepsTime() {
    var lessor = Lessor(Self.config())
    let table = Self.table([(7, 10, 0)])
    lessor.refresh(7, table.leases[7]!, now: 0)
    #expect(lessor.count == 0 && lessor.remaining(7, now: 0) == nil)
    let taken = Self.run(&lessor, from: 0, until: 100_000)
    #expect(taken.isEmpty)
    lessor.promote(term: 3, now: 50_000, leases: table)
    #expect(lessor.remaining(7, now: 50_000) == 10, "ten seconds and an election less a moment")
    lessor.demote()
    let taken2 = Self.run(&lessor, from: 50_000, until: 100_000)
    #expect(taken2.isEmpty)
  }

  /// A new leader gives all of the time, or what the last checkpoint left, and an election more.
  @Test func promotionExtends() {
    var lessor = Lessor(Self.config())
    lessor.promote(
      term: 1, now: 1000, leases: Self.table([(1, 10, 0), (2, 100, 30), (3, 0, 0), (4, 5, 50)]))
    let ends = Self.run(&lessor, from: 1000, until: 200_000)
    #expect(ends == [1: 12_100, 2: 32_100, 3: 4100, 4: 7100])
  }

  /// Leases that would all end in one second after an election are drawn apart; none ends early.
  @Test func pilesAreDrawnApart() {
    var lessor = Lessor(Self.config())
    let leases = (1...5000).map {
      (id: LeaseID(Int64($0)), ttl: Int64($0 % 3 == 0 ? 12 : 10), remaining: Int64(0))
    }
    lessor.promote(term: 1, now: 0, leases: Self.table(leases))
    let ends = Self.run(&lessor, from: 0, until: 60_000)
    #expect(ends.count == 5000)
    var bySecond: [Int64: Int] = [:]
    for (id, end) in ends {
      #expect(end >= leases[Int(id.rawValue) - 1].ttl * 1000 + 1000, "\(id)")
      bySecond[end / 1000, default: 0] += 1
    }
    #expect(bySecond.values.max()! <= 760, "\(bySecond.sorted { $0.key < $1.key })")
    #expect(ends.values.max()! < 11_000 + 5000 * 1000 / 750 + 3 * Self.tick)
  }

  /// No more than sixteen revocations are under way, and no more than a thousand are made a second.
  @Test func revocationIsLimited() {
    var lessor = Lessor(Self.config())
    var table = LeaseTable()
    lessor.promote(term: 1, now: 0, leases: table)
    for id in (1...3000).map({ LeaseID($0) }) {
      let isNew = table.grant(id, ttl: 2)
      #expect(isNew)
      lessor.refresh(id, table.leases[id]!, now: 0)
    }
    lessor.tick(now: 3000)
    let first = lessor.takeOverdue(now: 3000)
    #expect(first.count == 16)
    let taken = lessor.takeOverdue(now: 3000)
    #expect(taken.isEmpty, "sixteen are under way")
    let removed = lessor.remove(first[0])
    #expect(removed)
    let taken2 = lessor.takeOverdue(now: 3000)
    #expect(taken2.count == 1)
    let ends = Self.run(&lessor, from: 3100, until: 15_000)
    // Fifteen of the first sixteen and the seventeenth were never revoked: they come again.
    #expect(ends.count == 2999)
    var bySecond: [Int64: Int] = [:]
    for end in ends.values { bySecond[end / 1000, default: 0] += 1 }
    #expect(bySecond.values.max()! <= 1100)
  }

  /// A revocation that could not be put into the log is tried at the next tick; one that was lost
  /// after the retry time.
  @Test func revocationIsTriedAgain() {
    var lessor = Lessor(Self.config())
    lessor.promote(term: 1, now: 0, leases: Self.table([(1, 2, 0)]))
    lessor.tick(now: 5000)
    let taken = lessor.takeOverdue(now: 5000)
    #expect(taken == [1])
    lessor.giveBack([1], now: 5000)
    let taken2 = lessor.takeOverdue(now: 5000)
    #expect(taken2.isEmpty)
    lessor.tick(now: 5100)
    let taken3 = lessor.takeOverdue(now: 5100)
    #expect(taken3 == [1])
    let taken4 = Self.run(&lessor, from: 5200, until: 20_000)
    #expect(taken4 == [1: 12_100])
  }

  /// Checkpoints record what is left of long leases, again and again, and nothing of short ones.
  @Test func checkpointsLongLeases() {
    var config = Self.config()
    config.checkpointInterval = 60_000
    config.checkpointBatch = 2
    var lessor = Lessor(config)
    var table = Self.table([(1, 30, 0), (2, 200, 0), (3, 200, 0), (4, 200, 0)])
    lessor.promote(term: 1, now: 0, leases: table)
    var seen: [LeaseID: [Int64]] = [:]
    for now in stride(from: Int64(100), through: 190_000, by: 100) {
      lessor.tick(now: now)
      while true {
        let batch = lessor.takeCheckpoints(now: now, leases: table)
        if batch.isEmpty { break }
        #expect(batch.count <= 2)
        for checkpoint in batch {
          let id = LeaseID(checkpoint.id)
          #expect(lessor.isCheckpointing(id))
          seen[id, default: []].append(checkpoint.remainingTTL)
          table.setRemaining(checkpoint.remainingTTL, of: id)
          lessor.didCheckpoint(id)
        }
      }
    }
    #expect(seen.keys.sorted() == [2, 3, 4])
    #expect(seen[2] == [142, 82, 22], "\(seen)")
    lessor.promote(term: 2, now: 200_000, leases: table)
    #expect(lessor.remaining(2, now: 200_000) == 22)
  }

  /// A lease has one checkpoint on its way at most: a renewal that waits for it would be overtaken by a second.
  @Test func oneCheckpointOfALeaseAtATime() {
    var config = Self.config()
    config.checkpointInterval = 10_000
    var lessor = Lessor(config)
    let table = Self.table([(1, 200, 0)])
    lessor.promote(term: 1, now: 0, leases: table)
    func taken(at now: Int64) -> [Int64] {
      lessor.tick(now: now)
      return lessor.takeCheckpoints(now: now, leases: table).map(\.remainingTTL)
    }
    let first = taken(at: 10_100)
    let whileOnItsWay = taken(at: 30_300)
    lessor.didCheckpoint(1)
    lessor.willForget(1)
    let whileForgotten = taken(at: 50_500)
    lessor.didCheckpoint(1)
    let afterwards = taken(at: 70_700)
    #expect(first == [191])
    #expect(whileOnItsWay.isEmpty && whileForgotten.isEmpty)
    #expect(afterwards == [131])
  }

  /// A million leases cost little: nothing walks all of them at a tick.
  @Test func manyLeasesAreCheap() {
    var lessor = Lessor(Self.config())
    var table = LeaseTable()
    let count: Int64 = 200_000
    for number in 1...count {
      let isNew = table.grant(LeaseID(number), ttl: 1000 + number % 1000)
      #expect(isNew)
    }
    let clock = ContinuousClock()
    let promotion = clock.measure { lessor.promote(term: 1, now: 0, leases: table) }
    let ticks = clock.measure {
      for now in stride(from: Int64(100), through: 100_000, by: 100) {
        lessor.tick(now: now)
        do {
          let overdue = lessor.takeOverdue(now: now)
          #expect(overdue.isEmpty)
        }
      }
    }
    print("\(count) leases: promotion \(promotion), 1000 ticks \(ticks)")
    #expect(ticks < .seconds(1), "a tick looks at the earliest lease only")
  }
}
