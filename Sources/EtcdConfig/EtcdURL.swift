import GoText

/// A URL of a member, checked as etcd checks those of its flags.
///
/// - Source: etcd `types.NewURLs`; the parser follows the part of Go's `net/url` that matters.
public struct EtcdURL: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let scheme: ListenURL.Scheme
  /// `host:port` as given; host and path for unix sockets.
  public let address: String

  public var description: String { "\(scheme.rawValue)://\(address)" }
  public static func < (a: EtcdURL, b: EtcdURL) -> Bool {
    Array(a.description.utf8).lexicographicallyPrecedes(Array(b.description.utf8))
  }

  /// Why a URL was refused, in etcd's words.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }
  }

  /// Reads one URL; blanks around it are dropped.
  /// - Throws: `Failure` with etcd's message.
  public init(_ given: String) throws(Failure) {
    let text = Self.trimmed(given)
    let parts = try Parts(text)
    guard let scheme = ListenURL.Scheme(rawValue: parts.scheme) else {
      throw Failure(message: "URL scheme must be http, https, unix, or unixs: \(text)")
    }
    self.scheme = scheme
    switch scheme {
    case .unix, .unixs: address = parts.host + parts.path
    case .http, .https:
      guard HostPort(parts.host) != nil else {
        throw Failure(message: "URL address does not have the form \"host:port\": \(text)")
      }
      guard parts.path.isEmpty else {
        throw Failure(message: "URL must not contain a path: \(text)")
      }
      address = parts.host
    }
  }

  /// Reads a comma separated list; the result is sorted.
  /// - Throws: `Failure` for the first URL that is none.
  public static func list(_ text: String) throws(Failure) -> [EtcdURL] {
    var all: [EtcdURL] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      all.append(try EtcdURL(String(part)))
    }
    return all.sorted()
  }

  /// Whether a list is not empty and holds only URLs that a member may have.
  public static func areValid(_ texts: [String]) -> Bool {
    !texts.isEmpty && texts.allSatisfy { (try? EtcdURL($0)) != nil }
  }

  /// Host and port; `nil` for unix sockets.
  public var hostPort: HostPort? {
    scheme == .unix || scheme == .unixs ? nil : HostPort(address)
  }

  var isTLS: Bool { scheme == .https || scheme == .unixs }

  private static func trimmed(_ text: String) -> String {
    let isSpace: (Character) -> Bool = { $0.isWhitespace }
    let start = text.drop(while: isSpace)
    return String(start.reversed().drop(while: isSpace).reversed())
  }
}

/// `host:port`, split as Go's `net.SplitHostPort` does.
public struct HostPort: Sendable, Hashable {
  /// Without brackets.
  public let host: String
  public let port: String

  /// `nil` when `text` has no port or unbalanced brackets.
  public init?(_ text: String) {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      let after = text[text.index(after: end)...]
      guard after.hasPrefix(":") else { return nil }
      host = String(text[text.index(after: text.startIndex)..<end])
      port = String(after.dropFirst())
    } else {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      host = String(parts[0])
      port = String(parts[1])
    }
    guard !port.contains(where: { "[]:".contains($0) }), !host.contains("[") else { return nil }
  }

  /// Whether the host is a numeric IPv4 or IPv6 address.
  public var isNumeric: Bool { Self.isIPv4(host) || Self.isIPv6(host) }

  static func isIPv4(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        !part.isEmpty && part.count <= 3 && part.allSatisfy(\.isASCIIDigit)
          && (part.count == 1 || part.first != "0") && Int(part).map { $0 <= 255 } == true
      }
  }

  static func isIPv6(_ text: String) -> Bool {
    let halves = text.split(separator: "::", omittingEmptySubsequences: false)
    guard text.contains(":"), halves.count <= 2, !text.contains(":::") else { return false }
    var groups = 0
    for (index, half) in halves.enumerated() where !half.isEmpty {
      let parts = half.split(separator: ":", omittingEmptySubsequences: false)
      for (position, part) in parts.enumerated() {
        let isLast = index == halves.count - 1 && position == parts.count - 1
        if isLast && isIPv4(String(part)) {
          groups += 2
        } else if (1...4).contains(part.count) && part.allSatisfy({ $0.isHexDigit && $0.isASCII }) {
          groups += 1
        } else {
          return false
        }
      }
    }
    return halves.count == 2 ? groups < 8 : groups == 8
  }
}

/// Scheme, authority and path of a URL.
private struct Parts {
  var scheme = ""
  var host = ""
  var path = ""

  init(_ text: String) throws(EtcdURL.Failure) {
    let raw = String(text.prefix { $0 != "#" })
    func failed(_ reason: String) -> EtcdURL.Failure {
      EtcdURL.Failure(message: "parse \(GoQuote.text(raw)): \(reason)")
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
    _ given: Substring, _ failed: (String) -> EtcdURL.Failure
  ) throws(EtcdURL.Failure) {
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
