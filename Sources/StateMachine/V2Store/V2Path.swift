/// One name in a path. Names are equal when their bytes are: Unicode's canonical equivalence, which
/// `String` compares by, would make one node of two that Go etcd keeps apart.
struct V2Name: Hashable, Comparable, Sendable {
  let text: String

  static func == (a: V2Name, b: V2Name) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  static func < (a: V2Name, b: V2Name) -> Bool {
    a.text.utf8.lexicographicallyPrecedes(b.text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }

  /// Names that begin with `_` are left out of directory listings.
  var isHidden: Bool { text.utf8.first == UInt8(ascii: "_") }
}

/// A path as its names: absolute, without empty names, `.` and `..`.
///
/// - Source: Go's `path.Clean(path.Join("/", p))`.
struct V2Path: Hashable, Sendable {
  /// Directories that may lie in each other; it bounds the recursion over the tree.
  static let depthMax = 256

  let names: [V2Name]

  init(names: [V2Name]) { self.names = names }

  init(_ text: String) {
    var names: [V2Name] = []
    for part in text.utf8.split(separator: UInt8(ascii: "/")) {
      let name = String(Substring(part))
      switch name {
      case ".": break
      case "..": _ = names.popLast()
      default: names.append(V2Name(text: name))
      }
    }
    self.names = names
  }

  var text: String { Self.text(names[...]) }

  static func text(_ names: ArraySlice<V2Name>) -> String {
    names.isEmpty ? "/" : names.reduce(into: "") { $0 += "/" + $1.text }
  }
}
