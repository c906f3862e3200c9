import Bytes

/// Texts as Go's `fmt` and `strconv` write and read them, for flags whose errors users know.
package enum GoText {
  /// A string as `%q` writes it.
  package static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{7}": out += "\\a"
      case "\u{8}": out += "\\b"
      case "\u{c}": out += "\\f"
      case "\u{b}": out += "\\v"
      case "\u{0}"..<" ", "\u{7f}":
        let hex = String(scalar.value, radix: 16)
        out += "\\x" + (hex.count == 1 ? "0" : "") + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  /// A list of strings as `%q` writes it: `["a" "b"]`.
  static func quoted(_ texts: [String]) -> String {
    "[" + texts.map { quoted($0) }.joined(separator: " ") + "]"
  }

  /// Reads a boolean as `strconv.ParseBool`.
  package static func bool(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }

  /// Why a number was refused.
  package enum NumberError: Error { case syntax, range }

  /// Reads an unsigned integer as `strconv.ParseUint(text, 0, bits)`.
  package static func unsigned(_ text: String, max: UInt64 = .max) throws(NumberError) -> UInt64 {
    guard !text.isEmpty else { throw .syntax }
    let value = try magnitude(text)
    guard value <= max else { throw .range }
    return value
  }

  /// Reads a signed integer as `strconv.ParseInt(text, 0, 64)`.
  package static func signed(_ text: String) throws(NumberError) -> Int64 {
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
  private static func magnitude(_ text: String) throws(NumberError) -> UInt64 {
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
