import Bytes
import JSON
import Testing

@Suite struct JSONParserTests {
  @Test func values() throws {
    let text = #" {"a":[1,-2.5e+3,true,false,null],"b":"x\u0041\n\ud83d\ude00é\/","c":{},"d":[]} "#
    let value = try JSONValue.parse(Bytes(text))
    #expect(
      value == [
        "a": [1, .number("-2.5e+3"), true, false, .null], "b": "xA\n😀é/", "c": [:], "d": [],
      ])
    #expect(value["b"]?.string == "xA\n😀é/")
    #expect(value["zz"] == nil)
    #expect(value.object?.members.map(\.name) == ["a", "b", "c", "d"])
  }

  @Test func lastMemberOfANameCounts() throws {
    #expect(try JSONValue.parse(#"{"a":1,"a":2}"#)["a"] == 2)
  }

  @Test(arguments: [
    "", " ", "{", "[", "[1", "[1,", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "\"", "\"\\",
    "\"\\u12", "tru", "-", "1.", "1e", "1e+", "\"\\ud800\\u",
  ])
  func incomplete(text: String) {
    #expect(kind(text) == .unexpectedEnd)
  }

  @Test(arguments: [
    "[1,]", "{,}", "{\"a\":1,}", "{a:1}", "{'a':1}", "[1 2]", "01", "+1", ".5", "1.e5", "0x1",
    "NaN", "nul1", "\"\\x\"", "\"\n\"", "\"\\u12g4\"", "1 2", "[]]", "//", "\u{feff}1", "tRue",
  ])
  func malformed(text: String) {
    #expect(kind(text) == .syntax)
  }

  @Test(arguments: ["\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\""])
  func halfASurrogatePair(text: String) {
    #expect(kind(text) == .invalidUTF8)
  }

  @Test func illFormedUTF8() {
    #expect(kind([0x22, 0xff, 0x22]) == .invalidUTF8)
    #expect(kind([0x22, 0xc3, 0x22]) == .invalidUTF8)
  }

  private func kind(_ text: String) -> JSONError.Kind? { kind(Bytes(text)) }

  private func kind(_ bytes: Bytes, _ limits: JSONLimits = JSONLimits()) -> JSONError.Kind? {
    do {
      _ = try JSONValue.parse(bytes, limits: limits)
      return nil
    } catch {
      return error.kind
    }
  }

  @Test func limits() {
    for opening in ["[", "{\"a\":"] {
      let bomb = Bytes(String(repeating: opening, count: 100_000))
      #expect(kind(bomb) == .tooDeep)
    }
    let nested = String(repeating: "[", count: 4) + String(repeating: "]", count: 4)
    #expect(kind(Bytes(nested), JSONLimits(depth: 4)) == nil)
    #expect(kind(Bytes(nested), JSONLimits(depth: 3)) == .tooDeep)
    #expect(kind(Bytes(nested), JSONLimits(bytes: 8)) == nil)
    #expect(kind(Bytes(nested), JSONLimits(bytes: 7)) == .tooLarge)
  }

  @Test func concatenatedValues() throws {
    var parser = JSONParser("{\"a\":1}\n{\"a\":2} [3]")
    #expect(try parser.next() == ["a": 1])
    #expect(parser.position == 7)
    #expect(try parser.next() == ["a": 2])
    #expect(try parser.next() == [3])
    #expect(try parser.next() == nil)
  }

  @Test func writing() throws {
    let value: JSONValue = ["a": [1, true, .null], "b": "\"\\\u{1}\n<\u{2028}é"]
    #expect(
      value.encoded().string == "{\"a\":[1,true,null],\"b\":\"\\\"\\\\\\u0001\\n<\u{2028}é\"}")
    #expect(
      value.encoded(escapeHTML: true).string
        == "{\"a\":[1,true,null],\"b\":\"\\\"\\\\\\u0001\\n\\u003c\\u2028é\"}")
    #expect(try JSONValue.parse(value.encoded(escapeHTML: true)) == value)
  }

  @Test func mutationsNeverCrash() {
    let text = Array(#"{"a":[1,-2.5e+3,true,null],"b":"x\u0041\n\ud83d\ude00é","c":{"d":[]}}"#.utf8)
    for end in 0..<text.count { #expect(kind(Bytes(text[..<end])) != nil) }
    var parsed = 0
    for index in text.indices {
      for bit in 0..<8 {
        var mutant = text
        mutant[index] ^= 1 << UInt8(bit)
        guard let value = try? JSONValue.parse(Bytes(mutant)) else { continue }
        parsed += 1
        #expect((try? JSONValue.parse(value.encoded())) == value)
      }
    }
    #expect(parsed > 0)
  }
}
