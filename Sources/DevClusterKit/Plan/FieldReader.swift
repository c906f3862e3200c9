import CommandLineTool
import YAML

/// Reads values of a configuration file, strictly: what is not expected is an error with its place. Pure.
struct FieldReader {
  /// Name of the file, for messages.
  let path: String

  /// Reads a document.
  /// - Returns: `nil` when there is nothing in it.
  func document(_ text: [UInt8]) throws(DevClusterError) -> YAMLNode? {
    let document: YAMLNode?
    do throws(YAMLError) { document = try YAMLReader.read(text) } catch {
      throw .usage("\(path):\(error.mark.line):\(error.mark.column): \(error.message)")
    }
    guard let document, document.content != .scalar(.null) else { return nil }
    return document
  }

  /// An error at a place.
  func failure(_ node: YAMLNode, _ message: String) -> DevClusterError {
    .usage("\(path):\(node.mark.line):\(node.mark.column): \(message)")
  }

  /// Something else was expected at a place.
  func wrong(_ node: YAMLNode, _ name: String, _ expected: String) -> DevClusterError {
    failure(node, "\(name): \(expected) expected, found \(Self.found(node))")
  }

  private static func found(_ node: YAMLNode) -> String {
    switch node.content {
    case .list: "a list"
    case .mapping: "a mapping"
    case .scalar(let scalar): plain(scalar).map { "'\($0)'" } ?? "nothing"
    }
  }

  /// A scalar as it is written for flags.
  private static func plain(_ scalar: YAMLScalar) -> String? {
    switch scalar {
    case .null: nil
    case .bool(let value): String(value)
    case .integer(let size, let isNegative): (isNegative ? "-" : "") + String(size)
    case .number(let number): String(number)
    case .text(let text): text
    }
  }

  /// The entries of a mapping.
  /// - Parameter known: names that may come; `nil` for any.
  func entries(
    _ node: YAMLNode, _ name: String, _ known: [String]?
  ) throws(DevClusterError) -> [(name: String, value: YAMLNode)] {
    if node.content == .scalar(.null) { return [] }
    guard case .mapping(let entries) = node.content else {
      throw wrong(node, name, "a mapping of names to values")
    }
    var found: [(name: String, value: YAMLNode)] = []
    for entry in entries {
      guard case .scalar(let scalar) = entry.key.content, let key = Self.plain(scalar) else {
        throw wrong(entry.key, name, "a name")
      }
      if let known, !known.contains(key) {
        let meant = known.first { CommandNames.areSimilar($0, key) }
        throw failure(
          entry.key,
          "unknown key '\(key)' in \(name); "
            + (meant.map { "did you mean \($0)?" } ?? "known are \(known.joined(separator: ", "))"))
      }
      if found.contains(where: { $0.name == key }) {
        throw failure(entry.key, "'\(key)' comes twice in \(name)")
      }
      found.append((key, entry.value))
    }
    return found
  }

  func list(_ node: YAMLNode, _ name: String) throws(DevClusterError) -> [YAMLNode] {
    guard case .list(let parts) = node.content else { throw wrong(node, name, "a list") }
    return parts
  }

  func text(_ node: YAMLNode, _ name: String) throws(DevClusterError) -> String {
    guard case .scalar(let scalar) = node.content, let text = Self.plain(scalar) else {
      throw wrong(node, name, "a text")
    }
    return text
  }

  /// A time such as `2s`, in nanoseconds.
  func time(
    _ node: YAMLNode, _ name: String, _ range: ClosedRange<UInt64>
  ) throws(DevClusterError) -> UInt64 {
    guard case .scalar(.text(let text)) = node.content, let given = DevCluster.nanoseconds(text),
      let time = UInt64(exactly: given), range.contains(time)
    else {
      // checked: by a constant
      let seconds = range.upperBound / 1_000_000_000
      throw wrong(node, name, "a time such as 500ms or 2s, \(seconds)s at most,")
    }
    return time
  }

  func bool(_ node: YAMLNode, _ name: String) throws(DevClusterError) -> Bool {
    guard case .scalar(.bool(let value)) = node.content else {
      throw wrong(node, name, "true or false")
    }
    return value
  }

  func number(
    _ node: YAMLNode, _ name: String, _ range: ClosedRange<Int>
  ) throws(DevClusterError) -> Int {
    guard case .scalar(.integer(let size, false)) = node.content, let number = Int(exactly: size),
      range.contains(number)
    else {
      throw wrong(node, name, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}
