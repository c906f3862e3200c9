import EventLoops
import GoText
import Platform

/// The `Date` field, made once a second.
struct HTTPDate {
  private var second = -1
  private var text = ""

  /// `Mon, 02 Jan 2006 15:04:05 GMT` for now.
  mutating func current() -> String {
    let now = Int(WallClock.seconds)  // checked: the same width
    if now != second {
      second = now
      text = Self.format(now)
    }
    return text
  }

  /// Seconds since 1970; a clock set before it shows the first second of 1970.
  static func format(_ clock: Int) -> String {
    CivilTime(secondsSinceEpoch: max(0, clock)).httpDate
  }
}
