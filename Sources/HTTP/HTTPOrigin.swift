import EventLoops

/// Where requests go, and whether they go there over TLS. Connections are kept for each of them.
///
/// - Source: RFC 9110 §4.3.1 origin; unix sockets as in Go's `unix://` and etcd's `unixs://` URLs.
public struct HTTPOrigin: Sendable, Hashable, CustomStringConvertible {
  public enum Scheme: String, Sendable { case http, https }

  public let scheme: Scheme
  public let endpoint: Connection.Endpoint

  public init(_ endpoint: Connection.Endpoint, scheme: Scheme = .http) {
    self.endpoint = endpoint
    self.scheme = scheme
  }

  /// A TCP port without TLS.
  public static func tcp(host: String, port: Int) -> HTTPOrigin {
    HTTPOrigin(.tcp(host: host, port: port))
  }
  /// A unix socket without TLS.
  public static func unix(path: String) -> HTTPOrigin { HTTPOrigin(.unix(path: path)) }

  /// What requests name as their host: host and port, or `localhost` for a unix socket.
  public var authority: String {
    switch endpoint {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix: "localhost"
    }
  }

  public var description: String {
    switch endpoint {
    case .tcp: "\(scheme.rawValue)://\(authority)"
    case .unix(let path): "\(scheme == .https ? "unixs" : "unix")://\(path)"
    }
  }
}
