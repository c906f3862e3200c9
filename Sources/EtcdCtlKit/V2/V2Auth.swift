import Bytes
import HTTP
import JSON
import V2API

/// Requests about users and roles.
///
/// - Source: etcd 3.5 `client/v2/auth_user.go`, `auth_role.go`.
struct V2Auth {
  let client: V2Client

  /// Paths that may be read and written.
  struct Permissions: Equatable {
    var read: [String]?
    var write: [String]?

    fileprivate var json: JSONValue {
      func list(_ paths: [String]?) -> JSONValue {
        paths.map { .array($0.map { .string($0) }) } ?? .null
      }
      return ["kv": ["read": list(read), "write": list(write)]]
    }

    fileprivate init(_ json: JSONValue?) {
      func list(_ name: String) -> [String]? {
        json?["kv"]?[name]?.array.map { $0.compactMap(\.string) }
      }
      read = list("read")
      write = list("write")
    }

    init(read: [String]? = nil, write: [String]? = nil) {
      self.read = read
      self.write = write
    }
  }

  struct Role: Equatable {
    let name: String
    let permissions: Permissions

    fileprivate init(_ json: JSONValue) {
      name = json["role"]?.string ?? ""
      permissions = Permissions(json["permissions"])
    }
  }

  /// What is done to a user or a role that exists.
  enum Change: String { case grant, revoke }

  func enable(_ isOn: Bool) throws(V2Failure) {
    try ask(isOn ? "PUT" : "DELETE", "enable", expecting: [200, 201])
  }

  // MARK: users

  func users() throws(V2Failure) -> [String] {
    let body = try ask("GET", "users", expecting: [200])
    return (body["users"]?.array ?? []).map { $0["user"]?.string ?? "" }
  }

  func addUser(_ name: String, password: String) throws(V2Failure) {
    try ask(
      "PUT", "users/" + name, Self.user(name, password: password), expecting: [200, 201])
  }

  func removeUser(_ name: String) throws(V2Failure) {
    try ask("DELETE", "users/" + name, expecting: [200, 201])
  }

  /// The roles of a user.
  ///
  /// A server gives whole roles; Go's client reads them as names first, each of which stays empty, and adds the names
  /// behind them.
  func roles(of name: String) throws(V2Failure) -> [String] {
    let body = try ask("GET", "users/" + name, expecting: [200])
    let roles = body["roles"]?.array ?? []
    let names = roles.map { $0.string ?? "" }
    return names + roles.compactMap { $0.object == nil ? nil : $0["role"]?.string ?? "" }
  }

  func change(
    user name: String, _ change: Change, roles: [String]
  ) throws(V2Failure) {
    let list = JSONValue.array(roles.map { .string($0) })
    var object = Self.user(name, password: "")
    object.members.append(.init(change.rawValue, list))
    try ask("PUT", "users/" + name, object, expecting: [200])
  }

  func setPassword(of name: String, _ password: String) throws(V2Failure) {
    try ask("PUT", "users/" + name, Self.user(name, password: password), expecting: [200])
  }

  private static func user(_ name: String, password: String) -> JSONObject {
    var object = GoObject()
    object.always("user", .string(name))
    object.text("password", password)
    object.always("roles", .null)
    return object.object
  }

  // MARK: roles

  func roles() throws(V2Failure) -> [String] {
    let answer = try client.ask(request("GET", "roles", nil), deadline: client.invocation.deadline)
    guard answer.status == 200 else { throw .status(answer.status) }
    guard let body = JSONValue.body(of: answer) else { throw .invalidJSON }
    return (body["roles"]?.array ?? []).map { $0["role"]?.string ?? "" }
  }

  func addRole(_ name: String) throws(V2Failure) {
    try ask("PUT", "roles/" + name, Self.role(name), expecting: [200, 201])
  }

  func removeRole(_ name: String) throws(V2Failure) {
    try ask("DELETE", "roles/" + name, expecting: [200, 201])
  }

  func role(_ name: String) throws(V2Failure) -> Role {
    Role(try ask("GET", "roles/" + name, expecting: [200]))
  }

  func change(
    role name: String, _ change: Change, _ permissions: Permissions
  ) throws(V2Failure) -> Role {
    var object = Self.role(name)
    object.members.append(.init(change.rawValue, permissions.json))
    return Role(try ask("PUT", "roles/" + name, object, expecting: [200]))
  }

  private static func role(_ name: String) -> JSONObject {
    ["role": .string(name), "permissions": Permissions().json]
  }

  // MARK: requests

  private func request(_ method: String, _ path: String, _ body: JSONObject?) -> V2Request {
    var full = ByteWriter(capacity: 64)
    full.append("/v2/auth/")
    full.append(argumentBytes(path))
    var request = V2Request(method: method, path: HTTPRouter.clean(full.finish()))
    if let body {
      var out = ByteWriter(capacity: 128)
      JSONWriter.write(.object(body), to: &out, escapeHTML: true)
      request.body = out.finish()
    }
    if body != nil || ["users", "roles"].contains(path) {
      request.contentType = "application/json"
    }
    return request
  }

  /// - Returns: the body; `null` for none.
  /// - Throws: the server's message for a status that is not expected.
  @discardableResult
  private func ask(
    _ method: String, _ path: String, _ body: JSONObject? = nil, expecting statuses: Set<Int>
  ) throws(V2Failure) -> JSONValue {
    let deadline = client.invocation.deadline
    let answer = try client.ask(request(method, path, body), deadline: deadline)
    guard statuses.contains(answer.status) else {
      guard let text = JSONValue.body(of: answer)?["message"]?.string else {
        throw answer.status == 404 ? Self.notServed : .invalidJSON
      }
      throw .other(text)
    }
    if answer.body.isEmpty { return .null }
    guard let body = JSONValue.body(of: answer) else { throw .invalidJSON }
    return body
  }

  /// Go's client chokes on the page that says so.
  private static let notServed = V2Failure.other(
    "invalid character 'p' after top-level value\n"
      + "Hint: the server has no /v2/auth: its etcd needs the flag --enable-v2, which switches it on."
  )
}
