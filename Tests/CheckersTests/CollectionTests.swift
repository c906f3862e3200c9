import Checkers
import Testing

@Suite struct CollectionTests {
  private func add(_ element: Int, _ called: Int, _ returned: Int?) -> SetChecker.Add {
    .init(element, called: called, returned: returned, position: element)
  }

  private func look(_ elements: [Int], _ called: Int, _ returned: Int) -> SetChecker.Look {
    .init(elements, called: called, returned: returned, position: 100 + called)
  }

  @Test func setsOnlyGrow() {
    let adds = [add(1, 1, 2), add(2, 3, nil), add(3, 5, 9), add(4, 20, nil)]
    // What is under way or of unknown outcome may be there, or not.
    #expect(
      SetChecker.problems(adds, [look([1], 6, 7), look([1, 2], 8, 10), look([1, 2, 3], 11, 12)])
        .isEmpty)
    #expect(SetChecker.problems(adds, [look([1, 3], 6, 7), look([1, 3], 8, 9)]).isEmpty)
    // An acknowledged one is missing.
    let lost = SetChecker.problems(adds, [look([3], 10, 11)])
    #expect(lost.map(\.operations) == [[1, 110]])
    // One that somebody saw is missing later.
    let gone = SetChecker.problems(adds, [look([1, 2], 4, 5), look([1], 6, 7), look([1], 7, 8)])
    #expect(gone.map(\.operations) == [[104, 106]])
    #expect(SetChecker.problems(adds, [look([1, 5], 3, 4)]).map(\.operations) == [[103]])
    #expect(SetChecker.problems(adds, [look([1, 4], 3, 4)]).map(\.operations) == [[103, 4]])
  }

  @Test func listsAreOneAnothersBeginning() {
    func looks(_ lists: [Int]...) -> [ListChecker.Look] {
      lists.enumerated().map { .init($0.element, position: $0.offset) }
    }
    #expect(ListChecker.problem("a", []) == nil)
    #expect(ListChecker.problem("a", looks([1], [], [1, 2, 3], [1, 2])) == nil)
    let lost = ListChecker.problem("a", looks([1, 2], [1, 3, 4], [1]))
    #expect(
      lost?.operations == [0, 1] && lost?.text.contains("with 2 at place 1 and with 3") == true)
    #expect(ListChecker.problem("a", looks([1, 2], [2, 1])) != nil)
  }
}
