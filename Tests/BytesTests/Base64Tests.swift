import Bytes
import Testing

@Suite struct Base64Tests {
  /// RFC 4648 §10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ])
  func vectors(plain: String, encoded: String) throws {
    let raw = Bytes(String(encoded.prefix { $0 != "=" }))
    #expect(Base64.standard.encode(Bytes(plain)) == Bytes(encoded))
    #expect(Base64.rawStandard.encode(Bytes(plain)) == raw)
    #expect(Base64.rawURL.encode(Bytes(plain)) == raw)
    #expect(Base64.standard.decode(Bytes(encoded)) == Bytes(plain))
    #expect(Base64.rawStandard.decode(raw) == Bytes(plain))
    #expect(Base64.rawURL.decode(raw) == Bytes(plain))
    #expect(try Base64.decodeLines(Bytes(encoded)) == Bytes(plain))
    if raw.count < encoded.utf8.count {
      #expect(Base64.standard.decode(raw) == nil)
      #expect(Base64.rawStandard.decode(Bytes(encoded)) == nil)
    }
  }

  @Test func alphabets() {
    let bytes: Bytes = [0xfb, 0xff, 0xfe]
    #expect(Base64.standard.encode(bytes) == "+//+")
    #expect(Base64.rawURL.encode(bytes) == "-__-")
    #expect(Base64.standard.decode("+//+") == bytes)
    #expect(Base64.standard.decode("-__-") == nil)
    #expect(Base64.rawURL.decode("+//+") == nil)
    #expect(Base64.rawURL.decode("-__-") == bytes)
  }

  @Test(arguments: ["A", "AAAAA", "Zg=", "Z===", "====", "Zm9v=", "Zm 9v", "Zm9v\n", "é"])
  func rejects(text: String) {
    for coding in [Base64.standard, .rawStandard, .rawURL] {
      #expect(coding.decode(Bytes(text)) == nil)
    }
  }

  /// Where Go's gateway says that a text goes wrong; it reads those with none.
  @Test(
    arguments: [
      ("az=", 3), ("YQ", 0), ("YWI", 0), ("Y", 0), ("YQ=", 3), ("-_-_", 0), ("YQ==YQ==", 4),
      ("Y=Q=", 1), ("=", 0), ("====", 0), ("YWJjZA", 4), ("Y\nQ", 1), ("ab-d", 2), ("YQ=\n", 4),
      ("YQ=x", 2), ("YQ==x", 4), ("YWI=x", 4), ("aaaaa", 4), ("aaaaa===", 5), ("aaa aaaa", 3),
      ("YQ\n==", nil), ("YQ==\n", nil), ("\r\nYWJj\n", nil), ("YW\nI=", nil),
    ] as [(String, Int?)])
  func saysWhereATextGoesWrong(text: String, offset: Int?) {
    if let offset {
      #expect(throws: Base64.IllegalByte(offset: offset)) { try Base64.decodeLines(Bytes(text)) }
    } else {
      #expect(throws: Never.self) { try Base64.decodeLines(Bytes(text)) }
    }
  }
}
