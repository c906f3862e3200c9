import HTTP
import V2Store

/// What a discovery service is asked for. Pure.
///
/// | request | what |
/// |---|---|
/// | `GET\|PUT /new?size=3` | a token of one's own |
/// | `GET /TOKEN/_config/size` | how many members the cluster is to have |
/// | `GET /TOKEN` | who has come |
/// | `GET /TOKEN?wait=true&waitIndex=N` | the next who comes, from index N on |
/// | `GET\|PUT\|DELETE /TOKEN/ID` | one entry; PUT with `prevExist=false` and `value` in a form |
///
/// - Source: etcd `api/v2discovery/discovery.go` for what members ask; etcd-discovery `handlers/new.go` for `/new`.
enum RegistryRequest: Equatable, Sendable {
  case new(size: Int)
  case size(token: String)
  case list(token: String)
  case wait(token: String, from: Int64)
  case entry(token: String, id: String)
  case enter(token: String, id: String, value: String)
  case leave(token: String, id: String)

  static let sizeByDefault = 3
  /// Of an entry: `name=url,name=url`.
  static let valueBytesMax = 4096

  /// - Parameters:
  ///   - path: decoded.
  ///   - form: of body and query.
  /// - Throws: the refusal that is the answer.
  init(_ method: String, _ path: String, _ form: HTTPForm) throws(RegistryRefusal) {
    let parts = path.split(separator: "/").map(String.init)
    let cause = "/" + parts.joined(separator: "/")
    guard parts.allSatisfy(RegistryToken.isName), let token = parts.first else {
      throw .notFound(cause, 0)
    }
    switch (method, parts.count) {
    case ("GET", 1) where token == "new", ("PUT", 1) where token == "new",
      ("POST", 1) where token == "new":
      let size =
        form.has("size") ? form.number("size").flatMap { Int(exactly: $0) } : Self.sizeByDefault
      guard let size, (1...RegistryToken.sizeMax).contains(size) else {
        throw RegistryRefusal.text(
          400, "size is a number from 1 to \(RegistryToken.sizeMax), not '\(form.first("size"))'")
      }
      self = .new(size: size)
    case ("GET", 1):
      guard form.flag("wait") == true else {
        self = .list(token: token)
        return
      }
      guard let from = form.number("waitIndex").flatMap({ Int64(exactly: $0) }) else {
        throw RegistryRefusal.key(V2Error(.indexNotANumber, "invalid value for \"waitIndex\""))
      }
      self = .wait(token: token, from: from)
    case ("GET", 3) where parts[1] == "_config" && parts[2] == "size": self = .size(token: token)
    case ("GET", 2): self = .entry(token: token, id: parts[1])
    case ("PUT", 2):
      let value = form.first("value")
      guard value.utf8.count <= Self.valueBytesMax, parts[1] != "_config" else {
        throw RegistryRefusal.text(
          400, "an entry has \(Self.valueBytesMax) bytes at most, and an ID of its own")
      }
      self = .enter(token: token, id: parts[1], value: value)
    case ("DELETE", 2) where parts[1] != "_config": self = .leave(token: token, id: parts[1])
    default: throw .notFound(cause, 0)
    }
  }
}

/// Why a discovery service does not do what it is asked for.
enum RegistryRefusal: Error, Equatable, Sendable {
  /// As the v2 API refuses it.
  case key(V2Error)
  /// A status and a sentence, for what no client of the v2 API asks for.
  case text(Int, String)

  static func notFound(_ cause: String, _ index: Int64) -> RegistryRefusal {
    .key(V2Error(.keyNotFound, cause, index: UInt64(clamping: index)))
  }

  var status: Int {
    switch self {
    case .key(let error): error.httpStatus
    case .text(let status, _): status
    }
  }
}
