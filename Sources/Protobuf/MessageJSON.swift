import Bytes
import JSON

/// Writes the members of nested JSON objects.
public struct MessageJSONWriter: ~Copyable {
  /// How values are written.
  public let options: JSONOptions
  private var out = ByteWriter(capacity: 256)
  /// Whether the innermost object has no member yet.
  private var first = true

  /// A writer that has written nothing.
  public init(_ options: JSONOptions) { self.options = options }

  /// The text written.
  public consuming func finish() -> Bytes { out.finish() }

  /// A member without presence: left out when it has the default value.
  public mutating func field(_ name: StaticString, _ value: some JSONField) {
    if !value.isJSONDefault { always(name, value) }
  }

  /// A member with presence.
  public mutating func field<T: JSONField>(_ name: StaticString, _ value: T?) {
    if let value { always(name, value) }
  }

  /// A repeated member: left out when it is empty.
  public mutating func field<T: JSONField>(_ name: StaticString, _ values: [T]) {
    guard !values.isEmpty else { return }
    member(name)
    out.append(UInt8(ascii: "["))
    for index in values.indices {
      if index > 0 { out.append(UInt8(ascii: ",")) }
      values[index].writeJSONField(to: &self)
    }
    out.append(UInt8(ascii: "]"))
  }

  /// A member that is written whatever its value is.
  public mutating func always(_ name: StaticString, _ value: some JSONField) {
    member(name)
    value.writeJSONField(to: &self)
  }

  private mutating func member(_ name: StaticString) {
    out.append(first ? "\"" : ",\"")
    first = false
    out.append(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    out.append("\":")
  }

  /// An object with the members of `message`.
  mutating func object(_ message: some ProtobufMessage) {
    out.append(UInt8(ascii: "{"))
    let outer = first
    first = true
    message.writeJSON(to: &self)
    first = outer
    out.append(UInt8(ascii: "}"))
  }

  mutating func write(raw text: String) { out.append(text) }

  mutating func write(wide digits: String) {
    out.append(options.int64AsNumber ? digits : "\"" + digits + "\"")
  }

  mutating func write(string: String) {
    JSONWriter.write(string, to: &out, escapeHTML: options.escapeHTML)
  }

  mutating func write(base64 bytes: Bytes) {
    out.append(UInt8(ascii: "\""))
    Base64.standard.write(bytes, to: &out)
    out.append(UInt8(ascii: "\""))
  }
}

extension ProtobufMessage {
  /// The message as compact JSON.
  public func json(options: JSONOptions = JSONOptions()) -> Bytes {
    var writer = MessageJSONWriter(options)
    writer.object(self)
    return writer.finish()
  }

  /// Reads the message from one JSON object.
  /// - Throws: `JSONError` for malformed JSON and for values that do not fit their field.
  public init(json bytes: Bytes, options: JSONOptions = JSONOptions()) throws(JSONError) {
    let value = try JSONParser.parse(bytes, limits: options.limits)
    try self.init(jsonField: value, options: options)
  }

  /// Reads the message from a JSON object; members that are null count as missing, and null itself is a
  /// message without fields. Of members of one name the last counts.
  public init(jsonField value: JSONValue, options: JSONOptions) throws(JSONError) {
    self.init()
    if value.isNull { return }
    guard let object = value.object else {
      throw JSONError.mismatch(value, "map[string]json.RawMessage")
    }
    for (index, member) in object.members.enumerated()
    where !member.value.isNull && !object.isRepeated(after: index) {
      try merge(jsonField: member.name, member.value, options: options)
    }
  }

  public func writeJSONField(to json: inout MessageJSONWriter) { json.object(self) }

  public var isJSONDefault: Bool { self == Self() }
}

extension JSONObject {
  /// Members of an object that is looked through for names that come again; in a larger one, which no message
  /// needs, a value counts until another takes its place.
  private static let comparedMax = 64

  fileprivate func isRepeated(after index: Int) -> Bool {
    members.count <= Self.comparedMax
      && members[(index + 1)...].contains { $0.name == members[index].name }
  }
}

/// Helpers of generated `merge(jsonField:_:options:)`.
public enum MessageJSON {
  /// The elements of a repeated field.
  public static func array<T: JSONField>(
    _ value: JSONValue, options: JSONOptions
  ) throws(JSONError) -> [T] {
    guard let values = value.array else {
      throw JSONError.mismatch(value, "[]json.RawMessage")
    }
    var elements: [T] = []
    elements.reserveCapacity(values.count)
    for value in values { elements.append(try T(jsonField: value, options: options)) }
    return elements
  }

  /// A name that the message does not have.
  /// - Throws: `unknownField` when the options ask for it.
  public static func unknown(_ name: String, options: JSONOptions) throws(JSONError) {
    if options.rejectUnknown { throw JSONError(.unknownField, "unknown field \"\(name)\"") }
  }
}
