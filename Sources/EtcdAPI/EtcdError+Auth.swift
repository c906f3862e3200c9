import Protobuf

/// Errors of users, roles and tokens.
///
/// - Source: etcd `api/v3rpc/rpctypes/error.go`, `server/auth/store.go`.
extension EtcdError {
  public static let rootUserNotExist = EtcdError(
    .failedPrecondition, "etcdserver: root user does not exist")
  public static let rootRoleNotExist = EtcdError(
    .failedPrecondition, "etcdserver: root user does not have root role")
  public static let userExists = EtcdError(
    .failedPrecondition, "etcdserver: user name already exists")
  public static let userEmpty = EtcdError(.invalidArgument, "etcdserver: user name is empty")
  public static let userNotFound = EtcdError(
    .failedPrecondition, "etcdserver: user name not found")
  public static let roleExists = EtcdError(
    .failedPrecondition, "etcdserver: role name already exists")
  public static let roleNotFound = EtcdError(
    .failedPrecondition, "etcdserver: role name not found")
  public static let roleEmpty = EtcdError(.invalidArgument, "etcdserver: role name is empty")
  public static let authFailed = EtcdError(
    .invalidArgument, "etcdserver: authentication failed, invalid user ID or password")
  public static let permissionNotGiven = EtcdError(
    .invalidArgument, "etcdserver: permission not given")
  public static let permissionDenied = EtcdError(
    .permissionDenied, "etcdserver: permission denied")
  public static let roleNotGranted = EtcdError(
    .failedPrecondition, "etcdserver: role is not granted to the user")
  public static let permissionNotGranted = EtcdError(
    .failedPrecondition, "etcdserver: permission is not granted to the role")
  public static let authNotEnabled = EtcdError(
    .failedPrecondition, "etcdserver: authentication is not enabled")
  public static let invalidAuthToken = EtcdError(
    .unauthenticated, "etcdserver: invalid auth token")
  public static let invalidAuthManagement = EtcdError(
    .invalidArgument, "etcdserver: invalid auth management")
  public static let authOldRevision = EtcdError(
    .invalidArgument, "etcdserver: revision of auth store is old")

  /// A password where none may be, or a hash that is not base64. Has no status of its own in etcd.
  public static let noPasswordUser = EtcdError(
    .unknown, "auth: authentication failed, password was given for no password user")
  /// A key that can check tokens and not sign them. Has no status of its own in etcd.
  public static let verifyOnly = EtcdError(
    .unknown, "auth: token signing attempted with verify-only key")
  /// Has no status of its own in etcd.
  public static let passwordTooLong = EtcdError(
    .unknown, "bcrypt: password length exceeds 72 bytes")

  /// The same error as those maintenance calls report it that etcd forgot to translate: code
  /// unknown, and the text of the auth package.
  public var untranslated: EtcdError {
    let text: String
    switch self {
    case .userEmpty: text = "auth: user name is empty"
    case .userNotFound: text = "auth: user not found"
    case .permissionDenied: text = "auth: permission denied"
    case .invalidAuthToken: text = "auth: invalid auth token"
    default: return self
    }
    return EtcdError(.unknown, text)
  }
}
