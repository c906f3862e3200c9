import CYAML

/// An event of libyaml's parser, copied. Unsafe: reads C strings that live as long as their event.
struct Event {
  let kind: yaml_event_type_t
  let mark: YAMLNode.Mark
  /// The name behind `&` or `*`; empty when there is none.
  let anchor: String
  private let text: String
  private let tag: String
  private let isPlain: Bool

  init(_ event: yaml_event_t) {
    kind = event.type
    mark = YAMLNode.Mark(event.start_mark)
    func string(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String {
      pointer.map { String(cString: $0) } ?? ""
    }
    switch event.type {
    case YAML_ALIAS_EVENT:
      (anchor, text, tag, isPlain) = (string(event.data.alias.anchor), "", "", false)
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      anchor = string(scalar.anchor)
      tag = string(scalar.tag)
      isPlain = scalar.plain_implicit != 0
      text = String(
        decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
    case YAML_SEQUENCE_START_EVENT:
      (anchor, text, tag, isPlain) = (string(event.data.sequence_start.anchor), "", "", false)
    case YAML_MAPPING_START_EVENT:
      (anchor, text, tag, isPlain) = (string(event.data.mapping_start.anchor), "", "", false)
    default: (anchor, text, tag, isPlain) = ("", "", "", false)
    }
  }

  /// Whether this is the key that takes in other mappings.
  var isMergeKey: Bool { kind == YAML_SCALAR_EVENT && isPlain && text == "<<" }

  /// What a scalar means.
  /// - Throws: `YAMLError` for a tag that configuration files have no use for, or a value that is not of it.
  func scalar() throws(YAMLError) -> YAMLScalar {
    if isPlain { return .plain(text) }
    let name = tag.split(separator: ":").last.map(String.init) ?? ""
    guard !tag.isEmpty, tag != "!" else { return .text(text) }
    switch name {
    case "str": return .text(text)
    case "null", "bool", "int", "float":
      let found = YAMLScalar.plain(text)
      guard found.isOf(name) else { throw YAMLError(mark, "\"\(text)\" is not of !!\(name)") }
      return found
    default: throw YAMLError(mark, "the tag \(tag) is not supported; write the value itself")
    }
  }
}

extension YAMLScalar {
  fileprivate func isOf(_ tag: String) -> Bool {
    switch self {
    case .null: tag == "null"
    case .bool: tag == "bool"
    case .integer: tag == "int" || tag == "float"
    case .number: tag == "float"
    case .text: false
    }
  }
}

extension YAMLNode.Mark {
  /// libyaml counts from 0.
  init(_ mark: yaml_mark_t) {
    self.init(
      line: Int(clamping: mark.line) &+ 1, column: Int(clamping: mark.column) &+ 1)
  }
}
