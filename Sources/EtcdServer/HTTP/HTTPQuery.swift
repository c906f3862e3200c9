import Bytes
import HTTP

/// Parameters of a query string, decoded; a part that cannot be decoded is left out, as in Go.
struct HTTPQuery {
  private let pairs: [(name: String, value: String)]

  init(_ text: String) {
    pairs = text.split(separator: "&").compactMap { part in
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = URLCoding.decode(sides[0], plusIsSpace: true),
        let value = URLCoding.decode(sides.count > 1 ? sides[1] : "", plusIsSpace: true)
      else { return nil }
      return (name.string, value.string)
    }
  }

  func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }
  func first(_ name: String) -> String? { pairs.first { $0.name == name }?.value }
  /// Values that are not empty.
  func all(_ name: String) -> Set<String> {
    Set(pairs.filter { $0.name == name && !$0.value.isEmpty }.map(\.value))
  }
}
