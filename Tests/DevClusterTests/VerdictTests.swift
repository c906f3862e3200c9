import Bytes
import Checkers
import Testing

@testable import DevClusterKit

/// What histories of scenarios are worth.
@Suite struct VerdictTests {
  private typealias Operation = HistoryOperation

  private static let second = 1_000_000_000

  private static func history(_ operations: [HistoryOperation]) -> History {
    var history = History()
    history.header.scenario = "x"
    history.header.members = ["m1", "m2", "m3"]
    history.operations = operations
    history.end = .init(
      loadEnded: 100 * second, time: 101 * second,
      hashes: ["m1", "m2", "m3"].map { .init(member: $0, revision: 5, hash: 7) })
    return history
  }

  private static func operation(
    _ action: Operation.Action, _ called: Int, _ ended: Int, _ outcome: Operation.Outcome,
    client: Int = 0, member: String = "m1"
  ) -> HistoryOperation {
    HistoryOperation(
      client: client, member: member, action: action, called: called, ended: ended,
      outcome: outcome)
  }

  private func expectations(_ history: History) -> [String] {
    Verdict(history).problems.map(\.expectation)
  }

  private static func read(_ key: String, _ value: Int, at modified: Int64, _ revision: Int64)
    -> Operation.Outcome
  { .found(revision: revision, [key: SeenValue(value: value, modified: modified)]) }

  @Test func staleReadsAndLostWritesAreNoRegister() throws {
    let writes = [
      Self.operation(.put(key: "register/1", value: 1), 1, 2, .wrote(revision: 2)),
      Self.operation(.put(key: "register/1", value: 2), 3, 4, .wrote(revision: 3)),
    ]
    let good = Self.history(
      writes + [
        Self.operation(.read(["register/1"]), 5, 6, Self.read("register/1", 2, at: 3, 3))
      ])
    #expect(Verdict(good).isGood && Verdict(good).summary.hasPrefix("3 operations (0 of unknown"))
    let stale = Self.history(
      writes + [
        Self.operation(.read(["register/1"]), 5, 6, Self.read("register/1", 1, at: 2, 2))
      ])
    let problems = Verdict(stale).problems
    #expect(
      problems.contains { $0.text.contains("not linearizable") && $0.operations == [0, 1, 2] })
    // A write that says that it was done, with the revision of another, and is not there.
    let lost = Self.history([
      writes[0],
      Self.operation(
        .read(["register/1"]), 5, 6,
        .found(revision: 2, ["register/1": SeenValue(value: 0, modified: 0)])),
    ])
    #expect(expectations(lost).contains("linearizable"))
    var asked = stale
    asked.header.expect.isLinearizable = false
    #expect(Verdict(asked).isGood, "who expects nothing gets nothing")
  }

  @Test func setsAndListsAreChecked() {
    let adds = [Self.operation(.add(1), 1, 2, .wrote(revision: 2))]
    #expect(
      Verdict(
        Self.history(adds + [Self.operation(.members, 3, 4, .elements(revision: 2, [1]))])
      ).isGood)
    #expect(
      expectations(
        Self.history(adds + [Self.operation(.members, 3, 4, .elements(revision: 2, []))]))
        == ["linearizable"])
    var looks = [1, 2].map { value in
      Self.operation(
        .read(["append/1/0"]), value * 2, value * 2 + 1,
        Self.read("append/1/0", value, at: Int64(value), 9))
    }
    looks[0].lists = ["append/1/0": [1]]
    looks[1].lists = ["append/1/0": [3, 2]]
    let forked = Self.history(looks)
    #expect(Verdict(forked).problems.contains { $0.text.contains("was seen with 1 at place 0") })
  }

  @Test func leasesMayEndLateAndNotEarly() {
    func history(goneAt: Int) -> History {
      Self.history([
        Self.operation(.grant(lease: 9, seconds: 2), 10, 20, .isThere(true)),
        Self.operation(.renew(lease: 9, seconds: 2), Self.second, Self.second + 5, .isThere(true)),
        Self.operation(.look(lease: 9), goneAt - 5, goneAt, .isThere(false)),
      ])
    }
    #expect(Verdict(history(goneAt: 3 * Self.second + 1)).isGood)
    let early = Verdict(history(goneAt: 3 * Self.second - 1)).problems
    #expect(early.map(\.expectation) == ["leases"] && early[0].operations == [1, 2])
  }

  @Test func locksHaveOneHolder() {
    func history(_ release: Int, _ second: Int64) -> History {
      var unlock = Self.operation(.unlock(name: "l", token: 5), 50, 60, .isThere(false))
      unlock.heldUntil = release
      return Self.history([
        Self.operation(.lock(name: "l"), 1, 2, .locked(token: 5)),
        Self.operation(.guarded(name: "l", token: 5), 3, 4, .wrote(revision: 6)),
        Self.operation(.lock(name: "l"), 5, 30, .locked(token: second), client: 1),
        Self.operation(.guarded(name: "l", token: second), 31, 32, .wrote(revision: 8), client: 1),
        unlock,
      ])
    }
    #expect(Verdict(history(29, 7)).isGood)
    #expect(expectations(history(40, 7)) == ["locks"])
    // A smaller token for who asked later, and a write with it behind one with a larger.
    #expect(expectations(history(29, 4)) == ["locks", "locks"])
  }

  @Test func watchersAreToldAllOnceInOrder() {
    func history(_ told: [[(Int64, Int)]], isWhole: Bool = true) -> History {
      var history = Self.history([
        Self.operation(.put(key: "register/1", value: 1), 1, 2, .wrote(revision: 2)),
        Self.operation(.put(key: "register/1", value: 2), 3, 4, .wrote(revision: 3)),
      ])
      for (client, told) in told.enumerated() {
        var record = History.WatchRecord(client: client, member: "m1", time: client + 1, from: 2)
        record.isWhole = isWhole
        record.changes = told.map { .init(revision: $0.0, key: "register/1", value: $0.1) }
        history.watches.append(record)
      }
      return history
    }
    #expect(Verdict(history([[(2, 1), (3, 2)], [(2, 1), (3, 2)]])).isGood)
    #expect(expectations(history([[(2, 1), (3, 2)], [(3, 2)]])) == ["watch"])
    #expect(expectations(history([[(3, 2)]])) == ["watch"], "nobody was told of a write")
    #expect(expectations(history([[(3, 2), (2, 1)]])) == ["watch"])
    #expect(Set(expectations(history([[(2, 1), (3, 2)], [(2, 1), (3, 7)]]))) == ["watch"])
    #expect(expectations(history([[(2, 1), (3, 2)]], isWhole: false)) == ["watch"])
    var silent = history([[(2, 1), (3, 2)]])
    silent.watches.append(.init(client: 5, member: "m1", time: 9))
    #expect(expectations(silent) == ["watch"])
  }

  @Test func whoIsCutOffAnswersNothing() {
    func history(_ called: Int, _ cuts: [String], member: String = "m1") -> History {
      var history = Self.history([
        Self.operation(
          .put(key: "register/1", value: 1), called, called + 5, .wrote(revision: 2), member: member
        )
      ])
      var cut = HistoryEvent("order", at: 10, "cut m1")
      cut.answered = 12
      cut.cuts = cuts
      history.events = [cut, HistoryEvent(HistoryEvent.heal, at: 100, "heal")]
      return history
    }
    let all = ["m1->m2", "m2->m1", "m1->m3", "m3->m1"]
    #expect(expectations(history(20, all)) == ["minority"])
    #expect(Verdict(history(20, all, member: "m2")).isGood, "two of three are a majority")
    #expect(Verdict(history(11, all)).isGood, "it was under way")
    #expect(Verdict(history(97, all)).isGood, "it ended when all was healed")
    #expect(Verdict(history(20, ["m1->m2", "m1->m3"])).isGood, "one way alone")
    #expect(Verdict(history(20, Array(all.prefix(2)))).isGood)
  }

  @Test func endsGapsAndLeadersAreChecked() {
    var history = Self.history([
      Self.operation(
        .put(key: "register/1", value: 1), 1, 40 * Self.second, .wrote(revision: 2))
    ])
    history.header.expect.longestGap = UInt64(60 * Self.second)
    history.events = ["m1", "m1", "m2", "m1"].enumerated().map {
      HistoryEvent("leader", at: $0.offset, "leads", member: $0.element)
    }
    history.header.expect.leaderChangesMax = 2
    #expect(Verdict(history).isGood)
    history.header.expect.longestGap = UInt64(59 * Self.second)
    history.header.expect.leaderChangesMax = 1
    history.end?.hashes[1].hash = 8
    #expect(expectations(history) == ["hashes", "writes-within", "leader-changes"])
    history.end?.failure = "m1: not healthy"
    #expect(Verdict(history).problems[0].text == "m1: not healthy")
    history.events.append(
      HistoryEvent(HistoryEvent.refused, at: 5, "'cut leader' could not be done"))
    #expect(expectations(history).first == "steps")
    history.events.removeLast()
    history.end = nil
    #expect(expectations(history).first == "hashes")
  }

  @Test func nobodyLeadsWhileTheLeaderIsAway() {
    func leaderless(_ events: HistoryEvent...) -> [Int] {
      var history = Self.history([])
      history.events = [HistoryEvent("leader", at: 0, "", member: "m1")] + events
      let found = Leaderless(history).longest
      return [found.from, found.nanoseconds]
    }
    let next = HistoryEvent("leader", at: 30, "", member: "m2")
    #expect(leaderless(next) == [0, 0])
    #expect(leaderless(HistoryEvent("exit", at: 10, "", member: "m1"), next) == [10, 20])
    #expect(leaderless(HistoryEvent("exit", at: 10, "", member: "m3"), next) == [0, 0])
    #expect(
      leaderless(
        HistoryEvent("pause", at: 10, "", member: "m1"),
        HistoryEvent("resume", at: 15, "", member: "m1")) == [10, 5])
    #expect(leaderless(HistoryEvent("no-leader", at: 10, "")) == [10, 100 * Self.second - 10])
    var cut = HistoryEvent("order", at: 10, "cut m1")
    cut.answered = 12
    cut.until = 50
    cut.cuts = ["m1->m2", "m2->m1", "m1->m3", "m3->m1"]
    #expect(leaderless(cut, next) == [12, 18])
    #expect(leaderless(cut) == [12, 38], "the old one leads again when it ends")
    cut.cuts = Array(cut.cuts.prefix(2))
    #expect(leaderless(cut) == [0, 0])
    var history = Self.history([])
    history.events = [HistoryEvent("no-leader", at: 10, "")]
    history.header.expect.longestLeaderless = UInt64(Self.second)
    #expect(expectations(history) == ["leader-within"])
  }

  @Test func historiesSurviveTheirFile() throws {
    var history = Self.history([
      Self.operation(.put(key: "k", value: 1), 1, 2, .wrote(revision: 2)),
      Self.operation(.delete(key: "k"), 2, 3, .unchanged(revision: 2)),
      Self.operation(.compare(key: "k", expected: 1, value: 2), 3, 4, .unknown("gone")),
      Self.operation(
        .read(["k", "l"]), 4, 5, Self.read("k", 1, at: 2, 2), client: 3, member: "m2"),
      Self.operation(.add(4), 5, 6, .failed("no space")),
      Self.operation(.members, 6, 7, .elements(revision: 9, [4, 5])),
      Self.operation(.grant(lease: 7, seconds: 2), 7, 8, .isThere(true)),
      Self.operation(.renew(lease: 7, seconds: 2), 8, 9, .isThere(false)),
      Self.operation(.look(lease: 7), 9, 10, .isThere(false)),
      Self.operation(.lock(name: "l"), 10, 11, .locked(token: 12)),
      Self.operation(.guarded(name: "l", token: 12), 11, 12, .wrote(revision: 13)),
      Self.operation(.unlock(name: "l", token: 12), 12, 13, .isThere(false)),
    ])
    history.operations[3].lists = ["k": [1, 2]]
    history.operations[11].heldUntil = 12
    history.header.seed = .max
    history.header.expect.longestGap = 5
    history.header.expect.longestLeaderless = 6
    history.header.expect.hasSafeLocks = false
    history.watches = [
      .init(
        client: 1, member: "m1", time: 5, from: 3,
        changes: [.init(revision: 3, key: "k", value: 0)], isWhole: true)
    ]
    var event = HistoryEvent("order", at: 4, "cut m1", member: "m1")
    event.answered = 5
    event.until = 9
    event.cuts = ["m1->m2"]
    history.events = [event]
    let lines =
      [HistoryLine.header(history.header)] + history.operations.map(HistoryLine.operation)
      + history.watches.map(HistoryLine.watch) + history.events.map(HistoryLine.event)
      + [.end(try #require(history.end))]
    let text = lines.map(\.text).joined()
    #expect(try History(Array(text.utf8), path: "f") == history)
    for bad in ["{}\n", "x\n", #"{"op":"put","client":1}"# + "\n", ""] {
      #expect(throws: DevClusterError.self) { try History(Array(bad.utf8), path: "f") }
    }
  }

  @Test func whatIsTooWideIsNotCalledWrong() {
    var verdict = Verdict(Self.history([]))
    #expect(verdict.word == "ok")
    verdict.problems = [.init(expectation: "linearizable", text: "too wide", isUndecided: true)]
    #expect(verdict.word == "UNDECIDED" && !verdict.isGood)
    verdict.problems.append(.init(expectation: "locks", text: "two"))
    #expect(verdict.word == "VIOLATED")
  }

  /// Twenty thousand; a release build decides a hundred thousand in less than the 10 s that are the goal.
  @Test func longHistoriesAreDecided() {
    var operations: [HistoryOperation] = []
    for number in 1...10_000 {
      let key = "register/\(number % 5)"
      let time = number * 10
      operations.append(
        Self.operation(
          .put(key: key, value: number), time, time + 5, .wrote(revision: Int64(number) + 1)))
      operations.append(
        Self.operation(
          .read([key]), time + 6, time + 9,
          Self.read(key, number, at: Int64(number) + 1, Int64(number) + 1), client: 1))
    }
    #expect(Verdict(Self.history(operations)).isGood)
  }
}
