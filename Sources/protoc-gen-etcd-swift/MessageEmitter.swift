/// Writes the struct of one message.
struct MessageEmitter {
  /// A stored property: a field of its own or a oneof.
  private struct Property {
    var name: String
    var type: String
    var value: String
    var path: [Int32]?
    var protoName: String
  }

  private let message: MessageDescriptorProto
  private let fullName: String
  private let fields: [Field]
  private let nested: [MessageEmitter]
  private let enums: [EnumEmitter]
  private let comments: Comments
  private let path: [Int32]

  init(
    _ message: MessageDescriptorProto, in scope: String, file: FileContext, path: [Int32]
  ) throws(GeneratorError) {
    self.message = message
    self.path = path
    fullName = scope + "." + message.name
    comments = file.comments
    var fields: [Field] = []
    for (index, field) in message.fields.enumerated() {
      fields.append(
        try Field(
          field, proto3: file.proto3, schema: file.schema, path: path + [2, Int32(index)]))
    }
    self.fields = fields.sorted { $0.number < $1.number }
    var nested: [MessageEmitter] = []
    for (index, message) in message.messages.enumerated() {
      nested.append(
        try MessageEmitter(message, in: fullName, file: file, path: path + [3, Int32(index)]))
    }
    self.nested = nested
    let scope = fullName
    enums = message.enums.enumerated().map { index, type in
      EnumEmitter(type, in: scope, comments: file.comments, path: path + [4, Int32(index)])
    }
  }

  /// Property of the oneof that the field belongs to.
  private func oneof(_ field: Field) -> String? {
    guard case .oneof(let index) = field.presence else { return nil }
    return Naming.escaped(Naming.field(message.oneofs[index].name))
  }

  private func cases(ofOneof index: Int) -> [Field] {
    fields.filter { if case .oneof(index) = $0.presence { true } else { false } }
  }

  /// Indices of the oneofs that are declared as such.
  private var oneofs: [Int] { message.oneofs.indices.filter { !cases(ofOneof: $0).isEmpty } }

  private func oneofType(_ index: Int) -> String {
    "OneOf_" + Naming.type(message.oneofs[index].name)
  }

  /// In field order; a oneof stands where its first case is.
  private var properties: [Property] {
    var seen: Set<Int> = []
    return fields.compactMap { field in
      guard case .oneof(let index) = field.presence else {
        let (type, value) = field.property
        return Property(
          name: field.name, type: type, value: value, path: field.path, protoName: field.protoName)
      }
      guard seen.insert(index).inserted else { return nil }
      let name = message.oneofs[index].name
      return Property(
        name: Naming.escaped(Naming.field(name)), type: oneofType(index) + "?", value: "nil",
        path: path + [8, Int32(index)], protoName: name)
    }
  }

  func emit(into source: inout SourceText) {
    source.doc(comments[path], "Message `\(fullName)`.")
    source.block("public struct \(Naming.type(message.name)): ProtobufMessage") { source in
      source.line("public static var fullName: String { \"\(fullName)\" }")
      for type in enums {
        source.line()
        type.emit(into: &source)
      }
      for message in nested {
        source.line()
        message.emit(into: &source)
      }
      for index in oneofs { emitOneof(index, into: &source) }
      emitProperties(into: &source)
      emitDecode(into: &source)
      emitSize(into: &source)
      emitEncode(into: &source)
      emitJSON(into: &source)
    }
  }

  private func emitOneof(_ index: Int, into source: inout SourceText) {
    source.line()
    source.doc(nil, "Cases of `\(message.oneofs[index].name)`.")
    let cases = cases(ofOneof: index)
    // Messages are large, and are passed on more often than they are made.
    let keyword = cases.contains(where: \.isMessage) ? "indirect enum" : "enum"
    source.block("public \(keyword) \(oneofType(index)): Hashable, Sendable") { source in
      for field in cases {
        source.doc(comments[field.path], "Field \(field.number), `\(field.protoName)`.")
        source.line("case \(field.name)(\(field.elementType))")
      }
    }
  }

  private func emitProperties(into source: inout SourceText) {
    source.line()
    for property in properties {
      source.doc(property.path.flatMap { comments[$0] }, "Field `\(property.protoName)`.")
      source.line("public var \(property.name): \(property.type) = \(property.value)")
    }
    if !properties.isEmpty { source.line() }
    source.line("public init() {}")
    guard !properties.isEmpty else { return }
    source.line()
    source.line("public init(")
    for (index, property) in properties.enumerated() {
      let comma = index + 1 < properties.count ? "," : ""
      source.line("  \(property.name): \(property.type) = \(property.value)\(comma)")
    }
    source.block(")") { source in
      for property in properties { source.line("self.\(property.name) = \(property.name)") }
    }
  }
}

extension MessageEmitter {
  private func emitDecode(into source: inout SourceText) {
    source.line()
    source.line("public mutating func merge(")
    source.line("  field number: UInt32, from reader: inout WireReader")
    source.block(") throws(ProtobufError)") { source in
      guard !fields.isEmpty else { return source.line("try reader.skip()") }
      source.line("switch number {")
      for field in fields {
        source.line("case \(field.number): \(field.decode(oneof: oneof(field)))")
      }
      source.line("default: try reader.skip()")
      source.line("}")
    }
  }

  private func emitSize(into source: inout SourceText) {
    source.line()
    source.block("public var encodedSize: Int") { source in
      guard !fields.isEmpty else { return source.line("0") }
      source.line("var size = 0")
      for field in fields where oneof(field) == nil {
        source.line("size += \(field.size(of: "self.\(field.name)"))")
      }
      for index in oneofs {
        source.line("switch self.\(Naming.escaped(Naming.field(message.oneofs[index].name))) {")
        for field in cases(ofOneof: index) {
          source.line("case .\(field.name)(let value)?: size += \(field.size(of: "value"))")
        }
        source.line("case nil: break")
        source.line("}")
      }
      source.line("return size")
    }
  }

  private func emitEncode(into source: inout SourceText) {
    source.line()
    source.block("public func write(to writer: inout WireWriter)") { source in
      for field in fields.reversed() { source.line(field.encode(oneof: oneof(field))) }
    }
  }

  private func emitJSON(into source: inout SourceText) {
    source.line()
    source.block("public func writeJSON(to json: inout MessageJSONWriter)") { source in
      for field in fields { source.line(field.writeJSON(oneof: oneof(field))) }
    }
    source.line()
    source.line("public mutating func merge(")
    source.line("  jsonField name: String, _ value: JSONValue, options: JSONOptions")
    source.block(") throws(JSONError)") { source in
      let unknown = "try MessageJSON.unknown(name, options: options)"
      guard !fields.isEmpty else { return source.line(unknown) }
      source.line("switch name {")
      for field in fields {
        source.line("case \(field.jsonPattern): \(field.readJSON(oneof: oneof(field)))")
      }
      source.line("default: \(unknown)")
      source.line("}")
    }
  }
}
