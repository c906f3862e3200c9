// The statements for one field in the methods of a message.
extension Field {
  /// Expression that reads one value.
  private var readValue: String {
    switch kind {
    case .varint: "try reader.varint() as \(elementType)"
    case .bytes: "try reader.bytes()"
    case .string(let checked): checked ? "try reader.string()" : "try reader.uncheckedString()"
    case .message: "try reader.message() as \(elementType)"
    }
  }

  /// Statement that takes the field from `reader`.
  func decode(oneof: String?) -> String {
    if let oneof { return "self.\(oneof) = .\(name)(\(readValue))" }
    switch (presence, kind) {
    case (.repeated, .varint): return "try reader.varints(into: &self.\(name))"
    case (.repeated, .message): return "try reader.message(appendingTo: &self.\(name))"
    case (.repeated, _): return "self.\(name).append(\(readValue))"
    case (_, .message): return "try reader.message(into: &self.\(name))"
    default: return "self.\(name) = \(readValue)"
    }
  }

  /// Name of the method of `WireSize` and `WireWriter` for the field.
  private var method: String {
    switch (presence, kind) {
    case (.required, _), (.oneof, _): "always"
    case (.repeated(let packed), .varint): packed ? "packed" : "unpacked"
    case (.repeated, _): "repeated"
    case (.optional, .message): "message"
    case (.optional, _): "optional"
    case (.implicit, .varint): "varint"
    case (.implicit, .bytes): "bytes"
    case (.implicit, .string): "string"
    case (.implicit, .message): "always"
    }
  }

  /// Expression of the encoded size of `value`.
  func size(of value: String) -> String { "WireSize.\(method)(\(value), tag: \(tagSize))" }

  /// Statement that writes the field.
  func encode(oneof: String?) -> String {
    guard let oneof else { return "writer.\(method)(\(number), self.\(name))" }
    return "if case .\(name)(let value)? = self.\(oneof) { writer.\(method)(\(number), value) }"
  }

  /// Statement that writes the JSON member.
  func writeJSON(oneof: String?) -> String {
    if let oneof {
      return "if case .\(name)(let value)? = self.\(oneof) { json.always(\"\(protoName)\", value) }"
    }
    if case .required = presence { return "json.always(\"\(protoName)\", self.\(name))" }
    return "json.field(\"\(protoName)\", self.\(name))"
  }

  /// Pattern of the JSON names accepted.
  var jsonPattern: String {
    jsonName == protoName || jsonName.isEmpty
      ? "\"\(protoName)\"" : "\"\(protoName)\", \"\(jsonName)\""
  }

  /// Statement that takes the field from a JSON value.
  func readJSON(oneof: String?) -> String {
    let element = "try \(elementType)(jsonField: value, options: options)"
    if let oneof { return "self.\(oneof) = .\(name)(\(element))" }
    if case .repeated = presence {
      return "self.\(name) = try MessageJSON.array(value, options: options)"
    }
    return "self.\(name) = \(element)"
  }
}
