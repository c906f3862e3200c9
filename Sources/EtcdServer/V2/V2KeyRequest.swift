import EtcdAPI
import HTTP
import V2Store

/// What a request for keys asks.
///
/// - Source: etcd `v2http.parseKeyRequest`.
struct V2KeyRequest: Sendable {
  /// As it would go into the log; the id is still to be given.
  var request = Etcdserverpb.Request()
  var wait = false
  var stream = false
  var since: UInt64 = 0
  var hidesNodes = false

  /// - Parameters:
  ///   - path: below `/v2/keys`.
  ///   - now: nanoseconds since 1970.
  /// - Throws: the refusal, checked in Go's order.
  init(_ method: String, _ path: String, _ form: HTTPForm, now: Int64) throws(V2Error) {
    request.method = method
    request.path = V2Entry.userRoot + (path.isEmpty || path == "/" ? "" : Self.clean(path))
    request.prevIndex = try Self.number(form, "prevIndex", .indexNotANumber)
    since = try Self.number(form, "waitIndex", .indexNotANumber)
    request.recursive = try Self.flag(form, "recursive")
    request.sorted = try Self.flag(form, "sorted")
    wait = try Self.flag(form, "wait")
    request.dir = try Self.flag(form, "dir")
    request.quorum = try Self.flag(form, "quorum")
    stream = try Self.flag(form, "stream")
    if wait, method != "GET" {
      throw V2Error(.invalidField, "\"wait\" can only be used with GET requests")
    }
    request.prevValue = form.first("prevValue")
    if form.has("prevValue"), request.prevValue.isEmpty {
      throw V2Error(.previousValueRequired, "\"prevValue\" cannot be empty")
    }
    hidesNodes = try Self.flag(form, "noValueOnSuccess")
    let ttl = form.first("ttl").isEmpty ? nil : try Self.number(form, "ttl", .ttlNotANumber)
    if form.has("prevExist") {
      request.prevExist = try Self.flag(form, "prevExist", quoting: false)
    }
    request.val = form.first("value")
    if form.has("refresh") {
      let isRefresh = try Self.flag(form, "refresh", quoting: false)
      request.refresh = isRefresh
      if isRefresh, !request.val.isEmpty {
        throw V2Error(.valueOnRefresh, "A value was provided on a refresh")
      }
      if isRefresh, ttl == nil { throw V2Error(.ttlRequiredOnRefresh, "No TTL value set") }
    }
    if let ttl {
      // Go's durations begin anew at their end, too.
      request.expiration = now &+ Int64(truncatingIfNeeded: ttl) &* 1_000_000_000
    }
    request.wait = wait
    request.since = since
    request.stream = stream
    // Who asks for a quorum does not wait, whatever else is asked.
    if method == "GET", request.quorum { (request.method, wait) = ("QGET", false) }
  }

  /// Whether it goes through the log.
  var isProposed: Bool { request.method != "GET" && request.method != "HEAD" }

  /// Without a slash at the end. Other parts were made clean when the path was routed.
  private static func clean(_ path: String) -> String {
    path.hasSuffix("/") ? String(path.dropLast()) : path
  }

  private static func number(
    _ form: HTTPForm, _ name: String, _ code: V2Error.Code
  ) throws(V2Error) -> UInt64 {
    guard let number = form.number(name) else {
      throw V2Error(code, "invalid value for \"\(name)\"")
    }
    return number
  }

  private static func flag(
    _ form: HTTPForm, _ name: String, quoting: Bool = true
  ) throws(V2Error) -> Bool {
    guard let flag = form.flag(name) else {
      throw V2Error(.invalidField, "invalid value for " + (quoting ? "\"\(name)\"" : name))
    }
    return flag
  }
}
