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
