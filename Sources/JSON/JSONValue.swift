import Bytes

/// A JSON text as a tree (RFC 8259).
public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// The number as it is written, so that 64-bit integers lose nothing.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// What it is, in the words of Go's encoding/json.
  public var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "bool"
    case .number: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }
}

/// Members of a JSON object in the order of the text; names may repeat, the last one counts.
public struct JSONObject: Hashable, Sendable {
  /// One name and value.
  public struct Member: Hashable, Sendable {
    public var name: String
    public var value: JSONValue

    public init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Members as they are written.
  public var members: [Member]

  public init(_ members: [Member] = []) { self.members = members }

  /// The last value with this name; setting replaces it or appends, `nil` removes every one.
  public subscript(name: String) -> JSONValue? {
    get { members.last { $0.name == name }?.value }
    set {
      guard let newValue else {
        members.removeAll { $0.name == name }
        return
      }
      if let index = members.lastIndex(where: { $0.name == name }) {
        members[index].value = newValue
      } else {
        members.append(Member(name, newValue))
      }
    }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self.init(elements.map { Member($0.0, $0.1) })
  }
}

extension JSONValue {
  /// An integer as a JSON number.
  public static func integer(_ value: some FixedWidthInteger) -> JSONValue {
    .number(String(value))
  }

  /// The member of an object; `nil` for other values and unknown names.
  public subscript(name: String) -> JSONValue? { object?[name] }

  /// Whether the value is null, as opposed to a missing member.
  public var isNull: Bool { self == .null }

  /// The value when it is true or false.
  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The value when it is a string.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The elements when the value is an array.
  public var array: [JSONValue]? {
    if case .array(let value) = self { value } else { nil }
  }

  /// The members when the value is an object.
  public var object: JSONObject? {
    if case .object(let value) = self { value } else { nil }
  }

  /// The number when it is written as an integer and fits; `1.0` and `1e3` are none, as in Go.
  public func integer<T: FixedWidthInteger>(as: T.Type = T.self) -> T? {
    if case .number(let text) = self { JSONNumber.integer(text) } else { nil }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .number(String(value)) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(elements.map { JSONObject.Member($0.0, $0.1) }))
  }
}
