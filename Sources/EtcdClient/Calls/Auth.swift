import Bytes
import EtcdAPI

extension EtcdClient {
  /// Users, roles and whether they are asked for. Every call throws `EtcdClientError`.
  public struct Auth: Sendable {
    typealias Service = Etcdserverpb.AuthService

    let client: EtcdClient

    /// Asks everybody for a user from now on; there has to be a user root with the role root.
    @discardableResult
    public func enable() async throws(EtcdClientError) -> Etcdserverpb.AuthEnableResponse {
      try await client.call(Service.authEnable, Etcdserverpb.AuthEnableRequest())
    }

    /// Asks nobody any more.
    @discardableResult
    public func disable() async throws(EtcdClientError) -> Etcdserverpb.AuthDisableResponse {
      try await client.call(Service.authDisable, Etcdserverpb.AuthDisableRequest())
    }

    /// Whether users are asked for, and how often users and roles have changed.
    public func status() async throws(EtcdClientError) -> Etcdserverpb.AuthStatusResponse {
      try await client.call(Service.authStatus, Etcdserverpb.AuthStatusRequest())
    }

    // MARK: Users

    /// Adds a user.
    /// - Parameter password: `nil` for a user who comes with a certificate only.
    @discardableResult
    public func addUser(
      _ name: String, password: String?
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthUserAddResponse {
      try await client.call(
        Service.userAdd,
        Etcdserverpb.AuthUserAddRequest(
          name: name, password: password ?? "", options: .init(noPassword: password == nil)))
    }

    /// The roles of a user.
    public func user(
      _ name: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthUserGetResponse {
      try await client.call(Service.userGet, Etcdserverpb.AuthUserGetRequest(name: name))
    }

    /// The names of all users.
    public func users() async throws(EtcdClientError) -> Etcdserverpb.AuthUserListResponse {
      try await client.call(Service.userList, Etcdserverpb.AuthUserListRequest())
    }

    /// Deletes a user.
    @discardableResult
    public func deleteUser(
      _ name: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthUserDeleteResponse {
      try await client.call(Service.userDelete, Etcdserverpb.AuthUserDeleteRequest(name: name))
    }

    /// Gives a user another password.
    @discardableResult
    public func changePassword(
      of name: String, to password: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthUserChangePasswordResponse {
      try await client.call(
        Service.userChangePassword,
        Etcdserverpb.AuthUserChangePasswordRequest(name: name, password: password))
    }

    /// Gives a user a role.
    @discardableResult
    public func grantRole(
      _ role: String, to user: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthUserGrantRoleResponse {
      try await client.call(
        Service.userGrantRole, Etcdserverpb.AuthUserGrantRoleRequest(user: user, role: role))
    }

    /// Takes a role from a user.
    @discardableResult
    public func revokeRole(
      _ role: String, from user: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthUserRevokeRoleResponse {
      try await client.call(
        Service.userRevokeRole, Etcdserverpb.AuthUserRevokeRoleRequest(name: user, role: role))
    }

    // MARK: Roles

    /// Adds a role that permits nothing.
    @discardableResult
    public func addRole(
      _ name: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthRoleAddResponse {
      try await client.call(Service.roleAdd, Etcdserverpb.AuthRoleAddRequest(name: name))
    }

    /// What a role permits.
    public func role(
      _ name: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthRoleGetResponse {
      try await client.call(Service.roleGet, Etcdserverpb.AuthRoleGetRequest(role: name))
    }

    /// The names of all roles.
    public func roles() async throws(EtcdClientError) -> Etcdserverpb.AuthRoleListResponse {
      try await client.call(Service.roleList, Etcdserverpb.AuthRoleListRequest())
    }

    /// Deletes a role, also from those who have it.
    @discardableResult
    public func deleteRole(
      _ name: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthRoleDeleteResponse {
      try await client.call(Service.roleDelete, Etcdserverpb.AuthRoleDeleteRequest(role: name))
    }

    /// Lets a role read or write keys.
    @discardableResult
    public func grant(
      _ type: Authpb.Permission.TypeEnum, on keys: KeyRange, to role: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthRoleGrantPermissionResponse {
      try await client.call(
        Service.roleGrantPermission,
        Etcdserverpb.AuthRoleGrantPermissionRequest(
          name: role,
          perm: Authpb.Permission(permType: type, key: keys.key, rangeEnd: keys.end)))
    }

    /// Takes from a role what was granted on exactly these keys.
    @discardableResult
    public func revoke(
      _ keys: KeyRange, from role: String
    ) async throws(EtcdClientError) -> Etcdserverpb.AuthRoleRevokePermissionResponse {
      try await client.call(
        Service.roleRevokePermission,
        Etcdserverpb.AuthRoleRevokePermissionRequest(
          role: role, key: keys.key, rangeEnd: keys.end))
    }
  }
}
