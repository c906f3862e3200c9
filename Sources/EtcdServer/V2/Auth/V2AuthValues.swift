import Bytes
import JSON

/// Why a request about users or roles of the v2 API is refused.
///
/// - Source: etcd `v2auth.Error`.
struct V2AuthError: Error, Equatable {
  let status: Int
  let message: String

  init(_ status: Int, _ message: String) {
    self.status = status
    self.message = "auth: " + message
  }
}

/// A user of the v2 API as it is stored and sent.
///
/// - Source: etcd `v2auth.User`.
struct V2User: Equatable, Sendable {
  var name = ""
  /// A hash where it is stored.
  var password = ""
  /// `nil` and none at all are written differently.
  var roles: [String]?
  var grant: [String]?
  var revoke: [String]?

  /// Root has the role of that name, whatever is stored.
  func withRootRole() -> V2User {
    guard name == V2Role.root.name, !(roles ?? []).contains(V2Role.root.name) else { return self }
    var user = self
    user.roles = (roles ?? []) + [V2Role.root.name]
    return user
  }

  /// With what another one grants, revokes and sets.
  /// - Parameter password: the hash of the new password; `nil` for the old one.
  /// - Throws: what is granted twice or revoked without being there.
  func merging(_ news: V2User, password: String?) throws(V2AuthError) -> V2User {
    guard name == news.name else {
      throw V2AuthError(409, "Merging user data with conflicting usernames: \(name) \(news.name)")
    }
    var all = Set(roles ?? [])
    for role in news.grant ?? [] where !all.insert(role).inserted {
      throw V2AuthError(409, "Granting duplicate role \(role) for user \(name)")
    }
    for role in news.revoke ?? [] where all.remove(role) == nil {
      throw V2AuthError(409, "Revoking ungranted role \(role) for user \(name)")
    }
    return V2User(name: name, password: password ?? self.password, roles: all.sorted())
  }
}

/// What may be read and written: paths, or beginnings of paths that end with `*`.
///
/// - Source: etcd `v2auth.RWPermission`.
struct V2Permissions: Equatable, Sendable {
  var read: [String]?
  var write: [String]?

  var isEmpty: Bool { (read ?? []).isEmpty && (write ?? []).isEmpty }

  /// - Throws: what is there already.
  func granting(_ news: V2Permissions) throws(V2AuthError) -> V2Permissions {
    func add(_ new: [String]?, to old: [String]?, _ kind: String) throws(V2AuthError) -> [String] {
      var all = Set(old ?? [])
      for pattern in new ?? [] where !all.insert(pattern).inserted {
        throw V2AuthError(409, "Granting duplicate \(kind) permission \(pattern)")
      }
      return all.sorted()
    }
    return V2Permissions(
      read: try add(news.read, to: read, "read"), write: try add(news.write, to: write, "write"))
  }

  /// What is not there is left out in silence.
  func revoking(_ news: V2Permissions) -> V2Permissions {
    V2Permissions(
      read: Set(read ?? []).subtracting(news.read ?? []).sorted(),
      write: Set(write ?? []).subtracting(news.write ?? []).sorted())
  }

  /// - Parameter isRecursive: whether everything below the key is meant, for which only a beginning is enough.
  func allow(_ key: String, isWrite: Bool, isRecursive: Bool) -> Bool {
    ((isWrite ? write : read) ?? []).contains { pattern in
      guard pattern.hasSuffix("*") else {
        return !isRecursive && !pattern.isEmpty && key == pattern
      }
      return key.utf8.starts(with: pattern.utf8.dropLast())
    }
  }
}

/// A role of the v2 API as it is stored and sent.
///
/// - Source: etcd `v2auth.Role`.
struct V2Role: Equatable, Sendable {
  var name = ""
  var permissions = V2Permissions()
  var grant: V2Permissions?
  var revoke: V2Permissions?

  private static let everything = V2Permissions(read: ["/*"], write: ["/*"])
  /// Is not stored, and may everything.
  static let root = V2Role(name: "root", permissions: everything)
  /// What is asked without a name has this role.
  static let guest = V2Role(name: "guest", permissions: everything)

  func merging(_ news: V2Role) throws(V2AuthError) -> V2Role {
    var merged = V2Role(name: name, permissions: permissions)
    if let grant = news.grant { merged.permissions = try merged.permissions.granting(grant) }
    if let revoke = news.revoke { merged.permissions = merged.permissions.revoking(revoke) }
    return merged
  }

  func allows(_ key: String, isWrite: Bool, isRecursive: Bool) -> Bool {
    name == Self.root.name || permissions.allow(key, isWrite: isWrite, isRecursive: isRecursive)
  }
}

// MARK: JSON

/// A value of another kind than Go's decoder takes.
struct V2AuthJSONError: Error {}

extension V2User {
  init(json: JSONValue) throws(V2AuthJSONError) {
    let fields = try GoFields(json)
    name = try fields.text("user") ?? ""
    password = try fields.text("password") ?? ""
    roles = try fields.texts("roles")
    grant = try fields.texts("grant")
    revoke = try fields.texts("revoke")
  }

  var json: JSONValue {
    var object: JSONObject = ["user": .string(name)]
    if !password.isEmpty { object["password"] = .string(password) }
    object["roles"] = GoFields.json(roles)
    if let grant, !grant.isEmpty { object["grant"] = GoFields.json(grant) }
    if let revoke, !revoke.isEmpty { object["revoke"] = GoFields.json(revoke) }
    return .object(object)
  }
}

extension V2Permissions {
  fileprivate init(json: JSONValue) throws(V2AuthJSONError) {
    guard let kv = try GoFields(json).value("kv") else { return }
    let fields = try GoFields(kv)
    read = try fields.texts("read")
    write = try fields.texts("write")
  }

  fileprivate var json: JSONValue {
    ["kv": ["read": GoFields.json(read), "write": GoFields.json(write)]]
  }
}

extension V2Role {
  init(json: JSONValue) throws(V2AuthJSONError) {
    let fields = try GoFields(json)
    name = try fields.text("role") ?? ""
    if let found = fields.value("permissions") { permissions = try V2Permissions(json: found) }
    if let found = fields.value("grant") { grant = try V2Permissions(json: found) }
    if let found = fields.value("revoke") { revoke = try V2Permissions(json: found) }
  }

  var json: JSONValue {
    var object: JSONObject = ["role": .string(name), "permissions": permissions.json]
    if let grant { object["grant"] = grant.json }
    if let revoke { object["revoke"] = revoke.json }
    return .object(object)
  }
}

/// Fields of an object by the rules of Go's decoder: names in any case, `null` for what is not there.
private struct GoFields {
  private let members: [JSONObject.Member]

  init(_ json: JSONValue) throws(V2AuthJSONError) {
    if json == .null {
      members = []
      return
    }
    guard let object = json.object else { throw V2AuthJSONError() }
    members = object.members
  }

  func value(_ name: String) -> JSONValue? {
    let found = members.last { $0.name == name || $0.name.lowercased() == name }
    return found.flatMap { $0.value == .null ? nil : $0.value }
  }

  func text(_ name: String) throws(V2AuthJSONError) -> String? {
    guard let value = value(name) else { return nil }
    guard let text = value.string else { throw V2AuthJSONError() }
    return text
  }

  func texts(_ name: String) throws(V2AuthJSONError) -> [String]? {
    guard let value = value(name) else { return nil }
    guard let array = value.array else { throw V2AuthJSONError() }
    var texts: [String] = []
    for element in array {
      // An element that is null is an empty text.
      guard let text = element == .null ? "" : element.string else { throw V2AuthJSONError() }
      texts.append(text)
    }
    return texts
  }

  static func json(_ texts: [String]?) -> JSONValue {
    texts.map { .array($0.map { .string($0) }) } ?? .null
  }
}
