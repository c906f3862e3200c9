/// A value in a log line.
public enum LogValue: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByStringInterpolation
{
  case string(String)
  case int(Int)
  case uint(UInt64)
  case double(Double)
  case bool(Bool)
  /// Written as Go does: `1.234ms`.
  case duration(Duration)
  case strings([String])
  /// An error's description.
  case error(any Error)

  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
}

/// A named value of a log line.
public struct LogField: Sendable {
  public let key: String
  public let value: LogValue
  public init(_ key: String, _ value: LogValue) {
    self.key = key
    self.value = value
  }
}

/// Texts from outside, as far as a log wants them.
public enum LogText {
  /// Bytes of a text that a line repeats.
  public static let bytesMax = 128

  /// The beginning of a text whose length someone else chose, and how long it is.
  public static func shortened(_ text: String) -> String {
    guard text.utf8.count > bytesMax else { return text }
    return String(decoding: text.utf8.prefix(bytesMax), as: UTF8.self)
      + "… (\(text.utf8.count) bytes)"
  }
}

extension Duration {
  /// Go's `time.Duration.String()`: `1.5s`, `2m0.25s`, `300ms`, `1.234µs`, `0s`.
  public var goDescription: String {
    let (seconds, attoseconds) = components
    let total = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !total.overflow else { return "\(seconds)s" }
    let nanoseconds = total.partialValue + attoseconds / 1_000_000_000
    if nanoseconds == 0 { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let size = nanoseconds.magnitude
    if size < 1_000 { return "\(sign)\(size)ns" }
    if size < 1_000_000 { return sign + Self.decimal(size, 1_000) + "µs" }
    if size < 1_000_000_000 { return sign + Self.decimal(size, 1_000_000) + "ms" }
    let minutes = size / 60_000_000_000
    let rest = Self.decimal(size % 60_000_000_000, 1_000_000_000) + "s"
    if minutes == 0 { return sign + rest }
    return minutes < 60
      ? "\(sign)\(minutes)m\(rest)" : "\(sign)\(minutes / 60)h\(minutes % 60)m\(rest)"
  }

  /// `value / unit` in decimal without trailing zeros; `unit` is a power of ten.
  private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
    let rest = value % unit
    if rest == 0 { return String(value / unit) }
    var digits = String(rest)
    digits = String(repeating: "0", count: String(unit).count - 1 - digits.count) + digits
    while digits.hasSuffix("0") { digits.removeLast() }
    return "\(value / unit).\(digits)"
  }
}
