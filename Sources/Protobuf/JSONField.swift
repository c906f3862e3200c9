import Bytes
import JSON

/// How messages are mapped to JSON. The default is the mapping of the HTTP gateway: names as in the
/// .proto file, 64-bit integers as strings, enums by name, default values left out.
public struct JSONOptions: Hashable, Sendable {
  /// Write 64-bit integers as numbers, as Go's encoding/json does.
  public var int64AsNumber: Bool
  /// Write enums as numbers, as Go's encoding/json does.
  public var enumAsNumber: Bool
  /// Write `<`, `>`, `&` in strings as `\u` escapes, as Go's encoding/json does.
  public var escapeHTML: Bool
  /// Reject member names that a message does not have instead of ignoring them.
  public var rejectUnknown: Bool
  /// Bounds on what is parsed.
  public var limits: JSONLimits

  /// The mapping of the gateway unless told otherwise.
  public init(
    int64AsNumber: Bool = false, enumAsNumber: Bool = false, escapeHTML: Bool = false,
    rejectUnknown: Bool = false, limits: JSONLimits = JSONLimits()
  ) {
    self.int64AsNumber = int64AsNumber
    self.enumAsNumber = enumAsNumber
    self.escapeHTML = escapeHTML
    self.rejectUnknown = rejectUnknown
    self.limits = limits
  }
}

/// A field type of a message, mapped to one JSON value.
public protocol JSONField: Sendable {
  /// Reads the value.
  /// - Throws: `JSONError` of kind `mismatch` when the JSON type or the range does not fit.
  init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError)
  /// Writes the value.
  func writeJSONField(to json: inout MessageJSONWriter)
  /// Whether the value is what a missing field reads as.
  var isJSONDefault: Bool { get }
}

extension FixedWidthInteger where Self: Sendable {
  /// Numbers and strings that hold a number.
  /// - Parameter type: the type in Go.
  fileprivate init(jsonInteger value: JSONValue, _ type: String) throws(JSONError) {
    switch value {
    case .null: self = 0
    case .number(let text):
      guard let integer: Self = JSONNumber.integer(text) else {
        throw JSONError.mismatch(number: text, type)
      }
      self = integer
    case .string(let text):
      if let integer: Self = JSONNumber.integer(text) {
        self = integer
        return
      }
      // What is between the quotes is a text of its own. Go looks one space beyond its end, and tells of that when a
      // number or a word is not complete.
      let inner: JSONValue
      do throws(JSONError) {
        inner = try JSONParser.parse(Bytes(text + " "), limits: .init(depth: 8))
      } catch {
        throw JSONError(.mismatch, error.detail)
      }
      guard inner.string == nil else { throw JSONError.mismatch(inner, type) }
      try self.init(jsonInteger: inner, type)
    default: throw JSONError.mismatch(value, type)
    }
  }
}

extension Int64: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value, "int64")
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(wide: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension UInt64: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value, "uint64")
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(wide: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension Int32: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value, "int32")
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(raw: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension UInt32: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value, "uint32")
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(raw: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension Bool: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    guard value.isNull || value.bool != nil else { throw JSONError.mismatch(value, "bool") }
    self = value.bool ?? false
  }
  public func writeJSONField(to json: inout MessageJSONWriter) {
    json.write(raw: self ? "true" : "false")
  }
  public var isJSONDefault: Bool { !self }
}

extension String: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    guard value.isNull || value.string != nil else { throw JSONError.mismatch(value, "string") }
    self = value.string ?? ""
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(string: self) }
  public var isJSONDefault: Bool { isEmpty }
}

extension Bytes: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    switch value {
    case .null: self = Bytes()
    case .string(let text):
      do throws(Base64.IllegalByte) { self = try Base64.decodeLines(Bytes(text)) } catch {
        throw JSONError(.mismatch, "illegal base64 data at input byte \(error.offset)")
      }
    case .array(let values):
      // As any list of numbers, too.
      var bytes: [UInt8] = []
      bytes.reserveCapacity(values.count)
      for value in values {
        if value.string != nil { throw JSONError.mismatch(value, "uint8") }
        bytes.append(try UInt8(jsonInteger: value, "uint8"))
      }
      self = Bytes(bytes)
    default: throw JSONError.mismatch(value, "[]uint8")
    }
  }

  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(base64: self) }
  public var isJSONDefault: Bool { isEmpty }
}

extension ProtobufEnum {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    if case .string(let name) = value {
      guard let known = Self(protoName: name) else {
        throw JSONError(
          .mismatch, "unknown value \(Self.quoted(Self.quoted(name))) for enum \(Self.fullName)")
      }
      self = known
    } else {
      self.init(rawValue: try Int32(jsonInteger: value, "protoreflect.EnumNumber"))
    }
  }
  public func writeJSONField(to json: inout MessageJSONWriter) {
    if let name = protoName, !json.options.enumAsNumber {
      json.write(string: name)
    } else {
      json.write(raw: String(rawValue))
    }
  }
  public var isJSONDefault: Bool { rawValue == 0 }

  private static func quoted(_ text: String) -> String { JSONValue.string(text).encoded().string }
}
