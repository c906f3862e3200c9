import Bytes
import COpenSSL
import GoText
import HTTP

/// How a request becomes a websocket.
///
/// - Source: RFC 6455 §4; gorilla/websocket, which etcd answers with.
enum WebSocketHandshake {
  static func isWanted(_ request: HTTPRequestHead) -> Bool {
    request.headers.hasToken("connection", "upgrade")
      && request.headers.hasToken("upgrade", "websocket")
  }

  /// What becomes of a request that asks for one.
  enum Outcome {
    case accepted(HTTPHeaders)
    case refused(status: Int, text: String)
  }

  static func answer(_ request: HTTPRequestHead) -> Outcome {
    guard request.method == "GET" else { return .refused(status: 405, text: "Method Not Allowed") }
    guard request.headers.hasToken("sec-websocket-version", "13"),
      let key = request.headers["sec-websocket-key"], !key.isEmpty,
      request.headers["content-length"].map({ $0 == "0" }) ?? true,
      request.headers["transfer-encoding"] == nil
    else { return .refused(status: 400, text: "Bad Request") }
    var headers: HTTPHeaders = ["Upgrade": "websocket", "Sec-WebSocket-Accept": accept(key)]
    // Browsers have no other place for a token.
    if protocols(request).hasPrefix("Bearer") { headers.add("Sec-WebSocket-Protocol", "Bearer") }
    return .accepted(headers)
  }

  private static func protocols(_ request: HTTPRequestHead) -> String {
    request.headers["sec-websocket-protocol"] ?? ""
  }

  private static let suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  static func accept(_ key: String) -> String {
    var digest = [UInt8](repeating: 0, count: 20)
    let text = Array((key + suffix).utf8)
    EVP_Digest(text, text.count, &digest, nil, EVP_sha1(), nil)
    return Base64.standard.encode(Bytes(digest)).string
  }

  /// The header fields of the request that the messages are the body of.
  /// - Source: `wsproxy`: where it is from, and a token out of the protocol's name or a cookie. It writes
  ///   `Bearer` before it, which etcd takes for a part of the token; here it is left away for a protocol's name,
  ///   which only who knows the token can send. A browser sends a cookie for the pages of anybody: there it
  ///   stays, and the token is refused, as in etcd.
  static func inner(_ request: HTTPRequestHead) -> HTTPHeaders {
    var inner: HTTPHeaders = [:]
    for name in ["origin", "referer"] {
      if let value = request.headers[name] { inner.add(name, value) }
    }
    let protocols = protocols(request)
    if !protocols.isEmpty {
      // Some browsers put no space behind the comma.
      let token = protocols.place(of: "Bearer,").map { trimmed(protocols[$0.upperBound...]) }
      inner.set("authorization", token ?? "")
    }
    if let token = cookie("token", request) { inner.set("authorization", "Bearer " + token) }
    return inner
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text.drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return String(text)
  }

  private static func cookie(_ name: String, _ request: HTTPRequestHead) -> String? {
    for line in request.headers.all("cookie") {
      for part in line.split(separator: ";") {
        let pair = trimmed(part).split(
          separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if pair.count == 2, pair[0] == name { return String(pair[1]) }
      }
    }
    return nil
  }
}
