import Bytes
import EtcdAPI
import MVCC
import Protobuf

/// Applying auth requests. Every member does the same with the same entry.
extension AuthStore {
  /// Whether a request is about users and roles.
  public static func concerns(_ request: Etcdserverpb.InternalRaftRequest) -> Bool {
    request.authenticate != nil || request.authUserGet != nil || request.authRoleGet != nil
      || needsAdmin(request)
  }

  /// Requests for holders of the root role only.
  private static func needsAdmin(_ request: Etcdserverpb.InternalRaftRequest) -> Bool {
    request.authEnable != nil || request.authDisable != nil || request.authStatus != nil
      || changesUsers(request) || changesRoles(request)
      || request.authUserList != nil || request.authRoleList != nil
  }

  private static func changesUsers(_ request: Etcdserverpb.InternalRaftRequest) -> Bool {
    request.authUserAdd != nil || request.authUserDelete != nil
      || request.authUserChangePassword != nil || request.authUserGrantRole != nil
      || request.authUserRevokeRole != nil
  }

  private static func changesRoles(_ request: Etcdserverpb.InternalRaftRequest) -> Bool {
    request.authRoleAdd != nil || request.authRoleDelete != nil
      || request.authRoleGrantPermission != nil || request.authRoleRevokePermission != nil
  }

  /// Applies a request that `concerns` answered yes to.
  /// - Parameter index: of the entry.
  /// - Returns: the answer, and what it means for tokens.
  /// - Throws: what the client is told; nothing has changed then.
  public mutating func apply(
    _ request: Etcdserverpb.InternalRaftRequest, index: UInt64, to store: inout MVCCStore,
    hash: PasswordHash
  ) throws(EtcdError) -> (AuthResult, TokenEvent?) {
    let caller = AuthInfo(request.header)
    if Self.needsAdmin(request) { try checkAdmin(caller) }
    if Self.changesUsers(request) {
      return (.done, try applyUserChange(request, to: &store, hash: hash))
    }
    if Self.changesRoles(request) {
      try applyRoleChange(request, to: &store)
      return (.done, nil)
    }
    if request.authEnable != nil {
      try enable(&store)
      return (.done, nil)
    }
    if request.authDisable != nil {
      guard isEnabled else { return (.done, nil) }
      setEnabled(false, &store)
      advance(&store)
      return (.done, .invalidateAll)
    }
    if let login = request.authenticate {
      try checkLogin(login.name)
      return (
        .authenticated(index: index, authRevision: revision),
        .assign(prefix: login.simpleToken, index: index, user: login.name)
      )
    }
    return (try read(request, caller), nil)
  }

  private mutating func enable(_ store: inout MVCCStore) throws(EtcdError) {
    if isEnabled { return }
    guard let user = users[ExactString(Self.root)] else { throw .rootUserNotExist }
    guard user.holds(ExactString(Self.root)) else { throw .rootRoleNotExist }
    setEnabled(true, &store)
  }

  /// The password was checked by the member that proposed the entry.
  private func checkLogin(_ name: String) throws(EtcdError) {
    guard isEnabled else { throw .authNotEnabled }
    guard let user = users[ExactString(name)], user.options?.noPassword != true else {
      throw .authFailed
    }
  }

  private func read(
    _ request: Etcdserverpb.InternalRaftRequest, _ caller: AuthInfo
  ) throws(EtcdError) -> AuthResult {
    if let get = request.authUserGet {
      // Everybody may look at itself.
      if ExactString(get.name) != ExactString(caller.username) { try checkAdmin(caller) }
      guard let user = users[ExactString(get.name)] else { throw .userNotFound }
      return .roles(user.roles)
    }
    if let get = request.authRoleGet {
      let own = users[ExactString(caller.username)]?.holds(ExactString(get.role)) ?? false
      if !own { try checkAdmin(caller) }
      guard let role = roles[ExactString(get.role)] else { throw .roleNotFound }
      return .permissions(role.keyPermission)
    }
    if request.authUserList != nil { return .users(users.keys.sorted().map(\.text)) }
    if request.authRoleList != nil { return .roles(roles.keys.sorted().map(\.text)) }
    return .status(isEnabled: isEnabled, revision: revision)
  }

  // MARK: Users

  private mutating func applyUserChange(
    _ request: Etcdserverpb.InternalRaftRequest, to store: inout MVCCStore, hash: PasswordHash
  ) throws(EtcdError) -> TokenEvent? {
    if let add = request.authUserAdd {
      try addUser(add, &store, hash)
    } else if let delete = request.authUserDelete {
      let name = ExactString(delete.name)
      if isEnabled, name == ExactString(Self.root) { throw .invalidAuthManagement }
      guard users[name] != nil else { throw .userNotFound }
      removeUser(name, &store)
      advance(&store)
      return .invalidate(user: delete.name)
    } else if let change = request.authUserChangePassword {
      try changePassword(change, &store, hash)
      return .invalidate(user: change.name)
    } else if let grant = request.authUserGrantRole {
      try grantRole(grant, &store)
    } else if let revoke = request.authUserRevokeRole {
      try revokeRole(revoke, &store)
    }
    return nil
  }

  private mutating func addUser(
    _ request: Etcdserverpb.AuthUserAddRequest, _ store: inout MVCCStore, _ hash: PasswordHash
  ) throws(EtcdError) {
    guard !request.name.isEmpty else { throw .userEmpty }
    guard users[ExactString(request.name)] == nil else { throw .userExists }
    let options = request.options ?? Authpb.UserAddOptions()
    var user = Authpb.User(name: Bytes(request.name), options: options)
    if !options.noPassword {
      user.password = try Self.password(request.password, request.hashedPassword, hash)
    }
    save(user, &store)
    advance(&store)
  }

  private mutating func changePassword(
    _ request: Etcdserverpb.AuthUserChangePasswordRequest, _ store: inout MVCCStore,
    _ hash: PasswordHash
  ) throws(EtcdError) {
    guard var user = users[ExactString(request.name)] else { throw .userNotFound }
    user.password = Bytes()
    if user.options?.noPassword != true {
      user.password = try Self.password(request.password, request.hashedPassword, hash)
    }
    save(user, &store)
    advance(&store)
  }

  /// The hash to store. Entries of etcd 3.4 hold the password itself, and every member makes its own
  /// hash of it.
  private static func password(
    _ plain: String, _ hashed: String, _ hash: PasswordHash
  ) throws(EtcdError) -> Bytes {
    if !plain.isEmpty, hashed.isEmpty {
      guard let made = hash(plain) else { throw .passwordTooLong }
      return made
    }
    guard let decoded = decodeBase64(hashed) else { throw .noPasswordUser }
    return decoded
  }

  /// As Go's standard encoding: padded, line ends passed over.
  private static func decodeBase64(_ text: String) -> Bytes? {
    Base64.standard.decode(Bytes(text.utf8.filter { $0 != 0x0a && $0 != 0x0d }))
  }

  private mutating func grantRole(
    _ request: Etcdserverpb.AuthUserGrantRoleRequest, _ store: inout MVCCStore
  ) throws(EtcdError) {
    guard var user = users[ExactString(request.user)] else { throw .userNotFound }
    let role = ExactString(request.role)
    // The root role need not exist.
    if role != ExactString(Self.root), roles[role] == nil { throw .roleNotFound }
    if user.holds(role) { return }
    user.roles = (user.roles + [request.role]).sorted { ExactString($0) < ExactString($1) }
    save(user, &store)
    advance(&store)
  }

  private mutating func revokeRole(
    _ request: Etcdserverpb.AuthUserRevokeRoleRequest, _ store: inout MVCCStore
  ) throws(EtcdError) {
    let root = ExactString(Self.root)
    let role = ExactString(request.role)
    if isEnabled, ExactString(request.name) == root, role == root { throw .invalidAuthManagement }
    guard var user = users[ExactString(request.name)] else { throw .userNotFound }
    guard user.holds(role) else { throw .roleNotGranted }
    user.roles.removeAll { ExactString($0) == role }
    save(user, &store)
    advance(&store)
  }

  // MARK: Roles

  private mutating func applyRoleChange(
    _ request: Etcdserverpb.InternalRaftRequest, to store: inout MVCCStore
  ) throws(EtcdError) {
    if let add = request.authRoleAdd {
      guard !add.name.isEmpty else { throw .roleEmpty }
      guard roles[ExactString(add.name)] == nil else { throw .roleExists }
      save(Authpb.Role(name: Bytes(add.name)), &store)
    } else if let delete = request.authRoleDelete {
      try deleteRole(ExactString(delete.role), &store)
    } else if let grant = request.authRoleGrantPermission {
      try grantPermission(grant, &store)
    } else if let revoke = request.authRoleRevokePermission {
      guard var role = roles[ExactString(revoke.role)] else { throw .roleNotFound }
      let before = role.keyPermission.count
      role.keyPermission.removeAll { $0.key == revoke.key && $0.rangeEnd == revoke.rangeEnd }
      guard role.keyPermission.count < before else { throw .permissionNotGranted }
      save(role, &store)
    }
    advance(&store)
  }

  private mutating func deleteRole(
    _ name: ExactString, _ store: inout MVCCStore
  ) throws(EtcdError) {
    if isEnabled, name == ExactString(Self.root) { throw .invalidAuthManagement }
    guard roles[name] != nil else { throw .roleNotFound }
    removeRole(name, &store)
    for var user in Array(users.values) where user.holds(name) {
      user.roles.removeAll { ExactString($0) == name }
      save(user, &store)
    }
  }

  /// Grants of a role are sorted by key; one with the same bounds is replaced.
  private mutating func grantPermission(
    _ request: Etcdserverpb.AuthRoleGrantPermissionRequest, _ store: inout MVCCStore
  ) throws(EtcdError) {
    guard let permission = request.perm else { throw .permissionNotGiven }
    guard RangePermissions.isValid(permission) else { throw .invalidAuthManagement }
    guard var role = roles[ExactString(request.name)] else { throw .roleNotFound }
    var grants = role.keyPermission
    // Go looks only at the first grant with this key.
    let place = grants.firstIndex { !($0.key < permission.key) } ?? grants.count
    if place < grants.count, grants[place].key == permission.key,
      grants[place].rangeEnd == permission.rangeEnd
    {
      grants[place].permType = permission.permType
    } else {
      var own = permission
      own.key = permission.key.detached()
      own.rangeEnd = permission.rangeEnd.detached()
      grants.insert(own, at: grants.firstIndex { permission.key < $0.key } ?? grants.count)
    }
    role.keyPermission = grants
    save(role, &store)
  }
}
