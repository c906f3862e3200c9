import Bytes
import Protobuf

/// Bytes as a Go string literal, as `%q` prints them.
enum GoQuoted {
  static func text(_ bytes: Bytes) -> String {
    var result = "\""
    var rest = Array(bytes)[...]
    while let first = rest.first {
      if first < 0x80 {
        result += ascii(first)
        rest.removeFirst()
      } else if let scalar = leadingScalar(rest) {
        result += isPrintable(scalar) ? String(Character(scalar)) : escape(scalar)
        rest.removeFirst(UTF8.width(scalar))
      } else {
        result += "\\x" + padded(UInt32(first), 2)
        rest.removeFirst()
      }
    }
    return result + "\""
  }

  private static func ascii(_ byte: UInt8) -> String {
    switch byte {
    case 0x07: "\\a"
    case 0x08: "\\b"
    case 0x0c: "\\f"
    case 0x0a: "\\n"
    case 0x0d: "\\r"
    case 0x09: "\\t"
    case 0x0b: "\\v"
    case 0x22: "\\\""
    case 0x5c: "\\\\"
    case 0x20..<0x7f: String(Character(Unicode.Scalar(byte)))
    default: "\\x" + padded(UInt32(byte), 2)
    }
  }

  /// The code point at the front; `nil` when the bytes there are not well-formed UTF-8.
  private static func leadingScalar(_ bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
    var decoder = UTF8()
    var iterator = bytes.makeIterator()
    guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
    return scalar
  }

  /// Letters, marks, numbers, punctuation and symbols.
  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      false
    default: true
    }
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    scalar.value < 0x10000
      ? "\\u" + padded(scalar.value, 4) : "\\U" + padded(scalar.value, 8)
  }

  private static func padded(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
