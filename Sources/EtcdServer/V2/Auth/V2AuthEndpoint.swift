import Bytes
import EtcdAPI
import EventLoops
import HTTP
import JSON

/// `/v2/auth`: users, roles, and whether they are asked for.
///
/// - Source: etcd `v2http/client_auth.go`.
struct V2AuthEndpoint: Sendable {
  private static let path = "/v2/auth"
  /// Bytes of a request: names and patterns.
  private static let requestBytesMax = 1 << 20

  let access: V2Access
  private var store: V2AuthStore { access.store }
  private var member: RunningMember { store.member }

  func register(in router: inout HTTPRouter) {
    for kind in ["/roles", "/users"] {
      router.add(nil, Self.path + kind) { exchange, _ in list(exchange, kind) }
      router.add(nil, Self.path + kind + "/") { exchange, path in
        let parts = path.dropFirst(Self.path.count).split(separator: "/")
        switch parts.count {
        case 1: list(exchange, kind)
        case 2: one(exchange, kind, String(parts[1]))
        default: exchange.refuseV2(400, "Invalid path")
        }
      }
    }
    router.add(nil, Self.path + "/enable") { exchange, _ in enable(exchange) }
  }

  // MARK: Requests

  private func enable(_ exchange: HTTPExchange) {
    guard exchange.requireMethod("GET", "PUT", "DELETE") else { return }
    let isRead = exchange.request.method == "GET"
    run(exchange, needsRoot: !isRead) { method throws(V2AuthFailure) in
      switch method {
      case "GET": return (200, ["enabled": .bool(store.isEnabled)])
      case "PUT": try await store.enable()
      default: try await store.disable()
      }
      return (200, nil)
    }
  }

  private func list(_ exchange: HTTPExchange, _ kind: String) {
    guard exchange.requireMethod("GET") else { return }
    run(exchange) { _ throws(V2AuthFailure) in
      var found: [JSONValue] = []
      if kind == "/users" {
        for name in try await store.userNames() {
          found.append(try await shown(try await store.user(name), skipsMissing: true))
        }
        return (200, ["users": found.isEmpty ? .null : .array(found)])
      }
      for name in try await store.roleNames() { found.append(try await store.role(name).json) }
      return (200, ["roles": .array(found)])
    }
  }

  /// A user with what its roles allow.
  /// - Parameter skipsMissing: whether roles that are not there are left out.
  private func shown(
    _ user: V2User, skipsMissing: Bool
  ) async throws(V2AuthFailure) -> JSONValue {
    var roles: [JSONValue] = []
    for name in user.roles ?? [] {
      do throws(V2AuthFailure) { roles.append(try await store.role(name).json) } catch {
        guard skipsMissing else { throw error }
      }
    }
    var object: JSONObject = ["user": .string(user.name)]
    if !roles.isEmpty { object["roles"] = .array(roles) }
    return .object(object)
  }

  private func one(_ exchange: HTTPExchange, _ kind: String, _ name: String) {
    guard exchange.requireMethod("GET", "PUT", "DELETE") else { return }
    let isUser = kind == "/users"
    guard exchange.request.method == "PUT" else {
      return run(exchange) { method throws(V2AuthFailure) in
        switch (method, isUser) {
        case ("GET", true):
          return (200, try await shown(try await store.user(name), skipsMissing: false))
        case ("GET", false): return (200, try await store.role(name).json)
        case (_, true): try await store.deleteUser(name)
        case (_, false): try await store.deleteRole(name)
        }
        return (200, nil)
      }
    }
    exchange.collectBody(limit: Self.requestBytesMax) { result in
      let json = (try? result.get()).flatMap { try? JSONValue.parse($0) }
      run(exchange) { _ throws(V2AuthFailure) in
        isUser ? try await put(user: json, name) : try await put(role: json, name)
      }
    }
  }

  private func put(
    user json: JSONValue?, _ name: String
  ) async throws(V2AuthFailure) -> (Int, JSONValue?) {
    guard let user = json.flatMap({ try? V2User(json: $0) }) else { throw .plain(Self.invalidJSON) }
    guard user.name == name else {
      throw .plain("User JSON name does not match the name in the URL")
    }
    var out: V2User
    var isNew = false
    let hasRoles = !(user.roles ?? []).isEmpty
    if (user.grant ?? []).isEmpty, (user.revoke ?? []).isEmpty {
      if hasRoles {
        out = try await store.create(user)
      } else {
        (out, isNew) = try await store.createOrUpdate(user)
      }
    } else {
      if hasRoles { throw .plain("User JSON contains both roles and grant/revoke") }
      out = try await store.update(user)
    }
    out.password = ""
    return (isNew ? 201 : 200, out.json)
  }

  private func put(
    role json: JSONValue?, _ name: String
  ) async throws(V2AuthFailure) -> (Int, JSONValue?) {
    guard let role = json.flatMap({ try? V2Role(json: $0) }) else { throw .plain(Self.invalidJSON) }
    guard role.name == name else {
      throw .plain("Role JSON name does not match the name in the URL")
    }
    if role.grant?.isEmpty ?? true, role.revoke?.isEmpty ?? true {
      try await store.create(role)
      return (201, role.json)
    }
    guard role.permissions.isEmpty else {
      throw .plain("Role JSON contains both permissions and grant/revoke")
    }
    return (200, try await store.update(role).json)
  }

  private static let invalidJSON = "Invalid JSON in request body."

  // MARK: Answers

  /// Carries a request out, when its sender may.
  private func run(
    _ exchange: HTTPExchange, needsRoot: Bool = true,
    _ body: @escaping @Sendable (_ method: String) async throws(V2AuthFailure) -> (Int, JSONValue?)
  ) {
    let confined = LoopConfined(exchange)
    let method = exchange.request.method
    Task(executorPreference: member.loop) {
      let exchange = confined.value
      if needsRoot, await !access.isRoot(exchange) {
        return exchange.refuseV2(401, "Insufficient credentials")
      }
      do throws(V2AuthFailure) {
        let (status, value) = try await body(method)
        let text = value.map { $0.encoded(escapeHTML: true).string + "\n" } ?? ""
        exchange.respond(status: status, headers: headers, body: Bytes(text))
      } catch { fail(exchange, error) }
    }
  }

  private var headers: HTTPHeaders {
    ["X-Etcd-Cluster-Id": member.v2ClusterID, "Content-Type": "application/json"]
  }

  private func fail(_ exchange: HTTPExchange, _ failure: V2AuthFailure) {
    exchange.extraHeaders.set("X-Etcd-Cluster-Id", member.v2ClusterID)
    switch failure {
    case .refused(let error): exchange.refuseV2(error.status, error.message)
    case .plain(let message): exchange.refuseV2(400, message)
    case .store(let error): exchange.refuse(error)
    case .failed(let error):
      member.logger.warn(
        "failed to answer a request for v2 users", [.init("error", .string(error.message))])
      exchange.refuseV2(500, "Internal Server Error")
    }
  }
}
