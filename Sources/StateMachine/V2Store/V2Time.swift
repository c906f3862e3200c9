/// Times as Go's encoding/json writes them (RFC 3339 with up to nine digits of a second).
enum V2Time {
  /// Go's zero time: a node that stays.
  static let never = "0001-01-01T00:00:00Z"

  /// - Parameter nanoseconds: since 1970, `nil` for Go's zero time.
  static func text(_ nanoseconds: Int64?) -> String {
    guard let nanoseconds else { return never }
    let (days, ofDay) = divide(nanoseconds, by: 86_400_000_000_000)
    let (seconds, fraction) = divide(ofDay, by: 1_000_000_000)
    let date = civil(days: days)
    var text =
      "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))T"
      + "\(pad(seconds / 3600, 2)):\(pad(seconds / 60 % 60, 2)):\(pad(seconds % 60, 2))"
    if fraction != 0 {
      var digits = Substring(pad(fraction, 9))
      while digits.last == "0" { digits.removeLast() }
      text += "." + digits
    }
    return text + "Z"
  }

  /// - Returns: nanoseconds since 1970; `.some(nil)` for Go's zero time; `nil` when the text is no
  ///   time or lies beyond 64 bits of nanoseconds.
  static func parse(_ text: String) -> Int64?? {
    if text == never { return .some(nil) }
    var scanner = Scanner(text)
    guard let year = scanner.digits(4), scanner.take("-"), let month = scanner.digits(2),
      scanner.take("-"), let day = scanner.digits(2), scanner.take("T"),
      let hour = scanner.digits(2), scanner.take(":"), let minute = scanner.digits(2),
      scanner.take(":"), let second = scanner.digits(2), (1...12).contains(month),
      (1...31).contains(day), hour < 24, minute < 60, second < 60
    else { return nil }
    var fraction: Int64 = 0
    if scanner.take(".") {
      guard let part = scanner.fraction() else { return nil }
      fraction = part
    }
    guard let offset = scanner.zone(), scanner.isAtEnd else { return nil }
    let seconds =
      days(year: year, month: month, day: day) * 86400 + hour * 3600 + minute * 60 + second - offset
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, beyond) = scaled.addingReportingOverflow(fraction)
    return overflow || beyond ? nil : .some(sum)
  }

  private struct Scanner {
    private var rest: Substring.UTF8View
    init(_ text: String) { rest = text.utf8[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func digit() -> Int64? {
      guard let byte = rest.first, (0x30...0x39).contains(byte) else { return nil }
      rest.removeFirst()
      return Int64(byte - 0x30)
    }

    mutating func digits(_ count: Int) -> Int64? {
      var value: Int64 = 0
      for _ in 0..<count {
        guard let digit = digit() else { return nil }
        value = value * 10 + digit
      }
      return value
    }

    /// Digits behind the point, in nanoseconds.
    mutating func fraction() -> Int64? {
      guard let first = digit() else { return nil }
      var value = first * 100_000_000
      var scale: Int64 = 10_000_000
      while let digit = digit() {
        value += digit * scale
        scale /= 10
      }
      return value
    }

    /// `Z` or an offset, in seconds.
    mutating func zone() -> Int64? {
      if take("Z") { return 0 }
      let isEast = take("+")
      guard isEast || take("-"), let hours = digits(2), take(":"), let minutes = digits(2) else {
        return nil
      }
      return (isEast ? 1 : -1) * (hours * 3600 + minutes * 60)
    }
  }

  // MARK: Calendar

  private static func divide(_ value: Int64, by unit: Int64) -> (Int64, Int64) {
    let rest = value % unit
    return rest < 0 ? (value / unit - 1, rest + unit) : (value / unit, rest)
  }

  private static func pad(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
  }

  /// Days since 1970-01-01 of a date of the Gregorian calendar. A year is counted from March, so that
  /// the leap day is its last.
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = divide(year, by: 400)
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, day) = divide(days + 719_468, by: 146_097)
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365
    let dayOfYear = day - (365 * year + year / 4 - year / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (year + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }
}
