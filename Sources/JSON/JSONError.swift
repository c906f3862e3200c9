/// Why a text is not JSON, or JSON is not the message asked for.
public struct JSONError: Error, Hashable, Sendable {
  /// What went wrong, for callers that react differently.
  public enum Kind: Hashable, Sendable {
    /// The text ends inside a value: more input could complete it.
    case unexpectedEnd
    /// A byte that the grammar does not allow.
    case syntax
    /// A string that is not well-formed UTF-8 or holds half a surrogate pair.
    case invalidUTF8
    /// Arrays and objects are nested deeper than the limit.
    case tooDeep
    /// The text has more bytes than the limit.
    case tooLarge
    /// A value of another type or out of range for its field.
    case mismatch
    /// A member name that the message does not have.
    case unknownField
  }

  public let kind: Kind
  /// Position in the text in bytes; -1 where a value, not a text, is judged.
  public let offset: Int
  /// What was expected.
  public let detail: String

  /// An error at byte `offset` of a text or, without one, about a value.
  public init(_ kind: Kind, offset: Int = -1, _ detail: String) {
    self.kind = kind
    self.offset = offset
    self.detail = detail
  }

  /// A value that does not fit a field, in the words of Go's encoding/json.
  /// - Parameter type: the field's type in Go.
  public static func mismatch(_ value: JSONValue, _ type: String) -> JSONError {
    JSONError(
      .mismatch, "json: cannot unmarshal \(value.kindName) into Go value of type \(type)")
  }

  /// A number that is out of range or no integer.
  public static func mismatch(number: String, _ type: String) -> JSONError {
    JSONError(.mismatch, "json: cannot unmarshal number \(number) into Go value of type \(type)")
  }
}

extension JSONError: CustomStringConvertible {
  public var description: String { offset < 0 ? detail : "\(detail) at offset \(offset)" }
}
