/// Writes one enum.
struct EnumEmitter {
  private let type: EnumDescriptor
  private let fullName: String
  private let comments: Comments
  private let path: [Int32]
  /// Case, name in the .proto file and number; aliases of a number are left to the first name.
  private let cases: [(name: String, value: EnumValueDescriptor, path: [Int32])]

  init(_ type: EnumDescriptor, in scope: String, comments: Comments, path: [Int32]) {
    self.type = type
    self.comments = comments
    self.path = path
    fullName = scope + "." + type.name
    let names = Naming.enumCases(type.values.map(\.name))
    var seen: Set<Int32> = []
    cases = zip(names, type.values).enumerated().compactMap { index, pair in
      seen.insert(pair.1.number).inserted
        ? (Naming.escaped(pair.0), pair.1, path + [2, Int32(index)]) : nil
    }
  }

  func emit(into source: inout SourceText) {
    source.doc(comments[path], "Enum `\(fullName)`.")
    source.block("public enum \(Naming.type(type.name)): ProtobufEnum") { source in
      source.line("public static var fullName: String { \"\(fullName)\" }")
      source.line()
      for entry in cases {
        source.doc(comments[entry.path], "`\(entry.value.name)` = \(entry.value.number).")
        source.line("case \(entry.name)")
      }
      source.line("/// A number without a name.")
      source.line("case unrecognized(Int32)")
      emitRawValue(into: &source)
      emitName(into: &source)
    }
  }

  private func emitRawValue(into source: inout SourceText) {
    source.line()
    source.block("public init(rawValue: Int32)") { source in
      source.line("switch rawValue {")
      for entry in cases {
        source.line("case \(entry.value.number): self = .\(entry.name)")
      }
      source.line("default: self = .unrecognized(rawValue)")
      source.line("}")
    }
    source.line()
    source.block("public var rawValue: Int32") { source in
      source.line("switch self {")
      for entry in cases {
        source.line("case .\(entry.name): \(entry.value.number)")
      }
      source.line("case .unrecognized(let rawValue): rawValue")
      source.line("}")
    }
  }

  private func emitName(into source: inout SourceText) {
    source.line()
    source.block("public init?(protoName: String)") { source in
      source.line("switch protoName {")
      for value in type.values {
        source.line("case \"\(value.name)\": self.init(rawValue: \(value.number))")
      }
      source.line("default: return nil")
      source.line("}")
    }
    source.line()
    source.block("public var protoName: String?") { source in
      source.line("switch self {")
      for entry in cases {
        source.line("case .\(entry.name): \"\(entry.value.name)\"")
      }
      source.line("case .unrecognized: nil")
      source.line("}")
    }
  }
}
