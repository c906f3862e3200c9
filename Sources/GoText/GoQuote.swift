import Bytes

/// Texts as Go's `%q` writes them.
///
/// - Source: Go `strconv.Quote`.
public enum GoQuote {
  /// Bytes as a Go string literal; what is no UTF-8 appears as `\xff`.
  public static func text(_ bytes: Bytes) -> String {
    var out = "\""
    var rest = Array(bytes)[...]
    while let byte = rest.first {
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      if case .scalarValue(let scalar) = decoder.decode(&iterator) {
        rest = rest.dropFirst(UTF8.width(scalar))
        append(scalar, to: &out)
      } else {
        rest.removeFirst()
        out += "\\x" + hex(UInt32(byte), 2)  // checked: wider
      }
    }
    return out + "\""
  }

  /// A string as a Go string literal.
  public static func text(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars { append(scalar, to: &out) }
    return out + "\""
  }

  /// A list of strings: `["a" "b"]`.
  public static func list(_ texts: [String]) -> String {
    "[" + texts.map { text($0) }.joined(separator: " ") + "]"
  }

  private static func append(_ scalar: Unicode.Scalar, to out: inout String) {
    switch scalar {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case " "..."~": out.unicodeScalars.append(scalar)
    case "\u{7}": out += "\\a"
    case "\u{8}": out += "\\b"
    case "\u{c}": out += "\\f"
    case "\n": out += "\\n"
    case "\r": out += "\\r"
    case "\t": out += "\\t"
    case "\u{b}": out += "\\v"
    case "\u{0}"..<"\u{80}": out += "\\x" + hex(scalar.value, 2)
    default:
      if isPrintable(scalar) {
        out.unicodeScalars.append(scalar)
      } else {
        out += scalar.value < 0x10000 ? "\\u" + hex(scalar.value, 4) : "\\U" + hex(scalar.value, 8)
      }
    }
  }

  /// Letters, marks, numbers, punctuation and symbols; no space but that of ASCII.
  /// - Source: Go `strconv.IsPrint`.
  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      false
    default: true
    }
  }

  private static func hex(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
