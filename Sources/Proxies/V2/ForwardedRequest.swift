import Bytes
import EventLoops
import HTTP

/// What a proxy sends on for a request that it got. A value.
///
/// - Source: etcd `proxy/httpproxy/reverse.go`.
struct ForwardedRequest {
  let method: String
  /// Path and query, as they came.
  let target: String
  let headers: HTTPHeaders
  /// `nil` for a request without one.
  let body: Bytes?

  /// - Parameters:
  ///   - client: the address of whoever sent it; `nil` for one without.
  init(_ request: HTTPRequestHead, body: Bytes, client: String?) {
    method = request.method
    target = request.query.isEmpty ? request.path : "\(request.path)?\(request.query)"
    let hasBody =
      request.headers["content-length"] != nil || request.headers["transfer-encoding"] != nil
    self.body = hasBody ? body : nil
    var headers = Self.endToEnd(request.headers)
    // They are about the body as it came; this one is sent whole and at once.
    headers.remove("content-length")
    headers.remove("expect")
    if let client {
      let before = headers.all("x-forwarded-for")
      // checked: lists are joined
      headers.set("X-Forwarded-For", (before + [client]).joined(separator: ", "))
    }
    self.headers = headers
  }

  /// Fields that are about one connection, and not about the message.
  /// - Source: etcd's list, which is that of RFC 2616 §13.5.1.
  private static let hopByHop = [
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
    "trailer", "transfer-encoding", "upgrade", "proxy-connection",
  ]

  /// Without what is about one connection, what the field `Connection` names among it.
  static func endToEnd(_ headers: HTTPHeaders) -> HTTPHeaders {
    let named = headers.all("connection").flatMap { $0.split(separator: ",") }
      .map { String($0.withoutOptionalSpace) }
    var left = headers
    for name in hopByHop { left.remove(name) }
    // The host and the length are never about the connection.
    for name in named where !["host", "content-length"].contains(name.lowercased()) {
      left.remove(name)
    }
    return left
  }
}
