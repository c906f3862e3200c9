import Bytes
import Protobuf
import Testing

@Suite struct WireSizeTests {
  /// Around every power of two, against what the writer of varints takes.
  @Test func varints() {
    for shift in 0..<64 as Range<UInt64> {
      for delta in [-1, 0, 1] as [Int64] {
        let value = (1 << shift) &+ UInt64(bitPattern: delta)
        var writer = ByteWriter()
        writer.appendVarint(value)
        #expect(WireSize.of(value) == writer.count, "\(value)")
      }
    }
    #expect(WireSize.of(0) == 1)
    #expect(WireSize.of(.max) == 10)
  }

  @Test func signsAreExtended() {
    #expect(Int32(-1).wireVarint == .max)
    #expect(Int32(wireVarint: .max) == -1)
    #expect(Int64(wireVarint: Int64.min.wireVarint) == .min)
    #expect(UInt32(wireVarint: 1 << 32 | 5) == 5)
    #expect(Bool(wireVarint: 1 << 40))
  }
}
