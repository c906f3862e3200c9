/// Durations as Go's `time.ParseDuration` reads them, in nanoseconds.
public enum GoDuration {
  /// Why a text is no duration, in Go's words.
  public struct Failure: Error, Equatable {
    public let message: String
  }

  private static let units: [String: Double] = [
    "ns": 1, "us": 1e3, "\u{b5}s": 1e3, "\u{3bc}s": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9,
    "h": 3600e9,
  ]

  /// Reads `1h30m`, `-1.5s` or `0`.
  /// - Throws: `Failure` with Go's message.
  public static func parse(_ text: String) throws(Failure) -> Int64 {
    let invalid = Failure(message: "time: invalid duration " + GoQuote.text(text))
    var rest = text[...]
    let isNegative = rest.first == "-"
    if let sign = rest.first, sign == "-" || sign == "+" { rest.removeFirst() }
    if rest == "0" { return 0 }
    guard !rest.isEmpty else { throw invalid }
    var total: Int64 = 0
    while !rest.isEmpty {
      let whole = rest.prefix { $0.isASCIIDigit }
      rest = rest.dropFirst(whole.count)
      var fraction = rest[rest.startIndex..<rest.startIndex]
      if rest.first == "." {
        rest.removeFirst()
        fraction = rest.prefix { $0.isASCIIDigit }
        rest = rest.dropFirst(fraction.count)
      }
      guard !whole.isEmpty || !fraction.isEmpty else { throw invalid }
      let unit = rest.prefix { $0 != "." && !$0.isASCIIDigit }
      rest = rest.dropFirst(unit.count)
      guard !unit.isEmpty else {
        throw Failure(message: "time: missing unit in duration " + GoQuote.text(text))
      }
      guard let scale = units[String(unit)] else {
        throw Failure(
          message: "time: unknown unit \(GoQuote.text(String(unit))) in duration "
            + GoQuote.text(text))
      }
      guard let part = nanoseconds(whole: whole, fraction: fraction, scale: scale) else {
        throw invalid
      }
      let (sum, overflowed) = total.addingReportingOverflow(part)
      guard !overflowed else { throw invalid }
      total = sum
    }
    return isNegative ? -total : total
  }

  private static func nanoseconds(
    whole: Substring, fraction: Substring, scale: Double
  ) -> Int64? {
    // checked: digits of a text, nil when they are too many; a unit has at most 3.6e12 nanoseconds
    guard let count = whole.isEmpty ? 0 : Int64(whole) else { return nil }
    let (product, overflowed) = count.multipliedReportingOverflow(by: Int64(scale))
    guard !overflowed else { return nil }
    guard !fraction.isEmpty else { return product }
    // 18 digits are finer than a nanosecond of an hour. The order of the operations is Go's.
    var numerator = 0.0
    var divisor = 1.0
    for digit in fraction.prefix(18) {
      numerator = numerator * 10 + Double(digit.wholeNumberValue ?? 0)
      divisor *= 10
    }
    // checked: a fraction of a unit
    let (sum, carry) = product.addingReportingOverflow(Int64(numerator * (scale / divisor)))
    return carry ? nil : sum
  }
}

extension Character {
  /// Whether it is one of `0` to `9`.
  public var isASCIIDigit: Bool { self >= "0" && self <= "9" }
}

extension Duration {
  /// Go's `time.Duration.String()`: `1h0m0.5s`, `10ms`, `1.234µs`, `0s`.
  public var goDescription: String {
    let (seconds, attoseconds) = components
    let (whole, overflowed) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (total, carry) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
    guard !overflowed, !carry else { return "\(seconds)s" }
    let size = total.magnitude
    let sign = total < 0 ? "-" : ""
    switch size {
    case 0: return "0s"
    case ..<1_000: return "\(sign)\(size)ns"
    case ..<1_000_000: return sign + Self.decimal(size, 1_000) + "\u{b5}s"
    case ..<1_000_000_000: return sign + Self.decimal(size, 1_000_000) + "ms"
    default: break
    }
    let minutes = size / 60_000_000_000
    let rest = Self.decimal(size % 60_000_000_000, 1_000_000_000) + "s"
    if minutes == 0 { return sign + rest }
    return minutes < 60
      ? "\(sign)\(minutes)m\(rest)" : "\(sign)\(minutes / 60)h\(minutes % 60)m\(rest)"
  }

  /// `value / unit` in decimal without trailing zeros; `unit` is a power of ten.
  private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
    var (fraction, scale) = (value % unit, unit)
    guard fraction != 0 else { return String(value / unit) }
    while fraction % 10 == 0 { (fraction, scale) = (fraction / 10, scale / 10) }
    // A one in front keeps the zeros that come first.
    return "\(value / unit)." + String(scale + fraction).dropFirst()
  }
}
