import Bytes
import GoText
import Testing

/// Texts as Go's strconv, fmt, time and go-humanize write and read them.
@Suite struct GoTextTests {
  /// Expected texts come from Go's strconv.Quote.
  @Test func quotesAreGos() {
    for (bytes, text) in [
      (Bytes("plain \"q\" \\"), #""plain \"q\" \\""#),
      (Bytes("\n\r\t\u{7}\u{8}\u{c}\u{b}\u{0}\u{1}\u{7f}"), #""\n\r\t\a\b\f\v\x00\x01\x7f""#),
      (Bytes([0x61, 0xff, 0xc3, 0xa4, 0xc3]), "\"a\\xff\u{e4}\\xc3\""),
      // A surrogate and an overlong slash are no UTF-8.
      (Bytes([0xed, 0xa0, 0x80, 0xc0, 0xaf]), #""\xed\xa0\x80\xc0\xaf""#),
      (Bytes("\u{80}\u{a0}\u{200b}\u{2028}\u{e000}"), #""\u0080\u00a0\u200b\u2028\ue000""#),
      (Bytes("\u{10ffff}\u{1f600}\u{fffd}☃"), "\"\\U0010ffff\u{1f600}\u{fffd}☃\""),
    ] {
      #expect(GoQuote.text(bytes) == text)
      if let string = String(validating: bytes, as: UTF8.self) {
        #expect(GoQuote.text(string) == text)
      }
    }
    #expect(GoQuote.list([]) == "[]")
    #expect(GoQuote.list(["a", "b\n"]) == #"["a" "b\n"]"#)
  }

  @Test(arguments: [
    (0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (1_005, "1.005µs"), (10_050_000_000, "10.05s"),
    (2_340_000, "2.34ms"), (300_000_000, "300ms"),
    (999_999_999, "999.999999ms"), (1_000_000_000, "1s"), (60_250_000_000, "1m0.25s"),
    (61_500_000_000, "1m1.5s"), (3_600_000_000_000, "1h0m0s"), (3_661_000_000_000, "1h1m1s"),
    (-1_500_000, "-1.5ms"), (Int.min, "-2562047h47m16.854775808s"),
  ])
  func durationsReadAsInGo(_ nanoseconds: Int, _ text: String) {
    #expect(Duration.nanoseconds(nanoseconds).goDescription == text)
  }

  @Test func durationsAreParsed() throws {
    for (text, nanoseconds) in [
      ("0", 0), ("1h30m", 5_400_000_000_000), ("-1.5s", -1_500_000_000), ("+5us", 5_000),
      (".5ms", 500_000), ("0.000000015s", 15), ("1.\u{3bc}s", 1_000),
    ] as [(String, Int64)] { #expect(try GoDuration.parse(text) == nanoseconds, "\(text)") }
    for (text, message) in [
      ("", #"time: invalid duration """#), ("3", #"time: missing unit in duration "3""#),
      ("3x", #"time: unknown unit "x" in duration "3x""#),
      ("9999999h", #"time: invalid duration "9999999h""#),
    ] {
      let failure = #expect(throws: GoDuration.Failure.self) { try GoDuration.parse(text) }
      #expect(failure?.message == message)
    }
  }

  @Test func numbersAreParsedAsByStrconv() throws {
    for (text, value) in [("0", 0), ("0x1_0", 16), ("017", 15), ("0b11", 3), ("1_000", 1000)] {
      #expect(try GoNumber.unsigned(text) == UInt64(value))
    }
    #expect(try GoNumber.signed("-9223372036854775808") == .min)
    for text in ["", "0x", "1__0", "_1", "1_", "a", "-1"] {
      #expect(throws: GoNumber.Failure.syntax) { try GoNumber.unsigned(text) }
    }
    #expect(throws: GoNumber.Failure.range) { try GoNumber.unsigned("18446744073709551616") }
    #expect(throws: GoNumber.Failure.range) { try GoNumber.signed("9223372036854775808") }
    #expect(
      GoNumber.refusal(.syntax, of: "x", by: "ParseInt")
        == #"strconv.ParseInt: parsing "x": invalid syntax"#)
    #expect(GoNumber.bool("T") == true && GoNumber.bool("yes") == nil)
  }

  /// Expected texts come from go-humanize's Bytes.
  @Test(arguments: [
    (0, "0 B"), (9, "9 B"), (10, "10 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"),
    (9_950, "10 kB"), (10_500, "10 kB"), (11_500, "12 kB"), (20_480, "20 kB"),
    (82_854, "83 kB"), (999_999, "1000 kB"), (1_500_000, "1.5 MB"), (82_854_982, "83 MB"),
    (2_147_483_648, "2.1 GB"), (UInt64.max, "18 EB"),
  ])
  func sizesAreRoundedAsGoHumanizeDoes(_ bytes: UInt64, _ text: String) {
    #expect(HumanSize.text(bytes) == text)
  }
}
