import Bytes
import EtcdAPI
import MVCC
import Protobuf

/// Users, roles, and whether they are asked for. Replicated; kept in buckets `auth`, `authUsers`,
/// `authRoles`.
///
/// A value: apply changes one, and readers keep the copy that goes with the state they read. What a
/// user may do is derived from users and roles whenever one of them changes or the store is
/// restored, and from nothing else.
///
/// - Source: etcd `server/auth/store.go`.
public struct AuthStore: Sendable {
  /// Name of the user, and of the role, that may do everything.
  public static let root = "root"

  /// What a user may do.
  struct Access: Sendable {
    var isRoot = false
    var read = RangePermissions()
    var write = RangePermissions()
  }

  /// Makes a hash of a password that came in plain text in an entry of etcd 3.4; `nil` = cannot.
  public typealias PasswordHash = @Sendable (String) -> Bytes?

  public internal(set) var isEnabled = false
  /// Counts changes; a request is refused when its user was established at an older one.
  public internal(set) var revision: UInt64 = 0
  /// The revision is not among the rows.
  private var lacksRow = false
  var users: [ExactString: Authpb.User] = [:]
  var roles: [ExactString: Authpb.Role] = [:]
  private var access: [ExactString: Access] = [:]

  /// A store without users, as a new cluster has.
  public init() {}

  /// Reads the store from its buckets; a new cluster's gets its first revision, which
  /// `writeFirstRevision` takes there.
  /// - Throws: `damaged`.
  public init(restoring store: MVCCStore) throws(StoreError) {
    isEnabled = try store.get(.auth, Self.enabledKey) == Self.enabledValue
    if let value = try store.get(.auth, Self.revisionKey) {
      var reader = ByteReader(value)
      guard let number: UInt64 = reader.readBigEndian() else {
        throw .damaged("authRevision has \(value.count) bytes, needs 8")
      }
      revision = number
    }
    for (key, value) in try store.rows(.authUsers) {
      do {
        // Memory of its own: the row is a slice of the database file.
        let user = try Authpb.User.decode(value.detached())
        users[ExactString(user.name.string)] = user
      } catch { throw .damaged("row \(key) of authUsers is not decodable: \(error)") }
    }
    for (key, value) in try store.rows(.authRoles) {
      do {
        let role = try Authpb.Role.decode(value.detached())
        roles[ExactString(role.name.string)] = role
      } catch { throw .damaged("row \(key) of authRoles is not decodable: \(error)") }
    }
    for name in users.keys { derive(name) }
    if revision == 0 {
      revision = 1
      lacksRow = true
    }
  }

  /// Writes the revision of a new cluster with the first commit of the backend.
  public mutating func writeFirstRevision(to store: inout MVCCStore) {
    if lacksRow { saveRevision(&store) }
  }

  /// Credentials for what the member does on its own.
  public var rootInfo: AuthInfo { AuthInfo(username: Self.root, revision: revision) }

  /// What a password is checked against.
  /// - Returns: hash and revision. - Throws: `authNotEnabled`, `authFailed`, `noPasswordUser`.
  public func passwordHash(
    of name: String
  ) throws(EtcdError) -> (hash: Bytes, revision: UInt64) {
    guard isEnabled else { throw .authNotEnabled }
    guard let user = users[ExactString(name)] else { throw .authFailed }
    if user.options?.noPassword == true { throw .noPasswordUser }
    return (user.password, revision)
  }

  // MARK: Rows

  private static let enabledKey: Bytes = "authEnabled"
  private static let enabledValue: Bytes = [1]
  private static let disabledValue: Bytes = [0]
  private static let revisionKey: Bytes = "authRevision"

  /// Every change but enabling counts. A row of a file may hold the last number; Go's count begins anew too.
  mutating func advance(_ store: inout MVCCStore) {
    revision &+= 1
    saveRevision(&store)
  }

  private mutating func saveRevision(_ store: inout MVCCStore) {
    lacksRow = false
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(revision)
    store.put(.auth, Self.revisionKey, writer.finish())
  }

  mutating func setEnabled(_ isEnabled: Bool, _ store: inout MVCCStore) {
    self.isEnabled = isEnabled
    store.put(.auth, Self.enabledKey, isEnabled ? Self.enabledValue : Self.disabledValue)
  }

  mutating func save(_ user: Authpb.User, _ store: inout MVCCStore) {
    let name = ExactString(user.name.string)
    users[name] = user
    store.put(.authUsers, user.name, user.encoded())
    derive(name)
  }

  mutating func removeUser(_ name: ExactString, _ store: inout MVCCStore) {
    users[name] = nil
    access[name] = nil
    store.put(.authUsers, Bytes(name.text), nil)
  }

  mutating func save(_ role: Authpb.Role, _ store: inout MVCCStore) {
    let name = ExactString(role.name.string)
    roles[name] = role
    store.put(.authRoles, role.name, role.encoded())
    deriveHolders(of: name)
  }

  mutating func removeRole(_ name: ExactString, _ store: inout MVCCStore) {
    roles[name] = nil
    store.put(.authRoles, Bytes(name.text), nil)
    deriveHolders(of: name)
  }

  // MARK: What follows from them

  func access(of name: String) -> Access? { access[ExactString(name)] }

  private mutating func deriveHolders(of role: ExactString) {
    for (name, user) in users where user.holds(role) { derive(name) }
  }

  private mutating func derive(_ name: ExactString) {
    guard let user = users[name] else { return }
    var read: [RangePermissions.Interval] = []
    var write: [RangePermissions.Interval] = []
    for role in user.roles {
      for permission in roles[ExactString(role)]?.keyPermission ?? [] {
        let interval = RangePermissions.interval(permission)
        switch permission.permType {
        case .read: read.append(interval)
        case .write: write.append(interval)
        case .readwrite:
          read.append(interval)
          write.append(interval)
        case .unrecognized: break
        }
      }
    }
    access[name] = Access(
      isRoot: user.holds(ExactString(Self.root)), read: RangePermissions(read),
      write: RangePermissions(write))
  }
}

extension AuthStore: Equatable {
  /// Whether users, roles and their revision are the same; all else follows from them.
  public static func == (a: AuthStore, b: AuthStore) -> Bool {
    a.isEnabled == b.isEnabled && a.revision == b.revision && a.users == b.users
      && a.roles == b.roles
  }
}

extension Authpb.User {
  func holds(_ role: ExactString) -> Bool { roles.contains { ExactString($0) == role } }
}
