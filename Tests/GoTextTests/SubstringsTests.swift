import Testing

@testable import GoText

@Suite struct SubstringsTests {
  @Test func theFirstPlaceIsFound() {
    let text = "aab aab"
    #expect(text.place(of: "ab").map { text[$0.upperBound...] } == " aab")
    #expect(text.place(of: "aab").map { text[..<$0.lowerBound] } == "")
    #expect(text.dropFirst().place(of: "aab").map { text[..<$0.lowerBound] } == "aab ")
    for part in ["ba", "aab aab ", "c"] { #expect(!text.holds(part), "\(part)") }
    #expect(!"".holds("a"))
  }

  @Test func bytesCountAndNotCharacters() {
    let text = "http://\u{301}a\r\n\r\nb"
    #expect(text.holds("://") && text.holds("\n\r") && text.holds("\u{301}a"))
    #expect(text.pieces(between: "\n").map(\.utf8.count) == [11, 1, 1])
  }

  @Test func piecesAreOneMoreThanSeparators() {
    #expect("a->b->".pieces(between: "->") == ["a", "b", ""])
    #expect("->".pieces(between: "->") == ["", ""])
    #expect("a-".pieces(between: "->") == ["a-"])
    #expect("".pieces(between: "::") == [""])
    #expect(":::".pieces(between: "::") == ["", ":"])
  }
}
