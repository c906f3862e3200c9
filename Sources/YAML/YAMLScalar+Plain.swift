import GoText

extension YAMLScalar {
  /// What a scalar without quotes and tag means, by the rules of YAML 1.1 as Go's yaml.v2 has them.
  ///
  /// - Source: yaml.v2 `resolve.go`; a date stays text, as for Go programs that turn YAML into JSON.
  static func plain(_ text: String) -> YAMLScalar {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
      return .bool(true)
    case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
      return .bool(false)
    case ".nan", ".NaN", ".NAN": return .number(.nan)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .number(.infinity)
    case "-.inf", "-.Inf", "-.INF": return .number(-.infinity)
    default: break
    }
    guard let first = text.utf8.first, isNumberStart(first) else { return .text(text) }
    let digits = text.split(separator: "_", omittingEmptySubsequences: true).joined()
    return integer(digits) ?? float(digits) ?? .text(text)
  }

  private static func isNumberStart(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || [UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: ".")].contains(byte)
  }

  /// With Go's prefixes of bases; a sign stands before them.
  private static func integer(_ text: String) -> YAMLScalar? {
    let isNegative = text.hasPrefix("-")
    let magnitude = isNegative || text.hasPrefix("+") ? String(text.dropFirst()) : text
    guard let value = try? GoNumber.unsigned(magnitude) else { return nil }
    return .integer(value, isNegative: isNegative)
  }

  /// `[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?`, of which Swift's reader takes more.
  private static func float(_ text: String) -> YAMLScalar? {
    var rest = text.utf8[...]
    func digits() -> Int {
      let found = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
      rest = rest.dropFirst(found)  // checked: so many were just seen
      return found
    }
    func take(_ letters: [UInt8]) -> Bool {
      guard let first = rest.first, letters.contains(first) else { return false }
      rest = rest.dropFirst()
      return true
    }
    _ = take([UInt8(ascii: "-"), UInt8(ascii: "+")])
    let whole = digits()
    let hasPoint = take([UInt8(ascii: ".")])
    let fraction = hasPoint ? digits() : 0
    guard whole > 0 || fraction > 0 else { return nil }
    if take([UInt8(ascii: "e"), UInt8(ascii: "E")]) {
      _ = take([UInt8(ascii: "-"), UInt8(ascii: "+")])
      guard digits() > 0 else { return nil }
    }
    guard rest.isEmpty else { return nil }
    return Double(text).map(YAMLScalar.number)
  }
}
