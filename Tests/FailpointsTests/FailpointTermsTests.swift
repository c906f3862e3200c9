import Failpoints
import Testing

/// What gofail's terms say.
@Suite struct FailpointTermsTests {
  private func actions(_ text: String, _ chances: [Int]) throws -> [FailpointTerms.Action?] {
    var terms = try #require(FailpointTerms(text), "\(text)")
    return chances.map { terms.next(chance: $0) }
  }

  @Test func actionsAreRead() throws {
    #expect(try actions("panic", [0, 999]) == [.panic(""), .panic("")])
    #expect(try actions("panic(\"no room\")", [0]) == [.panic("no room")])
    #expect(try actions("sleep(250)", [5]) == [.sleep(milliseconds: 250)])
    #expect(try actions("sleep(\"1.5s\")", [5]) == [.sleep(milliseconds: 1_500)])
    #expect(try actions("sleep(\"20ms\")", [5]) == [.sleep(milliseconds: 20)])
    #expect(try actions("print(\"5*2\")", [5]) == [.print("5*2")])
    #expect(try actions("off", [0]) == [nil])
    #expect(try actions("return(\"x\")", [0]).first??.text == "x")
  }

  @Test func countsAndSharesHold() throws {
    #expect(try actions("2*panic", [0, 0, 0]) == [.panic(""), .panic(""), nil])
    #expect(
      try actions("2*off->1*panic->print(\"x\")", [0, 0, 0, 0, 0])
        == [nil, nil, .panic(""), .print("x"), .print("x")])
    #expect(try actions("25.5%panic", [254, 255, 999, 0]) == [.panic(""), nil, nil, .panic("")])
    // A hit that chance lets pass does not count.
    #expect(try actions("50%1*panic", [999, 0, 0]) == [nil, .panic(""), nil])
  }

  @Test(arguments: [
    "", "break", "sleep", "sleep(x)", "sleep(\"3 days\")", "sleep(-1)", "x*panic", "-1*panic",
    "101%panic", "panic(", "panic->", "->panic", "sleep(99999999999999999999)", "sleep(\"nans\")",
  ])
  func otherTextIsRefused(_ text: String) { #expect(FailpointTerms(text) == nil) }
}
