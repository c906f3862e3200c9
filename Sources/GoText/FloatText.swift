/// Numbers as Go's strconv writes them with the shortest digits that read back the same.
public enum FloatText {
  /// Decimal digits without zeros at the ends and the place of the point before them.
  private static func shortest(_ value: Double) -> (digits: [Character], point: Int) {
    var mantissa: [Character] = []
    var point = 0
    var exponent = 0
    var seenPoint = false
    let text = value.magnitude.description
    for (offset, character) in text.enumerated() {
      if character == "e" {
        // checked: the text is a Double's own description
        exponent = Int(text.dropFirst(offset + 1)) ?? 0
        break
      }
      if character == "." {
        seenPoint = true
      } else {
        mantissa.append(character)
        if !seenPoint { point += 1 }
      }
    }
    point += exponent
    while mantissa.first == "0" {
      mantissa.removeFirst()
      point -= 1
    }
    while mantissa.last == "0" { mantissa.removeLast() }
    return mantissa.isEmpty ? (["0"], 1) : (mantissa, point)
  }

  /// `FormatFloat(value, 'f', -1, 64)`; finite values.
  public static func fixed(_ value: Double) -> String {
    let (digits, point) = shortest(value)
    let sign = value.sign == .minus ? "-" : ""
    if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + String(digits) }
    if point >= digits.count {
      return sign + String(digits) + String(repeating: "0", count: point - digits.count)
    }
    return sign + String(digits[..<point]) + "." + String(digits[point...])
  }

  /// `FormatFloat(value, 'g', -1, 64)`, with Prometheus' spellings of the special values.
  public static func general(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    let (digits, point) = shortest(value)
    let exponent = point - 1
    guard exponent < -4 || exponent >= 6 else { return fixed(value) }
    let sign = value.sign == .minus ? "-" : ""
    let fraction = digits.count > 1 ? "." + String(digits[1...]) : ""
    let size = String(exponent.magnitude)
    return sign + String(digits[0]) + fraction + (exponent < 0 ? "e-" : "e+")
      + (size.count < 2 ? "0" : "") + size
  }
}
