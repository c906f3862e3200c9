import Bytes

/// Numbers as Go's `strconv` reads them, for flags whose errors users know.
public enum GoNumber {
  /// Why a number was refused.
  public enum Failure: Error { case syntax, range }

  /// Reads a boolean as `strconv.ParseBool`.
  public static func bool(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }

  /// The words of `strconv` for a text that one of its functions refused.
  public static func refusal(_ why: Failure, of text: String, by function: String) -> String {
    "strconv.\(function): parsing \(GoQuote.text(text)): "
      + (why == .syntax ? "invalid syntax" : "value out of range")
  }

  /// Reads an unsigned integer as `strconv.ParseUint(text, 0, bits)`.
  public static func unsigned(_ text: String, max: UInt64 = .max) throws(Failure) -> UInt64 {
    guard !text.isEmpty else { throw .syntax }
    let value = try magnitude(text)
    guard value <= max else { throw .range }
    return value
  }

  /// Reads a signed integer as `strconv.ParseInt(text, 0, 64)`.
  public static func signed(_ text: String) throws(Failure) -> Int64 {
    guard let first = text.utf8.first else { throw .syntax }
    let isNegative = first == UInt8(ascii: "-")
    let digits = isNegative || first == UInt8(ascii: "+") ? String(text.dropFirst()) : text
    let value = try magnitude(digits)
    if isNegative {
      guard value <= UInt64(Int64.max) + 1 else { throw .range }
      return Int64(truncatingIfNeeded: 0 &- value)
    }
    guard value <= UInt64(Int64.max) else { throw .range }
    return Int64(value)  // checked: see the line above
  }

  /// Digits with Go's base prefixes and underscores.
  private static func magnitude(_ text: String) throws(Failure) -> UInt64 {
    var digits = Array(text.utf8)
    var base: UInt64 = 10
    var hasPrefix = false
    if digits.count > 1 && digits[0] == UInt8(ascii: "0") {
      hasPrefix = true
      switch digits[1] | 0x20 {
      case UInt8(ascii: "x"): (base, digits) = (16, Array(digits.dropFirst(2)))
      case UInt8(ascii: "b"): (base, digits) = (2, Array(digits.dropFirst(2)))
      case UInt8(ascii: "o"): (base, digits) = (8, Array(digits.dropFirst(2)))
      default: (base, digits) = (8, Array(digits.dropFirst()))
      }
    }
    guard !digits.isEmpty else { throw .syntax }
    var value: UInt64 = 0
    var overflowed = false
    var previousIsDigit = hasPrefix
    for byte in digits {
      if byte == UInt8(ascii: "_") {
        guard previousIsDigit else { throw .syntax }
        previousIsDigit = false
        continue
      }
      guard let digit = byte.hexValue, digit < base else { throw .syntax }
      previousIsDigit = true
      let (product, high) = value.multipliedReportingOverflow(by: base)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))  // checked: below 16
      overflowed = overflowed || high || carry
      value = sum
    }
    guard previousIsDigit else { throw .syntax }
    guard !overflowed else { throw .range }
    return value
  }
}
