import Bytes
import EventLoops

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The `Date` field, made once a second.
struct HTTPDate {
  private var second = -1
  private var text = ""

  /// `Mon, 02 Jan 2006 15:04:05 GMT` for now.
  mutating func current() -> String {
    let now = time(nil)
    if now != second {
      second = now
      text = Self.format(now)
    }
    return text
  }

  /// Seconds since 1970; a clock set before it shows the first second of 1970.
  /// - Source: RFC 9110 §5.6.7.
  static func format(_ clock: Int) -> String {
    let seconds = max(0, clock)
    let days = seconds / 86_400
    let (year, month, day) = CivilDate.from(daysSinceEpoch: days)
    let rest = seconds % 86_400
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    return "\(weekday), \(two(day)) \(months[month - 1]) \(year) "
      + "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60)) GMT"
  }

  private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
