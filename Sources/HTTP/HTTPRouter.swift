import Bytes
import GoText

/// Which handler serves which method and path. Fill it, then give `handle` to a server connection.
///
/// A pattern that ends in a slash serves everything below it, any other pattern itself alone; the longest
/// that fits wins. Paths are compared decoded, so `/%68ealth` is `/health`; one with empty, `.` or `..`
/// parts is redirected to its clean form.
///
/// - Source: Go's `http.ServeMux`, whose answers for what nobody serves are given too.
public struct HTTPRouter: Sendable {
  /// Answers a request, now or later, on the exchange's loop.
  /// - Parameter path: decoded; ill-formed UTF-8 repaired.
  public typealias Handler = @Sendable (_ exchange: HTTPExchange, _ path: String) -> Void

  /// What becomes of a request.
  public enum Decision {
    case serve(Handler, path: String)
    /// 301 to a target with the request's query.
    case redirect(to: String)
    case notFound
    /// 405, with the methods of the `Allow` field.
    case notAllowed([String])
    /// 400: the target is no path.
    case malformed
  }

  private struct Route: Sendable {
    /// `nil` takes every method.
    let methods: [String]?
    let handler: Handler

    func takes(_ method: String) -> Bool {
      guard let methods else { return true }
      return methods.contains(method) || (method == "HEAD" && methods.contains("GET"))
    }
  }

  private var routes: [String: [Route]] = [:]

  /// A router that answers everything with 404.
  public init() {}

  /// Serves `pattern` with `handler` for the given methods; `nil` is any method. GET takes HEAD along,
  /// whose answer is sent without its body.
  /// - Traps: when a method of the pattern is served already, or the pattern does not begin with a slash.
  public mutating func add(
    _ methods: [String]? = nil, _ pattern: String, _ handler: @escaping Handler
  ) {
    precondition(pattern.hasPrefix("/"), "a pattern begins with a slash, not \(pattern)")
    let known = routes[pattern, default: []]
    let isTaken = known.contains { route in
      guard let methods, let others = route.methods else { return true }
      return methods.contains { others.contains($0) }
    }
    precondition(!isTaken, "\(methods ?? ["*"]) \(pattern) is served twice")
    routes[pattern] = known + [Route(methods: methods, handler: handler)]
  }

  /// Serves GET and HEAD.
  public mutating func get(_ pattern: String, _ handler: @escaping Handler) {
    add(["GET"], pattern, handler)
  }

  /// Serves POST.
  public mutating func post(_ pattern: String, _ handler: @escaping Handler) {
    add(["POST"], pattern, handler)
  }

  /// Answers `exchange`, or lets its handler do so.
  /// - Parameter rewritten: what counts instead of the request as it came.
  public func handle(_ exchange: HTTPExchange, rewritten: HTTPRequestHead? = nil) {
    switch decide(rewritten ?? exchange.request) {
    case .serve(let handler, let path): handler(exchange, path)
    case .redirect(let target): exchange.redirect(to: target)
    case .notFound: exchange.refuse(404, "404 page not found")
    case .notAllowed(let methods):
      exchange.refuse(405, "Method Not Allowed", ["Allow": methods.joined(separator: ", ")])
    case .malformed: exchange.refuse(400, "400 Bad Request")
    }
  }

  /// What becomes of a request. Pure.
  public func decide(_ request: HTTPRequestHead) -> Decision {
    guard let path = URLCoding.decode(request.path) else { return .malformed }
    let clean = Self.clean(path)
    let text = clean.string
    let found = find(text)
    if clean != path { return redirect(clean, request) }
    if found == nil, !text.hasSuffix("/"), find(text + "/", exact: true) != nil {
      return redirect(Bytes(text + "/"), request)
    }
    guard let found else { return .notFound }
    if let route = found.first(where: { $0.takes(request.method) }) {
      return .serve(route.handler, path: text)
    }
    return .notAllowed(
      found.flatMap { $0.methods ?? [] }.flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] })
  }

  private func redirect(_ path: Bytes, _ request: HTTPRequestHead) -> Decision {
    let query = request.query
    return .redirect(to: URLCoding.encodePath(path) + (query.isEmpty ? "" : "?" + query))
  }

  /// The routes of the longest pattern that fits.
  private func find(_ path: String, exact: Bool = false) -> [Route]? {
    if let found = routes[path] { return found }
    guard !exact else { return nil }
    var rest = Substring(path)
    while let slash = rest.lastIndex(of: "/") {
      rest = rest[...slash]
      if let found = routes[String(rest)] { return found }
      rest = rest.dropLast()
    }
    return nil
  }

  /// Without empty parts, `.` and `..`; a slash at the end stays.
  /// - Source: Go's `cleanPath`.
  package static func clean(_ path: Bytes) -> Bytes {
    var parts: [Bytes] = []
    let all = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    for part in all where !part.isEmpty && part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    var out = ByteWriter(capacity: path.count + 1)
    for part in parts {
      out.append(UInt8(ascii: "/"))
      out.append(part)
    }
    if parts.isEmpty || path.last == UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
    return out.finish()
  }
}

extension HTTPExchange {
  /// Answers with a line of plain text.
  /// - Source: Go's `http.Error`.
  public func refuse(_ status: Int, _ text: String, _ headers: HTTPHeaders = [:]) {
    respond(status: status, text: text + "\n", headers: headers)
  }

  /// Answers with plain text, which browsers are to take for nothing else.
  public func respond(status: Int, text: String, headers: HTTPHeaders = [:]) {
    var headers = headers
    headers.set("Content-Type", "text/plain; charset=utf-8")
    headers.set("X-Content-Type-Options", "nosniff")
    respond(status: status, headers: headers, body: Bytes(text))
  }

  /// Answers 301 with a short page for people.
  /// - Source: Go's `http.Redirect`.
  public func redirect(to target: String) {
    guard request.method == "GET" || request.method == "HEAD" else {
      return respond(status: 301, headers: ["Location": target])
    }
    let page = "<a href=\"\(GoHTML.escaped(target))\">Moved Permanently</a>.\n\n"
    respond(
      status: 301, headers: ["Location": target, "Content-Type": "text/html; charset=utf-8"],
      body: Bytes(page))
  }
}
