import EtcdClient
import EventLoops
import GoText
import HTTP

/// An endpoint of the v2 API: a URL.
package struct V2Endpoint: Sendable, Equatable {
  /// As messages show it.
  package let text: String
  package let scheme: String
  /// With the port, when it was written.
  package let host: String
  /// What stands in front of the paths of requests.
  package let path: String
  /// Where it is; `nil` when its scheme is none that a client speaks.
  package let origin: HTTPOrigin?

  /// - Throws: in the words of Go's `net/url`.
  package init(_ given: String) throws(GoURL.Failure) {
    var text = given
    if try GoURL(text).scheme.isEmpty { text = "http://" + text }
    let url = try GoURL(text)
    self.text = text
    let origin = Self.origin(url, text)
    self.origin = origin
    scheme = url.scheme
    // A socket's path is no part of what is asked for there.
    let isSocket = scheme == "unix" || scheme == "unixs"
    host = isSocket ? origin?.authority ?? "" : url.host
    path = isSocket || url.path == "/" ? "" : url.path
  }

  private static func origin(_ url: GoURL, _ text: String) -> HTTPOrigin? {
    guard let scheme = HTTPOrigin.Scheme(rawValue: url.scheme) else {
      return url.scheme.hasPrefix("unix") ? Endpoint.target(text) : nil
    }
    guard let pair = HostPort(url.host), let port = UInt16(pair.port) else {
      return HTTPOrigin(
        .tcp(host: url.host, port: scheme == .https ? 443 : 80), scheme: scheme)
    }
    // checked: 16 bits
    return HTTPOrigin(.tcp(host: pair.host, port: Int(port)), scheme: scheme)
  }

  /// Scheme and host.
  package var root: String { "\(scheme)://\(host)" }

  /// Path and query of a whole URL.
  package var target: String {
    guard let start = text.place(of: "://")?.upperBound,
      let slash = text[start...].firstIndex(of: "/")
    else { return "/" }
    return String(text[slash...])
  }

  /// What the status of an answer says about the endpoint; `nil` when another endpoint need not be asked.
  package func problem(_ status: Int) -> V2Failure? {
    switch status {
    case 500, 503:
      .attempt("client: etcd member \(text) has no leader", isConnection: false)
    case 501...599:
      .attempt(
        "client: etcd member \(text) returns server error [\(HTTPResponseHead.reason(status))]",
        isConnection: false)
    default: nil
    }
  }
}
