import EtcdAPI
import Testing

@testable import Simulation

/// The checkers accept what a correct store can answer, and nothing else.
@Suite struct CheckerTests {
  private func step(_ action: RegisterChecker.Action, _ called: Int, _ returned: Int?)
    -> RegisterChecker.Step
  { RegisterChecker.Step(action: action, called: called, returned: returned) }

  private func verdict(_ steps: [RegisterChecker.Step]) -> RegisterChecker.Verdict {
    var checker = RegisterChecker(steps)
    return checker.check()
  }

  @Test func acceptsConcurrentOrders() {
    #expect(verdict([]) == .linearizable)
    #expect(
      verdict([
        step(.write(1), 1, 6), step(.write(2), 2, 5), step(.read(2), 3, 4), step(.read(1), 7, 8),
      ]) == .linearizable)
  }

  @Test func refusesStaleReads() {
    #expect(
      verdict([step(.write(1), 1, 2), step(.write(2), 3, 4), step(.read(1), 5, 6)]) == .violation)
    #expect(verdict([step(.write(1), 1, 2), step(.read(0), 3, 4)]) == .violation)
    // Two reads that see two concurrent writes in different orders.
    #expect(
      verdict([
        step(.write(1), 1, 20), step(.write(2), 2, 20), step(.read(1), 3, 4), step(.read(2), 5, 6),
        step(.read(1), 7, 8),
      ]) == .violation)
  }

  @Test func unknownWritesMayHappenLaterOrNever() {
    let unknown = step(.write(1), 1, nil)
    #expect(verdict([unknown, step(.read(0), 2, 3), step(.read(1), 4, 5)]) == .linearizable)
    #expect(verdict([unknown, step(.read(0), 2, 3)]) == .linearizable)
    #expect(
      verdict([unknown, step(.read(1), 2, 3), step(.read(0), 4, 5)]) == .violation)
  }

  @Test func comparisonsAndDeletes() {
    #expect(
      verdict([
        step(.compareAndPut(expected: 0, new: 1, succeeded: true), 1, 4),
        step(.compareAndPut(expected: 0, new: 2, succeeded: true), 2, 3),
      ]) == .violation)
    #expect(
      verdict([
        step(.write(1), 1, 2), step(.delete(existed: true), 3, 4),
        step(.delete(existed: true), 5, 6),
      ]) == .violation)
  }

  @Test func revisionsAreUniqueAndFollowRealTime() {
    func put(_ value: Int, _ called: Int, _ returned: Int, _ revision: Int64) -> Operation {
      Operation(
        client: 0, request: .put(key: "k", value: value), member: 1, called: called,
        returned: returned, result: .wrote(revision: revision))
    }
    func read(_ called: Int, _ revision: Int64, _ value: Int, _ modified: Int64) -> Operation {
      Operation(
        client: 0, request: .range(key: "k", toEnd: false, serializable: true), member: 1,
        called: called, returned: called + 1,
        result: .read(
          revision: revision, values: ["k": SeenValue(value: value, modified: modified)]))
    }
    func problems(_ history: [Operation]) -> [String] {
      HistoryCheck.problems(of: history, keys: ["k"])
    }
    #expect(problems([put(1, 1, 2, 2), put(2, 3, 4, 3), read(5, 2, 1, 2)]).isEmpty)
    #expect(!problems([put(1, 1, 4, 2), put(2, 2, 3, 2)]).isEmpty)
    #expect(!problems([put(1, 1, 2, 3), put(2, 3, 4, 2)]).isEmpty)
    #expect(!problems([put(1, 1, 2, 2), put(2, 3, 4, 3), read(5, 3, 1, 2)]).isEmpty)
    #expect(!problems([put(1, 1, 2, 2), read(3, 2, 0, 0)]).isEmpty)
    #expect(!problems([put(1, 1, 2, 2), read(3, 2, 9, 2)]).isEmpty)
  }
}
