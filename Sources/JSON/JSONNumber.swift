/// Exact integers from JSON numbers.
public enum JSONNumber {
  /// The value of a JSON number that is an integer of type `T`, however it is written.
  ///
  /// `nil` for fractions, for values out of range and for text that is no JSON number.
  public static func integer<T: FixedWidthInteger>(_ text: String) -> T? {
    if let value = plain(text, as: T.self) { return value }
    guard let parts = split(text) else { return nil }
    var digits = parts.digits
    var exponent = parts.exponent
    while exponent < 0 {
      guard let last = digits.last, last == 0 else { return digits.isEmpty ? 0 : nil }
      digits.removeLast()
      exponent += 1
    }
    var value: T = 0
    for index in 0..<(digits.count + exponent) {
      let digit = T(index < digits.count ? digits[index] : 0)
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (next, over) =
        parts.negative
        ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
      if overflow || over { return nil }
      value = next
    }
    return value
  }

  /// Optional minus and digits only: the usual case.
  private static func plain<T: FixedWidthInteger>(_ text: String, as: T.Type) -> T? {
    guard let first = text.utf8.first, first != UInt8(ascii: "+") else { return nil }
    let digits = first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
    if digits.first == UInt8(ascii: "0"), digits.count > 1 { return nil }
    return T(text)
  }

  /// Digits without leading zeros and the power of ten that multiplies them.
  private static func split(
    _ text: String
  ) -> (negative: Bool, digits: [UInt8], exponent: Int)? {
    var scanner = NumberScanner(text)
    guard let number = scanner.scan() else { return nil }
    var digits = Array(number.digits.drop { $0 == 0 })
    var exponent = number.exponent
    while digits.last == 0 {
      digits.removeLast()
      exponent += 1
    }
    if digits.isEmpty { return (false, [], 0) }
    // 2^64 has 20 digits: whatever is longer is out of range, whatever is shorter is a fraction.
    guard exponent >= 0 else { return (number.negative, digits, -1) }
    return digits.count + exponent > 20 ? nil : (number.negative, digits, exponent)
  }
}

/// The grammar of a JSON number.
private struct NumberScanner {
  private var rest: Substring.UTF8View
  init(_ text: String) { rest = text.utf8[...] }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard rest.first == byte else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func takeDigits() -> [UInt8] {
    var digits: [UInt8] = []
    while let byte = rest.first, byte >= 0x30, byte <= 0x39 {
      digits.append(byte - 0x30)
      rest.removeFirst()
    }
    return digits
  }

  mutating func scan() -> (negative: Bool, digits: [UInt8], exponent: Int)? {
    let negative = take(UInt8(ascii: "-"))
    var digits = takeDigits()
    guard !digits.isEmpty, digits.count == 1 || digits[0] != 0 else { return nil }
    var exponent = 0
    if take(UInt8(ascii: ".")) {
      let fraction = takeDigits()
      guard !fraction.isEmpty else { return nil }
      digits += fraction
      exponent = -fraction.count
    }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      let minus = take(UInt8(ascii: "-"))
      if !minus { _ = take(UInt8(ascii: "+")) }
      let power = takeDigits()
      guard !power.isEmpty else { return nil }
      // Exponents beyond a million are out of range anyhow; the bound keeps the sum in an Int.
      let size = power.reduce(0) { min($0 * 10 + Int($1), 1_000_000) }
      exponent += minus ? -size : size
    }
    return rest.isEmpty ? (negative, digits, exponent) : nil
  }
}
