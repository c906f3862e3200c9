import EventLoops

/// Wall time as peers exchange it: RFC 3339 with up to nine digits of a second.
extension WallClock {
  /// `2006-01-02T15:04:05.999999999Z`, zeros at the end left out.
  static func format(_ nanoseconds: Int64) -> String {
    let day: Int64 = 86_400_000_000_000
    var days = nanoseconds / day
    var rest = nanoseconds % day
    if rest < 0 {
      rest += day
      days -= 1
    }
    let date = CivilDate.from(daysSinceEpoch: Int(days))
    let seconds = Int(rest / 1_000_000_000)
    var text = pad(date.year, 4) + "-" + pad(date.month, 2) + "-" + pad(date.day, 2) + "T"
    text += pad(seconds / 3600, 2) + ":" + pad(seconds / 60 % 60, 2) + ":" + pad(seconds % 60, 2)
    var fraction = pad(Int(rest % 1_000_000_000), 9)
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return text + (fraction.isEmpty ? "" : "." + fraction) + "Z"
  }

  /// Reads RFC 3339 text with `Z` or an offset; `nil` when malformed.
  static func parse(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes.count <= 40, bytes[4] == 0x2d, bytes[7] == 0x2d,
      bytes[10] | 0x20 == 0x74, bytes[13] == 0x3a, bytes[16] == 0x3a,
      let year = number(bytes, 0, 4), let month = number(bytes, 5, 2),
      let day = number(bytes, 8, 2), let hour = number(bytes, 11, 2),
      let minute = number(bytes, 14, 2), let second = number(bytes, 17, 2),
      year >= 1970, year < 2200, (1...12).contains(month), (1...31).contains(day), hour < 24,
      minute < 60, second <= 60
    else { return nil }
    var at = 19
    guard let nanoseconds = fraction(bytes, &at), let offset = zone(bytes, at) else { return nil }
    let total = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    return Int64(total) * 1_000_000_000 + nanoseconds
  }

  private static func fraction(_ bytes: [UInt8], _ at: inout Int) -> Int64? {
    guard bytes[at] == 0x2e else { return 0 }
    at += 1
    var value: Int64 = 0
    var digits = 0
    while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 {
      if digits < 9 { value = value * 10 + Int64(bytes[at] - 0x30) }
      digits += 1
      at += 1
    }
    guard digits > 0 else { return nil }
    while digits < 9 {
      value *= 10
      digits += 1
    }
    return value
  }

  /// Seconds east of UTC.
  private static func zone(_ bytes: [UInt8], _ at: Int) -> Int? {
    guard at < bytes.count else { return nil }
    if bytes[at] | 0x20 == 0x7a { return at + 1 == bytes.count ? 0 : nil }
    guard bytes.count == at + 6, bytes[at] == 0x2b || bytes[at] == 0x2d, bytes[at + 3] == 0x3a,
      let hours = number(bytes, at + 1, 2), let minutes = number(bytes, at + 4, 2)
    else { return nil }
    return (bytes[at] == 0x2d ? -1 : 1) * (hours * 3600 + minutes * 60)
  }

  /// Days since 1970-01-01; inverse of `CivilDate.from`.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = y / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int? {
    var value = 0
    for byte in bytes[at..<(at + count)] {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    return value
  }

  private static func pad(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
