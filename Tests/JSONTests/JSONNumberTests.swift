import JSON
import Testing

@Suite struct JSONNumberTests {
  @Test(arguments: [
    ("0", 0), ("-0", 0), ("7", 7), ("-7", -7), ("9223372036854775807", Int64.max),
    ("-9223372036854775808", Int64.min),
  ])
  func integers(text: String, value: Int64) {
    #expect(JSONNumber.integer(text) == value)
  }

  @Test(arguments: [
    "9223372036854775808", "-9223372036854775809", "1.5", "1.0", "1e3", "0e0", "1e-1", "",
    "-", "+1",
    "-+1", "--1", "01", "-01", ".5", "1.", "1e", " 1", "1 ", "0x1", "Inf",
  ])
  func others(text: String) {
    #expect(JSONNumber.integer(text) as Int64? == nil)
  }

  @Test func widths() {
    #expect(JSONNumber.integer("18446744073709551615") == UInt64.max)
    #expect(JSONNumber.integer("-1") as UInt64? == nil)
    #expect(JSONNumber.integer("-0") as UInt64? == nil)
    #expect(JSONNumber.integer("4294967295") == UInt32.max)
    #expect(JSONNumber.integer("4294967296") as UInt32? == nil)
    #expect(JSONNumber.integer("-2147483648") == Int32.min)
  }
}
