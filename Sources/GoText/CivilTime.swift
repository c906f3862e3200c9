import Bytes

/// A time of day on a date, UTC.
public struct CivilTime: Hashable, Sendable {
  public let date: CivilDate
  public let hour: Int
  public let minute: Int
  public let second: Int
  public let nanosecond: Int

  /// Seconds since 1970 and a part of the next one.
  public init(secondsSinceEpoch seconds: Int, nanosecond: Int = 0) {
    let (days, ofDay) = floorDivide(seconds, by: 86_400)
    date = CivilDate(daysSinceEpoch: days)
    hour = ofDay / 3600
    minute = ofDay / 60 % 60
    second = ofDay % 60
    self.nanosecond = nanosecond
  }

  /// Microseconds since 1970.
  public init(microsecondsSinceEpoch microseconds: Int64) {
    // checked: the same width
    let (seconds, rest) = floorDivide(Int(microseconds), by: 1_000_000)
    self.init(secondsSinceEpoch: seconds, nanosecond: rest * 1_000)
  }

  /// Nanoseconds since 1970.
  public init(nanosecondsSinceEpoch nanoseconds: Int64) {
    // checked: the same width
    let (seconds, rest) = floorDivide(Int(nanoseconds), by: 1_000_000_000)
    self.init(secondsSinceEpoch: seconds, nanosecond: rest)
  }

  /// Nanoseconds since 1970; `nil` when 64 bits do not hold them.
  public var nanosecondsSinceEpoch: Int64? {
    let seconds = date.daysSinceEpoch * 86_400 + hour * 3600 + minute * 60 + second
    // checked: the same width
    let (scaled, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carry) = scaled.addingReportingOverflow(Int64(nanosecond))
    return overflow || carry ? nil : sum
  }
}

extension CivilTime {
  /// How much of a second is written.
  public enum Fraction: Sendable {
    /// Nothing.
    case none
    /// Six digits.
    case microseconds
    /// Nine digits without the zeros at their end; nothing for a whole second.
    case shortest
  }

  /// Appends `2006-01-02T15:04:05Z`, with a fraction behind the seconds; allocates nothing.
  public func writeRFC3339(to out: inout ByteWriter, fraction: Fraction = .none) {
    Self.write(date.year, 4, to: &out)
    out.append(UInt8(ascii: "-"))
    Self.write(date.month, 2, to: &out)
    out.append(UInt8(ascii: "-"))
    Self.write(date.day, 2, to: &out)
    out.append(UInt8(ascii: "T"))
    writeClock(to: &out)
    switch fraction {
    case .none: break
    case .microseconds:
      out.append(UInt8(ascii: "."))
      Self.write(nanosecond / 1_000, 6, to: &out)
    case .shortest:
      guard nanosecond != 0 else { break }
      var (digits, width) = (nanosecond, 9)
      while digits % 10 == 0 { (digits, width) = (digits / 10, width - 1) }
      out.append(UInt8(ascii: "."))
      Self.write(digits, width, to: &out)
    }
    out.append(UInt8(ascii: "Z"))
  }

  /// `2006-01-02T15:04:05Z`, with a fraction behind the seconds.
  public func rfc3339(fraction: Fraction = .none) -> String {
    var out = ByteWriter(capacity: 32)
    writeRFC3339(to: &out, fraction: fraction)
    return out.finish().string
  }

  /// `Mon, 02 Jan 2006 15:04:05 GMT`.
  /// - Source: RFC 9110 §5.6.7.
  public var httpDate: String {
    let weekdays: StaticString = "ThuFriSatSunMonTueWed"
    let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
    var out = ByteWriter(capacity: 29)
    Self.write(weekdays, floorDivide(date.daysSinceEpoch, by: 7).rest, to: &out)
    out.append(", ")
    Self.write(date.day, 2, to: &out)
    out.append(UInt8(ascii: " "))
    Self.write(months, date.month - 1, to: &out)
    out.append(UInt8(ascii: " "))
    Self.write(date.year, 4, to: &out)
    out.append(UInt8(ascii: " "))
    writeClock(to: &out)
    out.append(" GMT")
    return out.finish().string
  }

  private func writeClock(to out: inout ByteWriter) {
    Self.write(hour, 2, to: &out)
    out.append(UInt8(ascii: ":"))
    Self.write(minute, 2, to: &out)
    out.append(UInt8(ascii: ":"))
    Self.write(second, 2, to: &out)
  }

  /// A number with so many digits at least.
  private static func write(_ value: Int, _ width: Int, to out: inout ByteWriter) {
    if value < 0 { out.append(UInt8(ascii: "-")) }
    let size = value.magnitude
    var divisor: UInt = 1
    for _ in 1..<width { divisor *= 10 }
    while size / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      out.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: size / divisor % 10))
      divisor /= 10
    }
  }

  /// One of the names of three letters that stand in a row.
  private static func write(_ names: StaticString, _ index: Int, to out: inout ByteWriter) {
    out.append(UnsafeRawBufferPointer(start: names.utf8Start + 3 * index, count: 3))
  }
}

extension CivilTime {
  /// Reads RFC 3339 with `Z` or an offset; `nil` when it is malformed. Of a fraction nine digits count.
  ///
  /// - Source: Go `time.Time.UnmarshalJSON`, which knows no leap seconds and no small `t` and `z`.
  public init?(rfc3339 text: String) {
    var scanner = Scanner(text)
    guard let year = scanner.digits(4), scanner.take("-"), let month = scanner.digits(2),
      scanner.take("-"), let day = scanner.digits(2), scanner.take("T"),
      let hour = scanner.digits(2), scanner.take(":"), let minute = scanner.digits(2),
      scanner.take(":"), let second = scanner.digits(2),
      let date = CivilDate(year: year, month: month, day: day), hour < 24, minute < 60, second < 60
    else { return nil }
    var nanosecond = 0
    if scanner.take(".") {
      guard let fraction = scanner.fraction() else { return nil }
      nanosecond = fraction
    }
    guard let offset = scanner.zone(), scanner.isAtEnd else { return nil }
    self.init(
      secondsSinceEpoch: date.daysSinceEpoch * 86_400 + hour * 3600 + minute * 60 + second - offset,
      nanosecond: nanosecond)
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

    private mutating func digit() -> Int? {
      guard let byte = rest.first, (0x30...0x39).contains(byte) else { return nil }
      rest.removeFirst()
      return Int(byte - 0x30)  // checked: a digit
    }

    mutating func digits(_ count: Int) -> Int? {
      var value = 0
      for _ in 0..<count {
        guard let digit = digit() else { return nil }
        value = value * 10 + digit
      }
      return value
    }

    /// Digits behind the point, in nanoseconds.
    mutating func fraction() -> Int? {
      guard let first = digit() else { return nil }
      var value = first * 100_000_000
      var scale = 10_000_000
      while let digit = digit() {
        value += digit * scale
        scale /= 10
      }
      return value
    }

    /// `Z` or an offset, in seconds east of UTC.
    mutating func zone() -> Int? {
      if take("Z") { return 0 }
      let isEast = take("+")
      guard isEast || take("-"), let hours = digits(2), take(":"), let minutes = digits(2),
        hours < 24, minutes < 60
      else { return nil }
      return (isEast ? 1 : -1) * (hours * 3600 + minutes * 60)
    }
  }
}
