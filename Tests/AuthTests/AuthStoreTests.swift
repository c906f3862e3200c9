import Auth
import Bytes
import EtcdAPI
import MVCC
import Protobuf
import TestSupport
import Testing

/// Users and roles over an empty store, driven by requests.
struct Fixture {
  typealias Request = Etcdserverpb.InternalRaftRequest
  var store = MVCCStore(committed: MemoryRows())
  var auth: AuthStore
  var caller = AuthInfo.nobody
  var index: UInt64 = 10

  init() throws { auth = try AuthStore(restoring: store) }

  /// Applies a request; the error's text, or `ok`.
  @discardableResult
  mutating func run(_ edit: (inout Request) -> Void) -> String {
    do throws(EtcdError) {
      _ = try result(edit)
      return "ok"
    } catch { return error.message }
  }

  mutating func result(
    _ edit: (inout Request) -> Void
  ) throws(EtcdError) -> (AuthResult, TokenEvent?) {
    var request = Request()
    edit(&request)
    request.header = Etcdserverpb.RequestHeader(
      id: 1, username: caller.username, authRevision: caller.revision)
    index += 1
    return try auth.apply(request, index: index, to: &store) { Bytes("hash of " + $0) }
  }

  @discardableResult mutating func addUser(_ name: String, _ options: Bool? = nil) -> String {
    run {
      $0.authUserAdd = .init(
        name: name, options: options.map { .init(noPassword: $0) }, hashedPassword: "aGFzaA==")
    }
  }

  @discardableResult mutating func addRole(_ name: String) -> String {
    run { $0.authRoleAdd = .init(name: name) }
  }

  @discardableResult mutating func grant(_ user: String, _ role: String) -> String {
    run { $0.authUserGrantRole = .init(user: user, role: role) }
  }

  @discardableResult mutating func permit(
    _ role: String, _ type: Authpb.Permission.TypeEnum, _ key: String, _ end: Bytes = Bytes()
  ) -> String {
    run {
      $0.authRoleGrantPermission = .init(
        name: role, perm: .init(permType: type, key: Bytes(key), rangeEnd: end))
    }
  }

  /// Auth on, asked by root from here on.
  mutating func enable() {
    addUser("root")
    grant("root", "root")
    run { $0.authEnable = .init() }
    caller = auth.rootInfo
  }

  func asked(by user: String) -> AuthInfo { AuthInfo(username: user, revision: auth.revision) }
}

@Suite struct AuthStoreTests {
  @Test func writesRowsAsGoDoes() throws {
    var fixture = try Fixture()
    #expect(fixture.auth.revision == 1)
    #expect(try fixture.store.get(.auth, "authRevision") == nil)
    fixture.auth.writeFirstRevision(to: &fixture.store)
    #expect(try fixture.store.get(.auth, "authRevision") == Bytes([0, 0, 0, 0, 0, 0, 0, 1]))
    #expect(fixture.addUser("u") == "ok")
    #expect(fixture.addUser("n", true) == "ok")
    #expect(fixture.addRole("r2") == "ok")
    #expect(fixture.addRole("r1") == "ok")
    #expect(fixture.grant("u", "r2") == "ok")
    #expect(fixture.grant("u", "r1") == "ok")
    #expect(fixture.grant("u", "r1") == "ok")
    #expect(fixture.permit("r1", .write, "b", "c") == "ok")
    #expect(fixture.permit("r1", .read, "a") == "ok")
    #expect(fixture.permit("r1", .readwrite, "a") == "ok")
    #expect(fixture.auth.revision == 10)
    // name = 1, password = 2, roles = 3, options = 4 even when empty.
    let user = Bytes("\n\u{1}u\u{12}\u{4}hash\u{1a}\u{2}r1\u{1a}\u{2}r2\"\0")
    #expect(try fixture.store.get(.authUsers, "u") == user)
    let passwordless = Bytes("\n\u{1}n\"\u{2}\u{8}\u{1}")
    #expect(try fixture.store.get(.authUsers, "n") == passwordless)
    let role = Bytes(
      "\n\u{2}r1\u{12}\u{5}\u{8}\u{2}\u{12}\u{1}a\u{12}\u{8}\u{8}\u{1}\u{12}\u{1}b\u{1a}\u{1}c")
    #expect(try fixture.store.get(.authRoles, "r1") == role)
    #expect(try fixture.store.get(.auth, "authRevision") == Bytes([0, 0, 0, 0, 0, 0, 0, 10]))
    #expect(try fixture.store.get(.auth, "authEnabled") == nil)
    fixture.enable()
    #expect(try fixture.store.get(.auth, "authEnabled") == Bytes([1]))
    #expect(fixture.run { $0.authDisable = .init() } == "ok")
    #expect(try fixture.store.get(.auth, "authEnabled") == Bytes([0]))
  }

  @Test func comesBackFromItsRows() throws {
    var fixture = try Fixture()
    fixture.addUser("u")
    fixture.addRole("r")
    fixture.grant("u", "r")
    fixture.permit("r", .read, "a", "b")
    fixture.enable()
    let again = try AuthStore(restoring: fixture.store)
    #expect(again.isEnabled)
    #expect(again.revision == fixture.auth.revision)
    let user = fixture.asked(by: "u")
    try again.check(Etcdserverpb.RangeRequest(key: "ab"), user)
    #expect(throws: EtcdError.permissionDenied) {
      try again.check(Etcdserverpb.RangeRequest(key: "b"), user)
    }
  }

  @Test func refusesWithGoesWords() throws {
    var fixture = try Fixture()
    #expect(fixture.run { $0.authEnable = .init() } == EtcdError.rootUserNotExist.message)
    fixture.addUser("root")
    #expect(fixture.run { $0.authEnable = .init() } == EtcdError.rootRoleNotExist.message)
    fixture.enable()
    fixture.caller = fixture.auth.rootInfo
    #expect(fixture.addUser("root") == EtcdError.userExists.message)
    #expect(fixture.addUser("") == EtcdError.userEmpty.message)
    #expect(fixture.addRole("") == EtcdError.roleEmpty.message)
    #expect(fixture.grant("u", "r") == EtcdError.userNotFound.message)
    #expect(fixture.grant("root", "r") == EtcdError.roleNotFound.message)
    #expect(fixture.permit("r", .read, "a") == EtcdError.roleNotFound.message)
    #expect(fixture.permit("r", .read, "") == EtcdError.invalidAuthManagement.message)
    #expect(fixture.permit("r", .read, "b", "a") == EtcdError.invalidAuthManagement.message)
    #expect(
      fixture.run { $0.authRoleGrantPermission = .init(name: "r") }
        == EtcdError.permissionNotGiven.message)
    #expect(
      fixture.run { $0.authUserDelete = .init(name: "root") }
        == EtcdError.invalidAuthManagement.message)
    #expect(
      fixture.run { $0.authRoleDelete = .init(role: "root") }
        == EtcdError.invalidAuthManagement.message)
    #expect(
      fixture.run { $0.authUserRevokeRole = .init(name: "root", role: "root") }
        == EtcdError.invalidAuthManagement.message)
    #expect(
      fixture.run { $0.authUserAdd = .init(name: "x", hashedPassword: "no base64!") }
        == EtcdError.noPasswordUser.message)
    #expect(
      fixture.run { $0.authenticate = .init(name: "x") } == EtcdError.authFailed.message)
    fixture.caller = .nobody
    #expect(fixture.addUser("y") == EtcdError.userEmpty.message)
  }

  @Test func deletingARoleTakesItFromUsers() throws {
    var fixture = try Fixture()
    fixture.addUser("u")
    fixture.addRole("r")
    fixture.addRole("s")
    fixture.grant("u", "r")
    fixture.grant("u", "s")
    fixture.permit("r", .write, "k")
    fixture.enable()
    let put = Etcdserverpb.PutRequest(key: "k")
    try fixture.auth.check(put, LeaseTable(), fixture.asked(by: "u"))
    let before = fixture.auth.revision
    #expect(fixture.run { $0.authRoleDelete = .init(role: "r") } == "ok")
    #expect(fixture.auth.revision == before + 1)
    #expect(throws: EtcdError.permissionDenied) {
      try fixture.auth.check(put, LeaseTable(), fixture.asked(by: "u"))
    }
    guard case .roles(let left) = try fixture.result({ $0.authUserGet = .init(name: "u") }).0 else {
      Issue.record("no roles")
      return
    }
    #expect(left == ["s"])
  }

  @Test func everybodyMayLookAtItself() throws {
    var fixture = try Fixture()
    fixture.addUser("u")
    fixture.addRole("r")
    fixture.addRole("s")
    fixture.grant("u", "r")
    fixture.enable()
    fixture.caller = fixture.asked(by: "u")
    #expect(fixture.run { $0.authUserGet = .init(name: "u") } == "ok")
    #expect(
      fixture.run { $0.authUserGet = .init(name: "root") } == EtcdError.permissionDenied.message)
    #expect(fixture.run { $0.authRoleGet = .init(role: "r") } == "ok")
    #expect(
      fixture.run { $0.authRoleGet = .init(role: "s") } == EtcdError.permissionDenied.message)
    #expect(fixture.run { $0.authUserList = .init() } == EtcdError.permissionDenied.message)
  }

  @Test func namesAreEqualByBytesOnly() throws {
    var fixture = try Fixture()
    #expect(fixture.addUser("\u{e9}") == "ok")
    #expect(fixture.addUser("e\u{301}") == "ok")
    guard case .users(let names) = try fixture.result({ $0.authUserList = .init() }).0 else {
      Issue.record("no users")
      return
    }
    #expect(names.map { Array($0.utf8).count } == [3, 2])
  }

  /// The row is from a file; the next change may not end the member.
  @Test func theLastRevisionOfAllIsFollowed() throws {
    var fixture = try Fixture()
    fixture.store.put(.auth, "authRevision", Bytes([UInt8](repeating: 0xff, count: 8)))
    fixture.auth = try AuthStore(restoring: fixture.store)
    #expect(fixture.auth.revision == .max)
    #expect(fixture.addUser("u") == "ok")
    #expect(fixture.auth.revision == 0)
  }

  @Test func hashesPasswordsOfOldEntries() throws {
    var fixture = try Fixture()
    fixture.enable()
    #expect(fixture.run { $0.authUserAdd = .init(name: "old", password: "secret") } == "ok")
    #expect(try fixture.auth.passwordHash(of: "old").hash == "hash of secret")
    #expect(throws: EtcdError.authFailed) { try fixture.auth.passwordHash(of: "nobody") }
    fixture.addUser("n", true)
    #expect(throws: EtcdError.noPasswordUser) { try fixture.auth.passwordHash(of: "n") }
  }
}

extension Bytes {
  func appending(_ other: Bytes) -> Bytes { Bytes(Array(self) + Array(other)) }
}
