import Calls

/// Why a request has no result, in the words of Go's client.
struct ClientFailure: Error, Equatable {
  let message: String

  static let deadlineExceeded = ClientFailure(message: "context deadline exceeded")

  private init(message: String) { self.message = message }

  /// A failure on this side.
  init(local message: String) { self.message = message }

  /// - Source: etcd `client/v3/client.go` toErr: an error that etcd defines is shown by its text, any
  ///   other as gRPC's.
  init(_ status: GRPCStatus) {
    if status.code == .deadlineExceeded, !Self.known.contains(status.message) {
      self = .deadlineExceeded
    } else if Self.known.contains(status.message) {
      message = status.message
    } else {
      message = status.description
    }
  }

  static let authNotEnabled = "etcdserver: authentication is not enabled"
  static let permissionDenied = "etcdserver: permission denied"

  /// - Source: etcd `api/v3rpc/rpctypes/error.go`.
  private static let known: Set<String> = Set(
    """
    key is not provided
    key not found
    value is provided
    lease is provided
    too many operations in txn request
    duplicate key given in txn request
    mvcc: required revision has been compacted
    mvcc: required revision is a future revision
    mvcc: database space exceeded
    requested lease not found
    lease already exists
    too large lease TTL
    watch canceled
    member ID already exist
    Peer URLs already exists
    re-configuration failed due to not enough started members
    given member URLs are invalid
    member not found
    can only promote a learner member
    can only promote a learner member which is in sync with leader
    too many learner members in cluster
    request is too large
    too many requests
    root user does not exist
    root user does not have root role
    user name already exists
    user name is empty
    user name not found
    role name already exists
    role name not found
    role name is empty
    authentication failed, invalid user ID or password
    permission not given
    permission denied
    role is not granted to the user
    permission is not granted to the role
    authentication is not enabled
    invalid auth token
    invalid auth management
    no leader
    not leader
    leader changed
    not capable
    server stopped
    request timed out
    request timed out, possibly due to previous leader failure
    request timed out, possibly due to connection lost
    unhealthy cluster
    corrupt cluster
    rpc not supported for learner
    bad leader transferee
    cluster version not found during downgrade
    wrong downgrade target version format
    invalid downgrade target version
    cluster has a downgrade job in progress
    no inflight downgrade job
    """.split(separator: "\n").map { "etcdserver: " + $0 })
}
