import Bytes
import Protobuf
import Testing

@Suite struct Base64Tests {
  /// RFC 4648 §10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ])
  func vectors(plain: String, encoded: String) {
    #expect(Base64.encode(Bytes(plain)) == encoded)
    #expect(Base64.decode(encoded) == Bytes(plain))
    let unpadded = String(encoded.prefix { $0 != "=" })
    #expect(Base64.decode(unpadded) == Bytes(plain))
  }

  @Test func bothAlphabets() {
    let bytes: Bytes = [0xfb, 0xff, 0xfe]
    #expect(Base64.encode(bytes) == "+//+")
    #expect(Base64.decode("+//+") == bytes)
    #expect(Base64.decode("-__-") == bytes)
  }

  @Test(arguments: ["A", "AAAAA", "Zg=", "Z===", "====", "Zm9v=", "Zm 9v", "Zm9v\n", "é"])
  func rejects(text: String) {
    #expect(Base64.decode(text) == nil)
  }
}
