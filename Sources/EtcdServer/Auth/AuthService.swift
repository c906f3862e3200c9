import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member
import Protobuf

/// etcdserverpb.Auth: users, roles and tokens. Everything but the passwords is decided by apply.
///
/// - Source: etcd `v3rpc/auth.go`, `v3_server.go`.
struct AuthService: Sendable {
  typealias API = Etcdserverpb
  let member: RunningMember

  func register(in router: inout CallRouter) {
    registerStates(in: &router)
    registerUsers(in: &router)
    registerRoles(in: &router)
  }

  private func registerStates(in router: inout CallRouter) {
    typealias Service = API.AuthService
    serve(Service.authEnable, .authEnable, API.AuthEnableRequest.self, &router) {
      API.AuthEnableResponse(header: $1).encoded()
    }
    serve(Service.authDisable, .authDisable, API.AuthDisableRequest.self, &router) {
      API.AuthDisableResponse(header: $1).encoded()
    }
    serve(Service.authStatus, .authStatus, API.AuthStatusRequest.self, &router) { result, header in
      guard case .status(let isEnabled, let revision) = result else { return nil }
      return API.AuthStatusResponse(header: header, enabled: isEnabled, authRevision: revision)
        .encoded()
    }
    router.unary(Service.authenticate.path, counters: member.counters(Service.authenticate)) {
      authenticate($0, $1)
    }
  }

  private func registerUsers(in router: inout CallRouter) {
    typealias Service = API.AuthService
    router.unary(Service.userAdd.path, counters: member.counters(Service.userAdd)) {
      addUser($0, $1)
    }
    router.unary(
      Service.userChangePassword.path, counters: member.counters(Service.userChangePassword)
    ) { changePassword($0, $1) }
    serve(Service.userGet, .authUserGet, API.AuthUserGetRequest.self, &router) { result, header in
      guard case .roles(let roles) = result else { return nil }
      return API.AuthUserGetResponse(header: header, roles: roles).encoded()
    }
    serve(Service.userList, .authUserList, API.AuthUserListRequest.self, &router) {
      guard case .users(let users) = $0 else { return nil }
      return API.AuthUserListResponse(header: $1, users: users).encoded()
    }
    serve(Service.userDelete, .authUserDelete, API.AuthUserDeleteRequest.self, &router) {
      API.AuthUserDeleteResponse(header: $1).encoded()
    }
    serve(Service.userGrantRole, .authUserGrantRole, API.AuthUserGrantRoleRequest.self, &router) {
      API.AuthUserGrantRoleResponse(header: $1).encoded()
    }
    serve(Service.userRevokeRole, .authUserRevokeRole, API.AuthUserRevokeRoleRequest.self, &router)
    { API.AuthUserRevokeRoleResponse(header: $1).encoded() }
  }

  private func registerRoles(in router: inout CallRouter) {
    typealias Service = API.AuthService
    serve(Service.roleAdd, .authRoleAdd, API.AuthRoleAddRequest.self, &router) {
      API.AuthRoleAddResponse(header: $1).encoded()
    }
    serve(Service.roleGet, .authRoleGet, API.AuthRoleGetRequest.self, &router) { result, header in
      guard case .permissions(let permissions) = result else { return nil }
      return API.AuthRoleGetResponse(header: header, perm: permissions).encoded()
    }
    serve(Service.roleList, .authRoleList, API.AuthRoleListRequest.self, &router) {
      guard case .roles(let roles) = $0 else { return nil }
      return API.AuthRoleListResponse(header: $1, roles: roles).encoded()
    }
    serve(Service.roleDelete, .authRoleDelete, API.AuthRoleDeleteRequest.self, &router) {
      API.AuthRoleDeleteResponse(header: $1).encoded()
    }
    serve(
      Service.roleGrantPermission, .authRoleGrantPermission,
      API.AuthRoleGrantPermissionRequest.self, &router
    ) { API.AuthRoleGrantPermissionResponse(header: $1).encoded() }
    serve(
      Service.roleRevokePermission, .authRoleRevokePermission,
      API.AuthRoleRevokePermissionRequest.self, &router
    ) { API.AuthRoleRevokePermissionResponse(header: $1).encoded() }
  }

  /// Serves a method whose request goes into the log as it came.
  /// - Parameter answer: the encoded response; `nil` when apply returned something else.
  private func serve<Request: ProtobufMessage>(
    _ method: MethodDescriptor, _ field: RaftRequest.Field, _: Request.Type,
    _ router: inout CallRouter,
    answer: @escaping @Sendable (AuthResult, API.ResponseHeader) -> Bytes?
  ) {
    router.unary(method.path, counters: member.counters(method)) { call, bytes in
      guard call.decode(Request.self, bytes) != nil else { return }
      propose(call, field, bytes, answer)
    }
  }

  private func propose(
    _ call: UnaryCall, _ field: RaftRequest.Field, _ bytes: Bytes,
    _ answer: @escaping (AuthResult, API.ResponseHeader) -> Bytes?
  ) {
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(error)
    }
    member.propose(field, bytes, for: call.caller) { outcome, term in
      do throws(EtcdError) {
        let (result, revision) = try outcome.auth()
        guard let response = answer(result, member.header(term: term, revision: revision)) else {
          throw .foreignAnswer
        }
        call.respond(.bytes(response))
      } catch { call.fail(error) }
    }
  }

  // MARK: Passwords

  private func addUser(_ call: UnaryCall, _ bytes: Bytes) {
    guard var request = call.decode(API.AuthUserAddRequest.self, bytes) else { return }
    func answer(_: AuthResult, _ header: API.ResponseHeader) -> Bytes? {
      API.AuthUserAddResponse(header: header).encoded()
    }
    if request.options?.noPassword == true {
      return propose(call, .authUserAdd, bytes, answer)
    }
    withHash(request.password, call) { hash in
      request.password = ""
      request.hashedPassword = hash
      propose(call, .authUserAdd, request.encoded(), answer)
    }
  }

  private func changePassword(_ call: UnaryCall, _ bytes: Bytes) {
    guard var request = call.decode(API.AuthUserChangePasswordRequest.self, bytes) else { return }
    func answer(_: AuthResult, _ header: API.ResponseHeader) -> Bytes? {
      API.AuthUserChangePasswordResponse(header: header).encoded()
    }
    if request.password.isEmpty {
      return propose(call, .authUserChangePassword, bytes, answer)
    }
    withHash(request.password, call) { hash in
      request.password = ""
      request.hashedPassword = hash
      propose(call, .authUserChangePassword, request.encoded(), answer)
    }
  }

  /// Hashes a password for a caller who may ask for that; the log never sees the password.
  private func withHash(
    _ password: String, _ call: UnaryCall, _ body: @escaping (_ hash: String) -> Void
  ) {
    member.whenPermitted(.user, call) {
      member.passwords.hash(password, on: member.loop) { result in
        switch result {
        case .success(let hash): body(Base64.standard.encode(hash).string)
        case .failure(let error): call.fail(error)
        }
      }
    }
  }

  // MARK: Tokens

  private func authenticate(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(API.AuthenticateRequest.self, bytes) else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(error)
    }
    member.read(linearizable: true) { result, _ in
      if case .failure(let error) = result { return call.fail(error) }
      checkPassword(of: request, call, attempts: 10)
    }
  }

  /// Checks the password against the newest hash, and has the token assigned by the log. When users
  /// changed in between, the password may have, too: once more.
  private func checkPassword(of request: API.AuthenticateRequest, _ call: UnaryCall, attempts: Int)
  {
    guard call.isOpen else { return }
    do throws(EtcdError) {
      let (hash, revision) = try member.access.store.passwordHash(of: request.name)
      member.passwords.check(request.password, hash, on: member.loop) { result in
        if case .failure(let error) = result { return refuse(request.name, call, error) }
        assignToken(for: request, call) { token, header in
          if member.access.store.revision == revision {
            return call.respond(API.AuthenticateResponse(header: header, token: token))
          }
          guard attempts > 1 else { return call.fail(GRPCStatus(.authOldRevision)) }
          checkPassword(of: request, call, attempts: attempts - 1)
        }
      }
    } catch { refuse(request.name, call, error) }
  }

  private func refuse(_ user: String, _ call: UnaryCall, _ error: EtcdError) {
    if error != .authNotEnabled {
      member.logger.warn(
        "invalid authentication was requested",
        [
          LogField("user", .string(LogText.shortened(user))), LogField("error", .error(error)),
        ])
    }
    call.fail(error)
  }

  private func assignToken(
    for request: API.AuthenticateRequest, _ call: UnaryCall,
    _ done: @escaping (_ token: String, API.ResponseHeader) -> Void
  ) {
    let prefix = member.access.makePrefix()
    let entry = API.InternalAuthenticateRequest(name: request.name, simpleToken: prefix)
    let id = member.requests.makeID()
    let data = RaftRequest.encode(.authenticate, entry.encoded(), id: id)
    guard data.count <= member.config.maxRequestBytes else {
      return call.fail(EtcdError.requestTooLarge)
    }
    member.requests.propose(id: id, data) { outcome, term in
      do throws(EtcdError) {
        let (result, revision) = try outcome.auth()
        guard case .authenticated(let index, let authRevision) = result else {
          throw .foreignAnswer
        }
        member.access.makeToken(
          request.name, prefix: prefix, index: index, authRevision: authRevision,
          namesOwnIndex: member.hasOldTokenSpelling, member.passwords, on: member.loop
        ) { result in
          switch result {
          case .success(let token): done(token, member.header(term: term, revision: revision))
          case .failure(let error): call.fail(error)
          }
        }
      } catch { call.fail(error) }
    }
  }
}
