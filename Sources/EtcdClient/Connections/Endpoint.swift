import EventLoops
import GoText
import HTTP

/// An endpoint as users write it: `host:port`, `http://host:port`, `https://host:port`, `unix:///path`,
/// `unixs:///path`, with two slashes or three.
///
/// - Source: etcd `client/v3/internal/endpoint`.
package enum Endpoint {
  /// Where to connect to, and how; `nil` when there is no port or no path.
  package static func target(_ endpoint: String) -> HTTPOrigin? {
    if let path = socketPath(endpoint) {
      return path.isEmpty ? nil : HTTPOrigin(.unix(path: String(path)), scheme: scheme(endpoint))
    }
    let rest = withoutScheme(endpoint)
    guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...])
    else { return nil }
    var host = rest[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    // checked: 16 bits
    return HTTPOrigin(.tcp(host: String(host), port: Int(port)), scheme: scheme(endpoint))
  }

  /// What calls to an endpoint carry as `:authority`: host and port as they were written, or the last
  /// part of a socket's path.
  package static func authority(_ endpoint: String) -> String {
    guard let path = socketPath(endpoint) else { return String(withoutScheme(endpoint)) }
    return path.split(separator: "/").last.map(String.init) ?? (path.isEmpty ? "." : "/")
  }

  /// How logs call the cluster behind endpoints of which this is the first.
  ///
  /// - Source: etcd `client/v3/client.go` authority.
  package static func name(_ endpoint: String) -> String {
    if let end = endpoint.place(of: "://")?.upperBound { return String(endpoint[end...]) }
    return socketPath(endpoint).map(String.init) ?? endpoint
  }

  /// Whether only TLS reaches it.
  package static func isSecure(_ endpoint: String) -> Bool {
    endpoint.hasPrefix("https://") || endpoint.hasPrefix("unixs:")
  }

  /// Whether TLS reaches it when it is configured.
  package static func mayBeSecure(_ endpoint: String) -> Bool { !endpoint.hasPrefix("http://") }

  private static func scheme(_ endpoint: String) -> HTTPOrigin.Scheme {
    isSecure(endpoint) ? .https : .http
  }

  private static func socketPath(_ endpoint: String) -> Substring? {
    for scheme in ["unix:", "unixs:"] where endpoint.hasPrefix(scheme) {
      let path = endpoint.dropFirst(scheme.count)
      return path.hasPrefix("//") ? path.dropFirst(2) : path
    }
    return nil
  }

  private static func withoutScheme(_ endpoint: String) -> Substring {
    for scheme in ["http://", "https://"] where endpoint.hasPrefix(scheme) {
      return endpoint.dropFirst(scheme.count).prefix { $0 != "/" }
    }
    return endpoint[...]
  }
}
