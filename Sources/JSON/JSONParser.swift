import Bytes

/// Bounds on a JSON text from outside.
public struct JSONLimits: Hashable, Sendable {
  /// Nesting of arrays and objects.
  public var depth: Int
  /// Length of the text in bytes.
  public var bytes: Int

  /// The defaults hold for requests: 256 levels and 64 MiB.
  public init(depth: Int = 256, bytes: Int = 64 << 20) {
    self.depth = depth
    self.bytes = bytes
  }
}

/// A strict RFC 8259 parser over a slice; hands out concatenated values one by one.
///
/// Recursion is bounded by `JSONLimits.depth`.
public struct JSONParser: Sendable {
  private let bytes: Bytes
  private let limits: JSONLimits
  /// Position of the next byte to read.
  public private(set) var position = 0

  /// A parser at the start of `bytes`.
  public init(_ bytes: Bytes, limits: JSONLimits = JSONLimits()) {
    self.bytes = bytes
    self.limits = limits
  }

  /// The one value of a text.
  /// - Throws: `JSONError`, also for anything but white space behind the value.
  public static func parse(
    _ bytes: Bytes, limits: JSONLimits = JSONLimits()
  ) throws(JSONError) -> JSONValue {
    var parser = JSONParser(bytes, limits: limits)
    guard let value = try parser.next() else {
      throw JSONError(.unexpectedEnd, offset: bytes.count, "unexpected end of JSON input")
    }
    parser.skipSpace()
    guard parser.position == bytes.count else {
      throw parser.unexpected("after top-level value")
    }
    return value
  }

  /// The next value of a sequence of concatenated values; `nil` when only white space is left.
  public mutating func next() throws(JSONError) -> JSONValue? {
    guard bytes.count <= limits.bytes else {
      throw JSONError(.tooLarge, offset: limits.bytes, "JSON input too large")
    }
    skipSpace()
    return position == bytes.count ? nil : try value(depth: 0)
  }

  /// The byte that is next fits nowhere, in the words of Go's encoding/json.
  private func unexpected(_ place: String) -> JSONError {
    guard let byte = peek else {
      return JSONError(.unexpectedEnd, offset: position, "unexpected end of JSON input")
    }
    return JSONError(
      .syntax, offset: position, "invalid character \(Self.quoted(byte)) \(place)")
  }

  /// How 7 to 13 are written.
  private static let escapes = ["a", "b", "t", "n", "v", "f", "r"]

  /// A byte as Go quotes the character of that number.
  private static func quoted(_ byte: UInt8) -> String {
    switch byte {
    case UInt8(ascii: "'"): return "'\\''"
    case UInt8(ascii: "\\"): return "'\\\\'"
    case 7...13: return "'\\" + Self.escapes[Int(truncatingIfNeeded: byte) - 7] + "'"
    case 0..<0x20, 0x7f, 0x80..<0xa0, 0xad:
      let digits = String(byte, radix: 16)
      let padded = String(repeating: "0", count: 2 - digits.count) + digits
      return byte < 0x80 ? "'\\x\(padded)'" : "'\\u00\(padded)'"
    default: return "'\(Unicode.Scalar(byte))'"
    }
  }

  private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
      position += 1
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth < limits.depth else {
      throw JSONError(.tooDeep, offset: position, "JSON nested too deep")
    }
    switch peek {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  private mutating func literal(
    _ text: StaticString, _ value: JSONValue
  ) throws(JSONError) -> JSONValue {
    for byte in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) {
      guard take(byte) else {
        throw unexpected("in literal \(text) (expecting '\(Unicode.Scalar(byte))')")
      }
    }
    return value
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
    position += 1
    var values: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return .array(values) }
    while true {
      skipSpace()
      values.append(try value(depth: depth + 1))
      skipSpace()
      if take(UInt8(ascii: "]")) { return .array(values) }
      guard take(UInt8(ascii: ",")) else { throw unexpected("after array element") }
    }
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
    position += 1
    var members: [JSONObject.Member] = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return .object(JSONObject(members)) }
    while true {
      skipSpace()
      guard peek == UInt8(ascii: "\"") else {
        throw unexpected("looking for beginning of object key string")
      }
      let name = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw unexpected("after object key") }
      skipSpace()
      members.append(JSONObject.Member(name, try value(depth: depth + 1)))
      skipSpace()
      if take(UInt8(ascii: "}")) { return .object(JSONObject(members)) }
      guard take(UInt8(ascii: ",")) else { throw unexpected("after object key:value pair") }
    }
  }

  /// - Parameter place: what is said when there is none.
  private mutating func digits(_ place: String) throws(JSONError) {
    let start = position
    while let byte = peek, byte >= 0x30, byte <= 0x39 { position += 1 }
    if position == start { throw unexpected(place) }
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = position
    let place =
      take(UInt8(ascii: "-")) ? "in numeric literal" : "looking for beginning of value"
    if !take(UInt8(ascii: "0")) { try digits(place) }
    if take(UInt8(ascii: ".")) { try digits("after decimal point in numeric literal") }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
      try digits("in exponent of numeric literal")
    }
    return .number(bytes[start..<position].string)
  }
}

extension JSONParser {
  /// A string: runs without escapes are taken whole.
  private mutating func string() throws(JSONError) -> String {
    position += 1
    var text = ""
    var start = position
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        text += try utf8(start..<position)
        position += 1
        return text
      case UInt8(ascii: "\\"):
        text += try utf8(start..<position)
        position += 1
        text.unicodeScalars.append(try escape())
        start = position
      case 0..<0x20: throw unexpected("in string literal")
      default: position += 1
      }
    }
    throw unexpected("in string literal")
  }

  private func utf8(_ range: Range<Int>) throws(JSONError) -> String {
    if range.isEmpty { return "" }
    guard let text = bytes[range].withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw JSONError(.invalidUTF8, offset: range.lowerBound, "invalid UTF-8 in JSON string")
    }
    return text
  }

  private mutating func escape() throws(JSONError) -> Unicode.Scalar {
    guard let byte = peek else { throw unexpected("in string escape code") }
    let plain: Unicode.Scalar
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain = Unicode.Scalar(byte)
    case UInt8(ascii: "b"): plain = "\u{8}"
    case UInt8(ascii: "f"): plain = "\u{c}"
    case UInt8(ascii: "n"): plain = "\n"
    case UInt8(ascii: "r"): plain = "\r"
    case UInt8(ascii: "t"): plain = "\t"
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw unexpected("in string escape code")
    }
    position += 1
    return plain
  }

  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let start = position
    let first = try hex4()
    if let scalar = Unicode.Scalar(first) { return scalar }
    if first < 0xdc00, take(UInt8(ascii: "\\")), peek == UInt8(ascii: "u") {
      let second = try hex4()
      if second & 0xfc00 == 0xdc00,
        let scalar = Unicode.Scalar(0x10000 + (first & 0x3ff) << 10 + second & 0x3ff)
      {
        return scalar
      }
    }
    if position >= bytes.count { throw unexpected("in string literal") }
    throw JSONError(.invalidUTF8, offset: start, "unpaired surrogate in JSON string")
  }

  /// Reads `uXXXX`.
  private mutating func hex4() throws(JSONError) -> UInt32 {
    position += 1
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = byte.hexValue else {
        throw unexpected("in \\u hexadecimal character escape")
      }
      value = value << 4 | UInt32(truncatingIfNeeded: digit)
      position += 1
    }
    return value
  }
}
