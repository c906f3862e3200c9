import Checkers
import Testing

/// What is said of watches, leases and locks.
@Suite struct LedgerTests {
  @Test func leasesAreNotGoneEarly() {
    var promise = LeasePromise()
    let first = promise.extend(to: 10)
    var late = promise
    let (isEarly, broken) = (late.end(at: 10), late.extend(to: 12))
    #expect(first == nil && !isEarly && broken == 10)
    let isTooEarly = promise.end(at: 9)
    #expect(isTooEarly)
  }

  @Test func locksHaveOneHolderAndGrowingTokens() {
    var ledger = LockLedger()
    let first = ledger.hold(1, token: 5, asked: 1, told: 2, besides: [])
    let second = ledger.hold(2, token: 6, asked: 1, told: 3, besides: [0])
    #expect(first.isEmpty && second.count == 1)
    ledger.end(0, at: 4)
    #expect(ledger.problems(client: 3, token: 7, asked: 5).isEmpty)
    let older = ledger.problems(client: 3, token: 5, asked: 5)
    #expect(older.map(\.operations) == [[1]])
    // Who asked before the other was told may get the smaller one.
    #expect(ledger.problems(client: 3, token: 5, asked: 3).isEmpty)
  }

  @Test func watchersAreToldAllOnceAndTheSame() {
    var ledger = WatchLedger<String>()
    func tell(_ events: [(Int64, String)], next: Int64, seesAll: Bool = true) -> [String] {
      ledger.tell(
        events.map { ($0.0, $0.1) }, next: next, seesAll: seesAll, isDense: false,
        ("a watcher", "m1")
      ).problems
    }
    #expect(tell([(2, "a"), (2, "b"), (4, "c")], next: 2).isEmpty)
    #expect(tell([(4, "c")], next: 3).isEmpty)
    #expect(tell([(4, "x")], next: 4) != [])
    #expect(tell([(6, "e"), (5, "d")], next: 5).count == 1)
    #expect(tell([(3, "z")], next: 5, seesAll: false).count == 1)
    let missing = ledger.missing(
      [2: ["a"]], upTo: 4, wants: { $0 != "b" }, isExcused: { $0 == 3 })
    #expect(missing.map(\.revision) == [4])
  }
}
