import EventLoops

/// A peer URL that was checked: scheme, host and port, or a unix socket.
public struct PeerURL: Sendable, Hashable, CustomStringConvertible {
  /// As given, without a slash at the end.
  public let text: String
  /// Whether the scheme asks for TLS.
  public let isSecure: Bool
  let host: String
  /// `nil` for a unix socket, whose path is `host`.
  let port: Int?

  /// Parses `http://host:port`, `https://[::1]:port`, `unix://name` or `unixs://name`.
  /// - Returns: `nil` when the scheme is another, the port is missing or there is a path.
  ///
  /// - Source: etcd `types.NewURLs`.
  public init?(_ text: String) {
    var trimmed = Substring(text)
    if trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
    guard
      let scheme = ["http", "https", "unix", "unixs"].first(where: {
        trimmed.hasPrefix($0 + "://")
      })
    else { return nil }
    let authority = trimmed.dropFirst(scheme.count + 3)
    self.text = String(trimmed)
    isSecure = scheme.hasSuffix("s")
    guard !authority.isEmpty, !authority.contains("?"), !authority.contains("#") else { return nil }
    if scheme.hasPrefix("unix") {
      host = String(authority)
      port = nil
      return
    }
    guard !authority.contains("/"), !authority.contains("@"),
      authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
      let colon = authority.lastIndex(of: ":")
    else { return nil }
    let digits = authority[authority.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
      let port = Int(digits), port <= 65_535
    else { return nil }
    var name = authority[..<colon]
    if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
    guard !name.isEmpty else { return nil }
    host = String(name)
    self.port = port
  }

  /// Where to connect.
  public var endpoint: Connection.Endpoint {
    port.map { .tcp(host: host, port: $0) } ?? .unix(path: host)
  }

  public var description: String { text }

  /// Parses a list; `nil` when it is empty or one of them is malformed.
  static func list(_ texts: [String]) -> [PeerURL]? {
    let urls = texts.compactMap(PeerURL.init)
    return urls.isEmpty || urls.count != texts.count ? nil : urls
  }
}

/// Chooses one of a peer's URLs and stays with it until it fails.
struct URLPicker: Sendable {
  private var urls: [PeerURL]
  private var picked = 0

  /// - Precondition: `urls` is not empty.
  init(_ urls: [PeerURL]) {
    precondition(!urls.isEmpty, "a peer needs a URL")
    self.urls = urls
  }

  var current: PeerURL { urls[picked] }

  mutating func update(_ urls: [PeerURL]) { self = URLPicker(urls) }

  /// Goes on to the next URL when `url` is still the one in use.
  mutating func unreachable(_ url: PeerURL) {
    if urls[picked] == url { picked = (picked + 1) % urls.count }
  }
}
