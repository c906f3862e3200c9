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
  fileprivate init(jsonInteger value: JSONValue) throws(JSONError) {
    let text: String
    switch value {
    case .number(let number): text = number
    case .string(let string): text = string
    default: throw JSONError.mismatch("an integer")
    }
    guard let integer: Self = JSONNumber.integer(text) else {
      throw JSONError.mismatch("an integer of \(Self.bitWidth) bits")
    }
    self = integer
  }
}

extension Int64: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value)
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(wide: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension UInt64: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value)
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(wide: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension Int32: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value)
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(raw: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension UInt32: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    try self.init(jsonInteger: value)
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(raw: String(self)) }
  public var isJSONDefault: Bool { self == 0 }
}

extension Bool: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    guard let bool = value.bool else { throw JSONError.mismatch("true or false") }
    self = bool
  }
  public func writeJSONField(to json: inout MessageJSONWriter) {
    json.write(raw: self ? "true" : "false")
  }
  public var isJSONDefault: Bool { !self }
}

extension String: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    guard let string = value.string else { throw JSONError.mismatch("a string") }
    self = string
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(string: self) }
  public var isJSONDefault: Bool { isEmpty }
}

extension Bytes: JSONField {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    guard let string = value.string, let bytes = Base64.decodeAny(Bytes(string)) else {
      throw JSONError.mismatch("a base64 string")
    }
    self = bytes
  }
  public func writeJSONField(to json: inout MessageJSONWriter) { json.write(base64: self) }
  public var isJSONDefault: Bool { isEmpty }
}

extension ProtobufEnum {
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    if case .string(let name) = value {
      guard let known = Self(protoName: name) else {
        throw JSONError.mismatch("an enum name")
      }
      self = known
    } else {
      self.init(rawValue: try Int32(jsonInteger: value))
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
}
