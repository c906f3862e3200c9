import EtcdAPI
import MVCC
import Testing

@testable import Member

/// Renewals that were asked for together are answered together, once, however their leases end.
@Suite struct ParkedRenewalsTests {
  private var parked = ParkedRenewals()

  /// - Parameter leases: 0: the renewal has its answer already.
  private mutating func park(_ number: UInt64, tick: Int = 0, _ leases: LeaseID...) {
    let waiting = leases.enumerated().filter { $0.element != 0 }.map { ($0.offset, $0.element) }
    parked.park(
      ParkedRenewals.Batch(
        id: RequestID(rawValue: number), tick: tick, ttls: leases.map { $0 == 0 ? 9 : 0 },
        waiting: waiting))
  }

  @Test mutating func aBatchWaitsForItsLast() {
    park(1, 7, 0, 8, 7)
    park(2, 8)
    #expect(parked.count == 4)
    #expect(parked.settle(7, ttl: 30).isEmpty)
    #expect(!parked.holds(7) && parked.holds(8))
    let whole = parked.settle(8, ttl: 0)
    #expect(whole.map(\.id.rawValue) == [1, 2])
    #expect(whole.map(\.ttls) == [[30, 9, 0, 30], [0]])
    #expect(parked.count == 0 && parked.checkInvariants() == nil)
    #expect(parked.settle(7, ttl: 1).isEmpty)
  }

  @Test mutating func whatWaitedTooLongGoesAsAWhole() {
    park(3, tick: 5, 7, 8)
    park(2, tick: 1, 7, 8)
    park(1, tick: 1, 8)
    _ = parked.settle(7, ttl: 30)
    #expect(parked.takeExpired(tick: 10, after: 9).map(\.rawValue) == [1, 2])
    #expect(parked.count == 1 && parked.checkInvariants() == nil)
    #expect(parked.settle(8, ttl: 4).map(\.ttls) == [[30, 4]])
    #expect(parked.takeAll().isEmpty)
  }

  @Test mutating func aLeaseTakesItsBatchesAlong() {
    park(1, 7, 8)
    park(2, 8)
    #expect(parked.drop(7).map(\.rawValue) == [1])
    #expect(!parked.holds(7) && parked.holds(8))
    #expect(parked.takeAll().map(\.rawValue) == [2])
    #expect(parked.count == 0 && parked.checkInvariants() == nil)
  }

  /// Very many for one lease, as a client may ask: what ends them goes over them once.
  @Test(.timeLimit(.minutes(1))) mutating func manyForOneLeaseEndInOneGo() {
    let count: UInt64 = 100_000
    for number in 1...count { park(number, 7) }
    #expect(parked.takeAll().count == Int(count))
    #expect(parked.count == 0 && parked.checkInvariants() == nil)
  }
}
