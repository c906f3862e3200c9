import Bytes
import Testing

@Suite struct Base64Tests {
  /// RFC 4648 §10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ])
  func vectors(plain: String, encoded: String) {
    let raw = Bytes(String(encoded.prefix { $0 != "=" }))
    #expect(Base64.standard.encode(Bytes(plain)) == Bytes(encoded))
    #expect(Base64.rawStandard.encode(Bytes(plain)) == raw)
    #expect(Base64.rawURL.encode(Bytes(plain)) == raw)
    #expect(Base64.standard.decode(Bytes(encoded)) == Bytes(plain))
    #expect(Base64.rawStandard.decode(raw) == Bytes(plain))
    #expect(Base64.rawURL.decode(raw) == Bytes(plain))
    for text in [raw, Bytes(encoded)] { #expect(Base64.decodeAny(text) == Bytes(plain)) }
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
    #expect(Base64.decodeAny("+//+") == bytes)
    #expect(Base64.decodeAny("-__-") == bytes)
  }

  @Test(arguments: ["A", "AAAAA", "Zg=", "Z===", "====", "Zm9v=", "Zm 9v", "Zm9v\n", "é"])
  func rejects(text: String) {
    for coding in [Base64.standard, .rawStandard, .rawURL] {
      #expect(coding.decode(Bytes(text)) == nil)
    }
    #expect(Base64.decodeAny(Bytes(text)) == nil)
  }
}
