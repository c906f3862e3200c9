import Bytes
import Testing

@Suite struct BytesTests {
  @Test func slicesShareAndCompare() {
    let whole = Bytes("hello world")
    let part = whole[6..<11]
    #expect(part == "world")
    #expect(part[0] == UInt8(ascii: "w"))
    #expect(Bytes("a") < Bytes("ab"))
    #expect(Bytes([0xff]) > Bytes("zzz"))
    #expect(whole.hasPrefix("hello") && !whole.hasPrefix("hello world!"))
    #expect(Bytes().isEmpty && Bytes() == Bytes(""))
  }

  @Test func writerAndReaderAgree() {
    var writer = ByteWriter(capacity: 1)
    writer.appendBigEndian(UInt64(0x0102_0304_0506_0708))
    writer.appendLittleEndian(UInt32(7))
    for value in [0, 1, 127, 128, 300, UInt64.max] { writer.appendVarint(value) }
    writer.append("tail")
    var reader = ByteReader(writer.finish())
    #expect(reader.readBigEndian(UInt64.self) == 0x0102_0304_0506_0708)
    #expect(reader.readLittleEndian(UInt32.self) == 7)
    for value in [0, 1, 127, 128, 300, UInt64.max] { #expect(reader.readVarint() == value) }
    #expect(reader.read(5) == nil)
    #expect(reader.read(4) == "tail")
    #expect(reader.readByte() == nil)
  }

  @Test func overlongVarintIsRefused() {
    var reader = ByteReader(Bytes([UInt8](repeating: 0x80, count: 11) + [0]))
    #expect(reader.readVarint() == nil)
    #expect(reader.position == 0)
  }

  /// Check values of RFC 3720, appendix B.4, and the incremental form.
  @Test func crc32cMatchesTheStandard() {
    #expect(CRC32C.update(0, Bytes(repeatElement(0, count: 32))) == 0x8a91_36aa)
    #expect(CRC32C.update(0, Bytes(0..<32)) == 0x46dd_794e)
    #expect(CRC32C.update(0, "123456789") == 0xe306_9283)
    #expect(CRC32C.update(CRC32C.update(0, "12345"), "6789") == 0xe306_9283)
  }
}
