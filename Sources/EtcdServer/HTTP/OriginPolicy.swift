import HTTP

/// Pages of which origins may read answers.
///
/// - Source: etcd `embed.corsHandler`, `etcdserver.AccessController`.
package struct OriginPolicy: Sendable {
  private let origins: Set<String>

  /// - Parameter origins: URLs; `*`, and none, allow all.
  package init(_ origins: [String]) { self.origins = Set(origins) }

  /// Whether a request may go on, with what a page needs to read the answer; else it is answered.
  package func admits(_ exchange: HTTPExchange) -> Bool {
    if let origin = allowed(exchange.request.headers["origin"] ?? "") {
      exchange.extraHeaders = [
        "Access-Control-Allow-Headers": "accept, content-type, authorization",
        "Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE",
        "Access-Control-Allow-Origin": origin,
      ]
    }
    guard exchange.request.method != "OPTIONS" else {
      exchange.respond(status: 200)
      return false
    }
    return true
  }

  private func allowed(_ origin: String) -> String? {
    if origins.isEmpty || origins.contains("*") { return "*" }
    return origins.contains(origin) ? origin : nil
  }
}
