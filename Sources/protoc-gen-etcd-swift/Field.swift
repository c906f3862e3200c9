/// A field with everything decided that its Swift depends on.
struct Field {
  enum Kind {
    case varint
    case bytes
    /// `checked`: whether ill-formed UTF-8 is an error (proto3).
    case string(checked: Bool)
    case message
  }

  enum Presence {
    /// Written unless it has the default value.
    case implicit
    /// Always written.
    case required
    /// `nil` or written.
    case optional
    case repeated(packed: Bool)
    /// A case of the oneof with this index.
    case oneof(Int)
  }

  let number: UInt32
  let protoName: String
  let jsonName: String
  /// Name of the property or oneof case, in backticks when it needs them.
  let name: String
  let kind: Kind
  let presence: Presence
  /// Type of one value.
  let elementType: String
  /// Default of one value.
  let elementDefault: String
  let path: [Int32]

  var isMessage: Bool { if case .message = kind { true } else { false } }

  init(
    _ field: FieldDescriptor, proto3: Bool, schema: Schema, path: [Int32]
  ) throws(GeneratorError) {
    number = field.number
    protoName = field.name
    jsonName = field.jsonName
    name = Naming.escaped(Naming.field(field.name))
    self.path = path
    (kind, elementType, elementDefault) = try Field.type(of: field, proto3, schema)
    presence = Field.presence(of: field, kind, proto3)
  }

  private static func type(
    of field: FieldDescriptor, _ proto3: Bool, _ schema: Schema
  ) throws(GeneratorError) -> (Kind, String, String) {
    switch field.type {
    case 3: return (.varint, "Int64", "0")
    case 4: return (.varint, "UInt64", "0")
    case 5: return (.varint, "Int32", "0")
    case 8: return (.varint, "Bool", "false")
    case 9: return (.string(checked: proto3), "String", "\"\"")
    case 11: return (.message, try schema.swiftName(field.typeName), ".init()")
    case 12: return (.bytes, "Bytes", "Bytes()")
    case 13: return (.varint, "UInt32", "0")
    case 14:
      let type = try schema.swiftName(field.typeName)
      return (.varint, type, schema.enumDefaults[field.typeName] ?? ".init(rawValue: 0)")
    default:
      throw GeneratorError(message: "field \(field.name): type \(field.type) is not supported")
    }
  }

  private static func presence(
    of field: FieldDescriptor, _ kind: Kind, _ proto3: Bool
  ) -> Presence {
    if field.label == 3 {
      if case .varint = kind { return .repeated(packed: field.options.packed ?? proto3) }
      return .repeated(packed: false)
    }
    if field.label == 2 { return .required }
    if let index = field.oneofIndex, !field.proto3Optional { return .oneof(Int(index)) }
    switch kind {
    case .message: return .optional
    case .varint: return proto3 && !field.proto3Optional ? .implicit : .optional
    // An optional proto2 byte string is written when it is not empty, as Go's nil slices are.
    case .bytes, .string: return field.proto3Optional ? .optional : .implicit
    }
  }

  /// Type and default of the property; not for cases of a oneof.
  var property: (type: String, value: String) {
    switch presence {
    case .repeated: ("[\(elementType)]", "[]")
    case .optional: ("\(elementType)?", "nil")
    case .implicit, .required, .oneof: (elementType, elementDefault)
    }
  }

  /// Bytes of the field's key.
  var tagSize: Int { [1 << 4, 1 << 11, 1 << 18, 1 << 25].count { number >= $0 } + 1 }
}
