/// A `Content-Type` without its parameters, refused where Go refuses it.
///
/// - Source: Go's `mime.ParseMediaType`.
struct HTTPMediaType {
  /// In small letters.
  let name: String

  /// - Throws: `HTTPForm.Failure` in Go's words.
  init(_ text: String) throws(HTTPForm.Failure) {
    let parts = text.utf8.split(
      separator: UInt8(ascii: ";"), maxSplits: 1, omittingEmptySubsequences: false)
    let name = Substring(parts[0]).withoutOptionalSpace.lowercased()
    try Self.check(name)
    self.name = name
    if parts.count > 1 { try Self.check(parameters: parts[1]) }
  }

  private static func check(_ name: String) throws(HTTPForm.Failure) {
    var rest = name.utf8[...]
    guard !rest.takeToken().isEmpty else { throw .init(message: "mime: no media type") }
    guard let slash = rest.popFirst() else { return }
    guard slash == UInt8(ascii: "/") else {
      throw .init(message: "mime: expected slash after first token")
    }
    guard !rest.takeToken().isEmpty else {
      throw .init(message: "mime: expected token after slash")
    }
    guard rest.isEmpty else {
      throw .init(message: "mime: unexpected content after media subtype")
    }
  }

  /// - Parameter text: behind the first semicolon; one more at the end is no harm.
  private static func check(parameters text: Substring.UTF8View) throws(HTTPForm.Failure) {
    var rest = text
    var names: Set<String> = []
    while true {
      rest.dropSpace()
      if rest.isEmpty { return }
      let name = Substring(rest.takeToken()).lowercased()
      rest.dropSpace()
      guard !name.isEmpty, rest.popFirst() == UInt8(ascii: "=") else {
        throw .init(message: "mime: invalid media parameter")
      }
      rest.dropSpace()
      guard rest.takeValue() else { throw .init(message: "mime: invalid media parameter") }
      guard names.insert(name).inserted else {
        throw .init(message: "mime: duplicate parameter name")
      }
      rest.dropSpace()
      if rest.isEmpty { return }
      guard rest.popFirst() == UInt8(ascii: ";") else {
        throw .init(message: "mime: invalid media parameter")
      }
    }
  }
}

extension Substring.UTF8View {
  fileprivate mutating func dropSpace() {
    self = drop { $0 == 0x20 || (0x09...0x0d).contains($0) }
  }

  fileprivate mutating func takeToken() -> Substring.UTF8View {
    let token = prefix { byte in
      byte > 0x20 && byte < 0x7f && !"()<>@,;:\\\"/[]?=".utf8.contains(byte)
    }
    self = self[token.endIndex...]
    return token
  }

  /// Goes behind a token or a quoted text. - Returns: whether there is one.
  fileprivate mutating func takeValue() -> Bool {
    guard first == UInt8(ascii: "\"") else { return !takeToken().isEmpty }
    removeFirst()
    while let byte = popFirst() {
      if byte == UInt8(ascii: "\"") { return true }
      if byte == UInt8(ascii: "\\") { _ = popFirst() }
    }
    return false
  }
}
