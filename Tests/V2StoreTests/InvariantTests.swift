import Testing

@testable import V2Store

/// A check that finds nothing in a broken structure is worth nothing.
@Suite struct InvariantTests {
  private func broken(_ change: (inout V2Store) -> Void) throws -> String {
    var store = V2Store()
    _ = try store.set("/1/a/b", value: "x")
    _ = try store.set(
      "/1/a/c", value: "y", lifetime: V2Store.Lifetime(expiration: 2_000_000_000_000_000_000))
    _ = try store.set(
      "/1/a/d", value: "z", lifetime: V2Store.Lifetime(expiration: 2_100_000_000_000_000_000))
    #expect(store.checkInvariants() == nil)
    change(&store)
    return store.checkInvariants() ?? "nothing"
  }

  @Test func brokenStoresAreFound() throws {
    #expect(try broken { $0.root.children = nil }.hasPrefix("1: "))
    #expect(try broken { $0.root.children?[V2Name(text: "1")] = nil }.hasPrefix("1: "))
    #expect(try broken { $0.root.value = "x" }.hasPrefix("2: "))
    #expect(
      try broken { ($0.index, $0.history) = (1, V2History(emptyAt: 1)) }.hasPrefix("3: "))
    #expect(try broken { $0.expiries.live = 1 }.hasPrefix("4: "))
    #expect(try broken { $0.expiries.removeFirst() }.hasPrefix("4: 2: "))
    #expect(try broken { $0.index += 1 }.hasPrefix("5: the last event"))
    #expect(
      try broken {
        let last = $0.history.events.last!
        $0.history.append(last)
      }.hasPrefix("5: event 3 behind 3"))
  }
}
