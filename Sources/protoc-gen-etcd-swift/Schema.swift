/// Input that the generator has no Swift for.
struct GeneratorError: Error {
  var message: String
}

/// All files of a request: Swift names by full name in the .proto files.
struct Schema {
  /// `.etcdserverpb.RangeRequest` → `Etcdserverpb.RangeRequest`.
  private(set) var swiftNames: [String: String] = [:]
  /// Swift expression of the default value of an enum type.
  private(set) var enumDefaults: [String: String] = [:]

  init(_ files: [FileDescriptor]) {
    for file in files {
      let proto = "." + file.package
      let swift = Naming.namespace(file.package)
      for message in file.messages { add(message, proto, swift) }
      for type in file.enums { add(type, proto, swift) }
    }
  }

  private mutating func add(_ message: MessageDescriptorProto, _ proto: String, _ swift: String) {
    let proto = proto + "." + message.name
    let swift = swift + "." + Naming.type(message.name)
    swiftNames[proto] = swift
    for nested in message.messages { add(nested, proto, swift) }
    for type in message.enums { add(type, proto, swift) }
  }

  private mutating func add(_ type: EnumDescriptor, _ proto: String, _ swift: String) {
    let name = proto + "." + type.name
    swiftNames[name] = swift + "." + Naming.type(type.name)
    enumDefaults[name] = Naming.enumCases(type.values.map(\.name)).first.map { "." + $0 }
  }

  func swiftName(_ proto: String) throws(GeneratorError) -> String {
    guard let name = swiftNames[proto] else {
      throw GeneratorError(message: "unknown type \(proto)")
    }
    return name
  }
}
