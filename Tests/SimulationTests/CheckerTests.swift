import Checkers
import EtcdAPI
import Testing

@testable import Simulation

/// The checkers accept what a correct store can answer, and nothing else.
@Suite struct CheckerTests {
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
    func problems(_ history: [Operation]) -> [HistoryProblem] {
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
