import Bytes
import GoText
import TestSupport
import Testing

/// Dates and times of day.
@Suite struct CivilTests {
  @Test(arguments: [
    (0, 1970, 1, 1), (-1, 1969, 12, 31), (11_016, 2000, 2, 29), (20_512, 2026, 2, 28),
    (20_513, 2026, 3, 1), (-719_162, 1, 1, 1),
  ])
  func datesAreCivil(_ days: Int, _ year: Int, _ month: Int, _ day: Int) {
    let date = CivilDate(daysSinceEpoch: days)
    #expect((date.year, date.month, date.day) == (year, month, day))
    #expect(CivilDate(year: year, month: month, day: day)?.daysSinceEpoch == days)
  }

  @Test func everyDayIsItself() {
    for days in stride(from: -800_000, to: 800_000, by: 7) {
      let date = CivilDate(daysSinceEpoch: days)
      #expect(date.daysSinceEpoch == days)
      #expect(CivilDate(year: date.year, month: date.month, day: date.day) == date)
    }
    #expect(CivilDate(year: 2023, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 1900, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 2024, month: 13, day: 1) == nil)
  }

  @Test func timesAreRFC3339() {
    func text(_ nanoseconds: Int64, _ fraction: CivilTime.Fraction) -> String {
      CivilTime(nanosecondsSinceEpoch: nanoseconds).rfc3339(fraction: fraction)
    }
    #expect(text(0, .none) == "1970-01-01T00:00:00Z")
    #expect(text(0, .shortest) == "1970-01-01T00:00:00Z")
    #expect(text(1_136_214_245_120_000_000, .shortest) == "2006-01-02T15:04:05.12Z")
    #expect(text(1_136_214_245_000_000_001, .shortest) == "2006-01-02T15:04:05.000000001Z")
    #expect(text(1_136_214_245_012_345_678, .microseconds) == "2006-01-02T15:04:05.012345Z")
    #expect(text(-1, .shortest) == "1969-12-31T23:59:59.999999999Z")
    #expect(
      CivilTime(microsecondsSinceEpoch: 1_136_214_245_000_007).rfc3339(fraction: .microseconds)
        == "2006-01-02T15:04:05.000007Z")
    #expect(CivilTime(secondsSinceEpoch: 1_700_000_000).rfc3339() == "2023-11-14T22:13:20Z")
  }

  @Test func timesAreRead() {
    func time(_ text: String) -> Int64? { CivilTime(rfc3339: text)?.nanosecondsSinceEpoch }
    #expect(time("2006-01-02T15:04:05.12Z") == 1_136_214_245_120_000_000)
    #expect(time("2006-01-02T17:04:05.12+02:00") == 1_136_214_245_120_000_000)
    #expect(time("2006-01-02T08:04:05-07:00") == 1_136_214_245_000_000_000)
    #expect(time("2006-01-02T15:04:05.1234567899Z") == 1_136_214_245_123_456_789)
    #expect(time("0001-01-01T00:00:00Z") == nil, "no 64 bits hold it")
    var random = SeededGenerator.printed("times")
    for _ in 0..<500 {
      let nanoseconds = Int64.random(in: .min ... .max, using: &random)
      let text = CivilTime(nanosecondsSinceEpoch: nanoseconds).rfc3339(fraction: .shortest)
      #expect(time(text) == nanoseconds)
    }
    for text in [
      "", "2006-01-02", "2006-13-02T15:04:05Z", "2006-01-02T15:04:05", "2006-01-02T15:04:05.Z",
      "2006-01-02T15:04:05+02", "2006-01-02T25:04:05Z", "2006-01-02T15:04:05Zx",
      "2006-02-29T15:04:05Z", "2006-01-02T15:04:60Z", "2006-01-02T15:04:05+24:00",
    ] { #expect(CivilTime(rfc3339: text) == nil, "\(text)") }
  }

  @Test func datesOfHTTP() {
    #expect(
      CivilTime(secondsSinceEpoch: 784_111_777).httpDate == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(CivilTime(secondsSinceEpoch: 0).httpDate == "Thu, 01 Jan 1970 00:00:00 GMT")
    #expect(CivilTime(secondsSinceEpoch: -1).httpDate == "Wed, 31 Dec 1969 23:59:59 GMT")
  }
}
