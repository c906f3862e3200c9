import Bytes
import EtcdAPI
import EventLoops
import JSON
import Member
import Synchronization
import V2Store

/// Why a request about users was not carried out.
enum V2AuthFailure: Error {
  case refused(V2AuthError)
  /// A request that cannot be meant.
  case plain(String)
  case store(V2Error)
  case failed(EtcdError)
}

/// Users and roles of the v2 API, below `/2` of the v2 store, written by requests as Go's members write them.
/// Confined to the member's loop.
///
/// - Source: etcd `v2auth/auth.go`, `auth_requests.go`.
final class V2AuthStore: @unchecked Sendable {
  // @unchecked: confined to the member's loop.
  let member: RunningMember
  private let hub: V2Hub
  /// The directories are there.
  var isPrepared = false

  init(member: RunningMember, hub: V2Hub) {
    self.member = member
    self.hub = hub
  }

  /// Whether users are checked, as this member knows.
  var isEnabled: Bool { hub.hasAuth.load(ordering: .relaxed) }

  // MARK: Users

  func userNames() async throws(V2AuthFailure) -> [String] { try await names("/users") }

  /// - Parameter quorum: whether it has to be the newest.
  func user(_ name: String, quorum: Bool = false) async throws(V2AuthFailure) -> V2User {
    let json: JSONValue
    do throws(V2AuthFailure) { json = try await read("/users/" + name, quorum: quorum) } catch {
      throw error.isMissing ? .refused(V2AuthError(404, "User \(name) does not exist.")) : error
    }
    do throws(V2AuthJSONError) { return try V2User(json: json).withRootRole() } catch {
      throw .failed(Self.damaged)
    }
  }

  func create(_ user: V2User) async throws(V2AuthFailure) -> V2User {
    var user = user.withRootRole()
    guard !user.password.isEmpty else {
      throw .refused(V2AuthError(400, "Cannot create user \(user.name) with an empty password"))
    }
    user.password = try await hash(user.password)
    do throws(V2AuthFailure) {
      try await write("/users/" + user.name, user.json, isNew: true)
    } catch {
      throw error.isTaken ? .refused(V2AuthError(409, "User \(user.name) already exists.")) : error
    }
    return user
  }

  /// - Returns: the user, and whether it is new.
  func createOrUpdate(_ user: V2User) async throws(V2AuthFailure) -> (V2User, isNew: Bool) {
    do throws(V2AuthFailure) { _ = try await self.user(user.name, quorum: true) } catch {
      return (try await create(user), true)
    }
    return (try await update(user), false)
  }

  func update(_ user: V2User) async throws(V2AuthFailure) -> V2User {
    let old = try await self.user(user.name, quorum: true)
    let hash = user.password.isEmpty ? nil : try await hash(user.password)
    let merged: V2User
    do throws(V2AuthError) { merged = try old.merging(user, password: hash) } catch {
      throw .refused(error)
    }
    guard merged != old else {
      throw .refused(
        V2AuthError(
          400, "User not updated. Use grant/revoke/password to update the user."))
    }
    try await write("/users/" + user.name, merged.json, isNew: false)
    return merged
  }

  func deleteUser(_ name: String) async throws(V2AuthFailure) {
    if isEnabled, name == V2Role.root.name {
      throw .refused(V2AuthError(403, "Cannot delete root user while auth is enabled."))
    }
    do throws(V2AuthFailure) { try await delete("/users/" + name) } catch {
      throw error.isMissing ? .refused(V2AuthError(404, "User \(name) does not exist")) : error
    }
  }

  private func hash(_ password: String) async throws(V2AuthFailure) -> String {
    let hashed: Result<Bytes, EtcdError> = await withCheckedContinuation { continuation in
      member.passwords.hash(password, on: member.loop) { continuation.resume(returning: $0) }
    }
    switch hashed {
    case .success(let hash): return hash.string
    case .failure(let error): throw .failed(error)
    }
  }

  /// Whether it is the user's password.
  func check(_ password: String, of user: V2User) async -> Bool {
    let checked: Result<Void, EtcdError> = await withCheckedContinuation { continuation in
      member.passwords.check(password, Bytes(user.password), on: member.loop) {
        continuation.resume(returning: $0)
      }
    }
    if case .success = checked { return true }
    return false
  }

  // MARK: Roles

  func roleNames() async throws(V2AuthFailure) -> [String] {
    (try await names("/roles") + [V2Role.root.name]).sorted()
  }

  func role(_ name: String, quorum: Bool = false) async throws(V2AuthFailure) -> V2Role {
    if name == V2Role.root.name { return .root }
    let json: JSONValue
    do throws(V2AuthFailure) { json = try await read("/roles/" + name, quorum: quorum) } catch {
      throw error.isMissing ? .refused(V2AuthError(404, "Role \(name) does not exist.")) : error
    }
    do throws(V2AuthJSONError) { return try V2Role(json: json) } catch {
      throw .failed(Self.damaged)
    }
  }

  func create(_ role: V2Role) async throws(V2AuthFailure) {
    try Self.refuseRoot(role.name)
    do throws(V2AuthFailure) {
      try await write("/roles/" + role.name, role.json, isNew: true)
    } catch {
      throw error.isTaken ? .refused(V2AuthError(409, "Role \(role.name) already exists.")) : error
    }
  }

  func update(_ role: V2Role) async throws(V2AuthFailure) -> V2Role {
    try Self.refuseRoot(role.name)
    let old = try await self.role(role.name, quorum: true)
    let merged: V2Role
    do throws(V2AuthError) { merged = try old.merging(role) } catch { throw .refused(error) }
    guard merged != old else {
      throw .refused(V2AuthError(400, "Role not updated. Use grant/revoke to update the role."))
    }
    try await write("/roles/" + role.name, merged.json, isNew: false)
    return merged
  }

  func deleteRole(_ name: String) async throws(V2AuthFailure) {
    try Self.refuseRoot(name)
    do throws(V2AuthFailure) { try await delete("/roles/" + name) } catch {
      throw error.isMissing ? .refused(V2AuthError(404, "Role \(name) doesn't exist.")) : error
    }
  }

  private static func refuseRoot(_ name: String) throws(V2AuthFailure) {
    guard name != V2Role.root.name else {
      throw .refused(V2AuthError(403, "Cannot modify role \(name): is root role."))
    }
  }

  // MARK: On and off

  func enable() async throws(V2AuthFailure) {
    if isEnabled { throw .refused(V2AuthError(409, "already enabled")) }
    do throws(V2AuthFailure) { _ = try await user(V2Role.root.name, quorum: true) } catch {
      throw .refused(V2AuthError(409, "No root user available, please create one"))
    }
    do throws(V2AuthFailure) { _ = try await role(V2Role.guest.name, quorum: true) } catch {
      try await create(V2Role.guest)
    }
    try await write("/enabled", true, isNew: false)
    await awaitHub()
  }

  func disable() async throws(V2AuthFailure) {
    guard isEnabled else { throw .refused(V2AuthError(409, "already disabled")) }
    try await write("/enabled", false, isNew: false)
    await awaitHub()
  }

  /// Waits until the hub has heard of what was answered: turns tell it first.
  private func awaitHub() async {
    await withCheckedContinuation { continuation in
      hub.loop.execute { continuation.resume() }
    }
  }
}
