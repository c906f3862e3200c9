import Bytes

/// Metadata of a call: names in lower case, values as they are meant. A name that ends in `-bin`
/// has any bytes as its value (base64 on the wire); others printable ASCII.
public struct Metadata: Sendable, ExpressibleByDictionaryLiteral {
  public struct Field: Sendable, Equatable {
    public let name: Bytes
    public let value: Bytes

    public init(name: Bytes, value: Bytes) {
      self.name = name
      self.value = value
    }

    /// Whether it is the same field in the same memory.
    public func isIdentical(to other: Field) -> Bool {
      name.isIdentical(to: other.name) && value.isIdentical(to: other.value)
    }
  }

  public private(set) var fields: [Field] = []

  public init() {}
  public init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { add(name, value) }
  }

  public var isEmpty: Bool { fields.isEmpty }

  public mutating func add(_ name: String, _ value: String) { add(name, Bytes(value)) }

  public mutating func add(_ name: String, _ value: Bytes) {
    fields.append(Field(name: Bytes(name.lowercased()), value: value))
  }

  /// Adds a field whose name is in lower case already.
  public mutating func append(_ field: Field) { fields.append(field) }

  /// Drops all but the first fields.
  public mutating func keepFirst(_ count: Int) { fields.removeSubrange(count...) }

  /// The first value of a name in lower case.
  public func first(_ name: Bytes) -> Bytes? { fields.first { $0.name == name }?.value }

  /// The first value as text.
  public subscript(name: String) -> String? { first(Bytes(name))?.string }

  public func all(_ name: Bytes) -> [Bytes] { fields.filter { $0.name == name }.map(\.value) }

  static let binarySuffix: Bytes = "-bin"

  /// Whether values of a name may be any bytes.
  public static func isBinary(_ name: Bytes) -> Bool {
    name.count > 4 && name[(name.count - 4)..<name.count] == binarySuffix
  }

  /// Names that belong to the protocol and may not be set by an application.
  public static func isReserved(_ name: Bytes) -> Bool {
    name.isEmpty || name[0] == 0x3a || name.hasPrefix("grpc-") || name == "content-type"
      || name == "te" || name == "connection" || name == "user-agent"
  }
}
