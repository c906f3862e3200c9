import Bytes
import CommandLineTool
import HTTP
import V2API

/// Requests about keys.
///
/// - Source: etcd 3.5 `client/v2/keys.go`.
struct V2Keys {
  let client: V2Client

  /// What must be true for a key to be set.
  enum Existence: String {
    case any = ""
    case exists = "true"
    case isNew = "false"
  }

  static func path(_ key: String) -> Bytes {
    var out = ByteWriter(capacity: key.utf8.count + 16)
    out.append("/v2/keys/")
    out.append(argumentBytes(key))
    // The slash in between may be the key's own.
    return HTTPRouter.clean(out.finish())
  }

  /// Asks for a key or a directory.
  static func get(_ key: String, _ flags: V2Words) -> V2Request {
    var request = V2Request(path: path(key))
    request.query = [
      ("recursive", "\(flags.bool("recursive"))"), ("sorted", "\(flags.bool("sort"))"),
      ("quorum", "\(flags.bool("quorum"))"),
    ].map { ($0, Bytes($1)) }
    return request
  }

  /// Sets a key; without a value it is a directory.
  static func set(
    _ key: String, _ value: String?, _ existence: Existence, _ flags: V2Words
  ) -> V2Request {
    var request = form("PUT", key, value, flags)
    if value == nil { request.query.append(("dir", "true")) }
    let previous = flags.string("swap-with-value")
    if value != nil, !previous.isEmpty {
      request.query.append(("prevValue", argumentBytes(previous)))
    }
    let index = flags.int("swap-with-index")
    if index != 0 { request.query.append(("prevIndex", unsigned(index))) }
    if existence != .any { request.query.append(("prevExist", Bytes(existence.rawValue))) }
    request.isOneShot = existence == .isNew
    return request
  }

  /// Makes a key with the next number in a directory.
  static func createInOrder(_ directory: String, _ value: String, _ flags: V2Words) -> V2Request {
    form("POST", directory, value, flags)
  }

  /// Removes a key or a directory.
  static func delete(_ key: String, isDirectory: Bool, _ flags: V2Words) -> V2Request {
    var request = V2Request(method: "DELETE", path: path(key))
    request.contentType = V2Form.contentType
    request.isOneShot = true
    let previous = flags.string("with-value")
    if !previous.isEmpty { request.query.append(("prevValue", argumentBytes(previous))) }
    let index = flags.int("with-index")
    if index != 0 { request.query.append(("prevIndex", unsigned(index))) }
    if isDirectory { request.query.append(("dir", "true")) }
    if flags.bool("recursive") { request.query.append(("recursive", "true")) }
    return request
  }

  /// Waits for the first change at an index or behind it; 0 for the next.
  static func wait(_ key: String, from index: UInt64, _ flags: V2Words) -> V2Request {
    var request = V2Request(path: path(key))
    request.isWait = true
    request.query = [
      ("wait", "true"), ("waitIndex", Bytes("\(index)")),
      ("recursive", Bytes("\(flags.bool("recursive"))")),
    ]
    return request
  }

  /// Sends a request and waits for its result.
  /// - Parameter deadline: `nil` for as long as it takes.
  func ask(
    _ request: V2Request, deadline: ContinuousClock.Instant?
  ) throws(V2Failure) -> V2Response {
    guard let response = try V2Response(try client.ask(request, deadline: deadline)) else {
      throw .other("client: response body is empty")
    }
    return response
  }

  private static func form(
    _ method: String, _ key: String, _ value: String?, _ flags: V2Words
  ) -> V2Request {
    var request = V2Request(method: method, path: path(key))
    var fields: [(name: String, value: Bytes)] = []
    let ttl = flags.int("ttl")
    if ttl > 0 { fields.append(("ttl", Bytes("\(ttl)"))) }
    if let value { fields.append(("value", argumentBytes(value))) }
    request.body = Bytes(V2Form.encoded(fields))
    request.contentType = V2Form.contentType
    return request
  }

  /// Go's conversion: a number below zero becomes a large one.
  private static func unsigned(_ number: Int64) -> Bytes {
    Bytes("\(UInt64(bitPattern: number))")
  }
}
