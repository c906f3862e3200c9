import Bytes

/// Writes JSON without white space.
public enum JSONWriter {
  /// Appends a value.
  public static func write(
    _ value: JSONValue, to out: inout ByteWriter, escapeHTML: Bool = false
  ) {
    switch value {
    case .null: out.append("null")
    case .bool(let value): out.append(value ? "true" : "false")
    case .number(let text): out.append(text)
    case .string(let text): write(text, to: &out, escapeHTML: escapeHTML)
    case .array(let values):
      out.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        write(value, to: &out, escapeHTML: escapeHTML)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let object):
      out.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        write(member.name, to: &out, escapeHTML: escapeHTML)
        out.append(UInt8(ascii: ":"))
        write(member.value, to: &out, escapeHTML: escapeHTML)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  /// Appends a quoted string.
  /// - Parameter escapeHTML: write `<`, `>`, `&`, U+2028 and U+2029 as `\u` escapes, as Go's
  ///   encoding/json does.
  public static func write(_ text: String, to out: inout ByteWriter, escapeHTML: Bool = false) {
    write(text, to: &out, escapeHTML, areControlsShort: true)
  }

  /// Appends a quoted string as zap writes it into a log: a backspace and a form feed are `\u0008` and
  /// `\u000c`.
  public static func writeForLog(_ text: String, to out: inout ByteWriter) {
    write(text, to: &out, false, areControlsShort: false)
  }

  private static func write(
    _ text: String, to out: inout ByteWriter, _ html: Bool, areControlsShort: Bool
  ) {
    var text = text
    out.append(UInt8(ascii: "\""))
    text.withUTF8 { utf8 in
      var start = 0
      var index = 0
      while index < utf8.count {
        let length = escapedLength(utf8, index, html)
        if length > 0 {
          out.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(utf8)[start..<index]))
          let scalar = length == 3 ? 0x2020 | UInt32(utf8[index + 2] & 0x0f) : UInt32(utf8[index])
          escape(scalar, areControlsShort, &out)
          start = index + length
        }
        index += max(length, 1)
      }
      out.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(utf8)[start...]))
    }
    out.append(UInt8(ascii: "\""))
  }

  /// Bytes of the character at `index` when it must be escaped, else 0.
  private static func escapedLength(
    _ utf8: UnsafeBufferPointer<UInt8>, _ index: Int, _ html: Bool
  ) -> Int {
    switch utf8[index] {
    case 0..<0x20, UInt8(ascii: "\""), UInt8(ascii: "\\"): 1
    case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"): html ? 1 : 0
    case 0xe2 where html && utf8[index + 1] == 0x80 && utf8[index + 2] & 0xfe == 0xa8: 3
    default: 0
    }
  }

  private static func escape(_ scalar: UInt32, _ isShort: Bool, _ out: inout ByteWriter) {
    out.append(UInt8(ascii: "\\"))
    switch scalar {
    case 0x22, 0x5c: out.append(UInt8(scalar))
    case 0x08 where isShort: out.append(UInt8(ascii: "b"))
    case 0x0c where isShort: out.append(UInt8(ascii: "f"))
    case 0x0a: out.append(UInt8(ascii: "n"))
    case 0x0d: out.append(UInt8(ascii: "r"))
    case 0x09: out.append(UInt8(ascii: "t"))
    default:
      out.append(UInt8(ascii: "u"))
      for shift in [12, 8, 4, 0] as [UInt32] {
        let digit = UInt8(scalar >> shift & 0xf)
        out.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      }
    }
  }
}

extension JSONValue {
  /// The value as compact JSON.
  public func encoded(escapeHTML: Bool = false) -> Bytes {
    var out = ByteWriter(capacity: 256)
    JSONWriter.write(self, to: &out, escapeHTML: escapeHTML)
    return out.finish()
  }

  /// The one value of a text.
  /// - Throws: `JSONError` for anything that is not exactly one JSON value.
  public static func parse(
    _ bytes: Bytes, limits: JSONLimits = JSONLimits()
  ) throws(JSONError) -> JSONValue {
    try JSONParser.parse(bytes, limits: limits)
  }
}
