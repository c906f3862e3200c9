/// Scheme, host and path of a URL; user, query and fragment are left out.
///
/// - Source: Go `net/url` `Parse`, as far as it matters to etcd.
public struct GoURL: Sendable, Hashable {
  /// Lower case; empty when there is none.
  public private(set) var scheme = ""
  /// With the port, when there is one.
  public private(set) var host = ""
  public private(set) var path = ""

  /// Why a text is no URL, in Go's words.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    public let description: String
  }

  /// Reads a URL.
  /// - Throws: `Failure` with the text and the reason.
  public init(_ text: String) throws(Failure) {
    let raw = String(text.prefix { $0 != "#" })
    func failed(_ reason: String) -> Failure {
      Failure(description: "parse \(GoQuote.text(raw)): \(reason)")
    }
    guard raw.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
      throw failed("net/url: invalid control character in URL")
    }
    var rest = raw[...]
    if let colon = raw.firstIndex(of: ":") {
      let head = raw[..<colon]
      guard !head.isEmpty else { throw failed("missing protocol scheme") }
      let isScheme =
        head.first?.isLetter == true
        && head.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
      if isScheme {
        scheme = head.lowercased()
        rest = raw[raw.index(after: colon)...]
      }
    }
    rest = rest.prefix { $0 != "?" }
    guard rest.hasPrefix("/") else {
      if scheme.isEmpty, rest.prefix(while: { $0 != "/" }).contains(":") {
        throw failed("first path segment in URL cannot contain colon")
      }
      if scheme.isEmpty { path = String(rest) }
      return
    }
    guard rest.hasPrefix("//") else {
      path = String(rest)
      return
    }
    rest = rest.dropFirst(2)
    let authority = rest.prefix { $0 != "/" }
    path = String(rest.dropFirst(authority.count))
    // What stands before `@` names a user; etcd's URLs carry none.
    let given = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
    try checkHost(given, failed)
    host = String(given)
  }

  private func checkHost(
    _ given: Substring, _ failed: (String) -> Failure
  ) throws(Failure) {
    var port: Substring = ""
    if given.hasPrefix("[") {
      guard let end = given.lastIndex(of: "]") else { throw failed("missing ']' in host") }
      port = given[given.index(after: end)...]
    } else if let colon = given.lastIndex(of: ":") {
      port = given[colon...]
    }
    let isPort = port.isEmpty || port.first == ":" && port.dropFirst().allSatisfy(\.isASCIIDigit)
    guard isPort else { throw failed("invalid port \(GoQuote.text(String(port))) after host") }
    if let bad = given.first(where: { " \"<>\\^`{|}".contains($0) }) {
      if bad == "<" || bad == ">" || bad == "\"" { return }
      throw failed("invalid character \(GoQuote.text(String(bad))) in host name")
    }
  }
}
