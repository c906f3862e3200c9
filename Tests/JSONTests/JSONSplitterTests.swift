import Bytes
import JSON
import Testing

@Suite struct JSONSplitterTests {
  /// The values of a text that comes in pieces of some length, and what its end leaves.
  private func split(
    _ text: String, pieces: Int, limits: JSONLimits = JSONLimits()
  ) throws -> [String] {
    var splitter = JSONSplitter(limits: limits)
    let bytes = Bytes(text)
    var values: [String] = []
    var start = 0
    while start < bytes.count {
      let end = min(start + pieces, bytes.count)
      splitter.feed(bytes[start..<end])
      while let value = try splitter.next() { values.append(value.string) }
      start = end
    }
    if let rest = splitter.finish() { values.append(rest.string) }
    #expect(splitter.isAtBoundary)
    return values
  }

  @Test(arguments: [1, 2, 3, 1_000])
  func valuesAreCutApart(pieces: Int) throws {
    let cases: [(String, [String])] = [
      ("", []), (" \n\t\r ", []),
      (#"{"a":1}{"b":2} [3]"#, [#"{"a":1}"#, #"{"b":2}"#, "[3]"]),
      (#"{"a":"}{\"]"}{}"#, [#"{"a":"}{\"]"}"#, "{}"]),
      (#"{"a":"\\"}{}"#, [#"{"a":"\\"}"#, "{}"]),
      (#"1 true null"x"2{"#, ["1", "true", "null", #""x""#, "2", "{"]),
      ("{]}", ["{]", "}"]), ("}}", ["}", "}"]),
      (#"{"a":{"b":[{}]}}"#, [#"{"a":{"b":[{}]}}"#]), (#"{"a""#, [#"{"a""#]),
      ("\"\u{e9}\u{1f600}\"[]", ["\"\u{e9}\u{1f600}\"", "[]"]),
    ]
    for (text, values) in cases { #expect(try split(text, pieces: pieces) == values) }
  }

  /// What comes while values wait stands behind them.
  @Test func moreMayComeMeanwhile() throws {
    var splitter = JSONSplitter()
    splitter.feed("{}[")
    #expect(try splitter.next() == "{}")
    splitter.feed("1]{\"a\"")
    splitter.feed(":2}")
    #expect(try splitter.next() == "[1]")
    #expect(try splitter.next() == "{\"a\":2}")
    #expect(try splitter.next() == nil)
    #expect(splitter.isAtBoundary)
  }

  @Test func depthAndLengthAreBounded() throws {
    let limits = JSONLimits(depth: 4, bytes: 10)
    #expect(try split("[[[[]]]]", pieces: 3, limits: limits) == ["[[[[]]]]"])
    func kind(_ text: String) -> JSONError.Kind? {
      do {
        _ = try split(text, pieces: 3, limits: limits)
        return nil
      } catch { return (error as? JSONError)?.kind }
    }
    #expect(kind("[[[[[") == .tooDeep)
    #expect(kind("\"0123456789\"") == .tooLarge)
    #expect(kind("01234567890") == .tooLarge)
    // White space between values is no value.
    #expect(try split(String(repeating: " ", count: 100) + "1", pieces: 7, limits: limits) == ["1"])
  }

  /// What is cut off is what the parser takes.
  @Test func valuesAreThoseOfTheParser() throws {
    let text = #" {"a":[1,"x\"y"]} [] "s" 5 {"b":{}} null "#
    var parser = JSONParser(Bytes(text))
    var parsed: [JSONValue] = []
    while let value = try parser.next() { parsed.append(value) }
    #expect(try split(text, pieces: 2).map { try JSONValue.parse(Bytes($0)) } == parsed)
  }
}
