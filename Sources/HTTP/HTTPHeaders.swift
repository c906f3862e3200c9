import GoText

/// Header fields in the order received or to be sent; names compare without case.
public struct HTTPHeaders: Sendable, ExpressibleByDictionaryLiteral {
  public typealias Field = (name: String, value: String)
  public private(set) var fields: [Field] = []

  public init() {}
  public init(dictionaryLiteral elements: (String, String)...) {
    fields = elements.map { (name: $0.0, value: $0.1) }
  }

  /// These fields, then others.
  func followed(by others: HTTPHeaders) -> HTTPHeaders {
    guard !fields.isEmpty else { return others }
    var all = self
    all.fields += others.fields
    return all
  }

  public mutating func add(_ name: String, _ value: String) { fields.append((name, value)) }

  /// Replaces all fields of that name.
  public mutating func set(_ name: String, _ value: String) {
    remove(name)
    add(name, value)
  }

  public mutating func remove(_ name: String) {
    fields.removeAll { Self.same($0.name, name) }
  }

  /// The first value; `nil` when there is none.
  public subscript(name: String) -> String? {
    fields.first { Self.same($0.name, name) }?.value
  }

  public func all(_ name: String) -> [String] {
    fields.filter { Self.same($0.name, name) }.map(\.value)
  }

  /// Whether a comma-separated list field holds `token`, without case.
  public func hasToken(_ name: String, _ token: String) -> Bool {
    all(name).contains { value in
      value.split(separator: ",").contains { Self.same(String($0.withoutOptionalSpace), token) }
    }
  }

  /// ASCII comparison without case.
  static func same(_ a: String, _ b: String) -> Bool {
    let (a, b) = (a.utf8, b.utf8)
    return a.count == b.count && zip(a, b).allSatisfy { lower($0) == lower($1) }
  }

  @inline(__always)
  private static func lower(_ byte: UInt8) -> UInt8 {
    byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
  }
}

/// The head of a request.
public struct HTTPRequestHead: Sendable {
  public var method: String
  /// As sent: a path with an optional query, or an absolute URI.
  public var target: String
  /// 0 or 1: the minor version of HTTP/1.
  public var minorVersion: Int
  public var headers: HTTPHeaders

  public init(method: String, target: String, minorVersion: Int = 1, headers: HTTPHeaders = [:]) {
    self.method = method
    self.target = target
    self.minorVersion = minorVersion
    self.headers = headers
  }

  /// The target's path as sent (percent-encoded), without scheme, host and query.
  public var path: String {
    var rest = Substring(target)
    if !rest.hasPrefix("/"), let scheme = rest.place(of: "://") {
      let authority = rest[scheme.upperBound...]
      rest = authority.firstIndex(of: "/").map { authority[$0...] } ?? "/"
    }
    return String(rest.prefix { $0 != "?" })
  }

  /// The query as sent, without the question mark; empty when there is none.
  public var query: String {
    guard let mark = target.firstIndex(of: "?") else { return "" }
    return String(target[target.index(after: mark)...])
  }

  /// Whether the connection may serve another request afterwards.
  var wantsKeepAlive: Bool {
    if headers.hasToken("connection", "close") { return false }
    return minorVersion >= 1 || headers.hasToken("connection", "keep-alive")
  }
}

/// The head of a response.
public struct HTTPResponseHead: Sendable {
  public var status: Int
  public var headers: HTTPHeaders
  /// 0 or 1: the minor version of HTTP/1.
  public var minorVersion: Int

  public init(status: Int, headers: HTTPHeaders = [:], minorVersion: Int = 1) {
    self.status = status
    self.headers = headers
    self.minorVersion = minorVersion
  }

  /// Whether a response of this status never has a body (RFC 9112 §6.3).
  var isBodyless: Bool { status < 200 || status == 204 || status == 304 }

  /// The usual phrase of a status.
  public static func reason(_ status: Int) -> String {
    reasons[status] ?? "Status"
  }

  private static let reasons: [Int: String] = [
    100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted",
    204: "No Content",
    206: "Partial Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict",
    410: "Gone", 411: "Length Required", 412: "Precondition Failed",
    413: "Request Entity Too Large", 414: "Request URI Too Long", 415: "Unsupported Media Type",
    417: "Expectation Failed", 421: "Misdirected Request", 426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
  ]
}

extension Substring {
  /// Without the optional white space at either end that fields of headers may have.
  /// - Source: RFC 9110 §5.6.3.
  public var withoutOptionalSpace: Substring {
    let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
    guard let last = utf8.lastIndex(where: { !isSpace($0) }) else { return self[endIndex...] }
    return self[...last].drop { $0 == " " || $0 == "\t" }
  }
}
