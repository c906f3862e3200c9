import EventLoops
import GoText
import HTTP

/// A peer URL that can be dialled.
public struct PeerURL: Sendable, Hashable, CustomStringConvertible {
  /// As given, without a slash at the end.
  public let text: String
  /// Where to connect, and whether with TLS.
  public let origin: HTTPOrigin

  /// Parses `http://host:port`, `https://[::1]:port`, `unix://name` or `unixs://name`.
  /// - Returns: `nil` for what etcd does not take as a member's URL, and for what nobody can connect
  ///   to: no host, or a port beyond 65535.
  public init?(_ text: String) {
    let hasSlash = text.hasSuffix("/") && !text.hasSuffix("://")
    let trimmed = hasSlash ? String(text.dropLast()) : text
    guard let url = try? EtcdURL(trimmed) else { return nil }
    let endpoint: Connection.Endpoint
    if let address = url.hostPort {
      guard let port = Int(address.port), port <= 65_535, !address.host.isEmpty else { return nil }
      endpoint = .tcp(host: address.host, port: port)
    } else {
      guard !url.address.isEmpty else { return nil }
      endpoint = .unix(path: url.address)
    }
    self.text = trimmed
    origin = HTTPOrigin(endpoint, scheme: url.scheme.isTLS ? .https : .http)
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

  /// Whether it chooses from these, in this order.
  func holds(_ urls: [PeerURL]) -> Bool { self.urls == urls }

  mutating func update(_ urls: [PeerURL]) { self = URLPicker(urls) }

  /// Goes on to the next URL when `url` is still the one in use.
  mutating func unreachable(_ url: PeerURL) {
    if urls[picked] == url { picked = (picked + 1) % urls.count }
  }
}
