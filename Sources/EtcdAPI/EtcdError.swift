import Protobuf

/// An error as a client of etcd sees it: the code and exactly etcd's text.
///
/// - Source: etcd `api/v3rpc/rpctypes/error.go`.
public struct EtcdError: Error, Hashable, Sendable, CustomStringConvertible {
  public let code: GRPCCode
  public let message: String

  public init(_ code: GRPCCode, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }

  public static let emptyKey = EtcdError(.invalidArgument, "etcdserver: key is not provided")
  public static let keyNotFound = EtcdError(.invalidArgument, "etcdserver: key not found")
  public static let valueProvided = EtcdError(.invalidArgument, "etcdserver: value is provided")
  public static let leaseProvided = EtcdError(.invalidArgument, "etcdserver: lease is provided")
  public static let tooManyOps = EtcdError(
    .invalidArgument, "etcdserver: too many operations in txn request")
  public static let duplicateKey = EtcdError(
    .invalidArgument, "etcdserver: duplicate key given in txn request")
  public static let compacted = EtcdError(
    .outOfRange, "etcdserver: mvcc: required revision has been compacted")
  public static let futureRevision = EtcdError(
    .outOfRange, "etcdserver: mvcc: required revision is a future revision")
  public static let noSpace = EtcdError(
    .resourceExhausted, "etcdserver: mvcc: database space exceeded")
  public static let leaseNotFound = EtcdError(
    .notFound, "etcdserver: requested lease not found")
  public static let leaseExists = EtcdError(
    .failedPrecondition, "etcdserver: lease already exists")
  public static let leaseTTLTooLarge = EtcdError(.outOfRange, "etcdserver: too large lease TTL")
  public static let memberExists = EtcdError(
    .failedPrecondition, "etcdserver: member ID already exist")
  public static let peerURLExists = EtcdError(
    .failedPrecondition, "etcdserver: Peer URLs already exists")
  public static let notEnoughStarted = EtcdError(
    .failedPrecondition,
    "etcdserver: re-configuration failed due to not enough started members")
  public static let badMemberURLs = EtcdError(
    .invalidArgument, "etcdserver: given member URLs are invalid")
  public static let memberNotFound = EtcdError(.notFound, "etcdserver: member not found")
  public static let memberNotLearner = EtcdError(
    .failedPrecondition, "etcdserver: can only promote a learner member")
  public static let learnerNotReady = EtcdError(
    .failedPrecondition,
    "etcdserver: can only promote a learner member which is in sync with leader")
  public static let tooManyLearners = EtcdError(
    .failedPrecondition, "etcdserver: too many learner members in cluster")
  public static let requestTooLarge = EtcdError(
    .invalidArgument, "etcdserver: request is too large")
  public static let tooManyRequests = EtcdError(
    .resourceExhausted, "etcdserver: too many requests")
  public static let unhealthyCluster = EtcdError(
    .unavailable, "etcdserver: unhealthy cluster")
  public static let noLeader = EtcdError(.unavailable, "etcdserver: no leader")
  public static let notLeader = EtcdError(.failedPrecondition, "etcdserver: not leader")
  public static let leaderChanged = EtcdError(.unavailable, "etcdserver: leader changed")
  public static let notCapable = EtcdError(.unavailable, "etcdserver: not capable")
  public static let stopped = EtcdError(.unavailable, "etcdserver: server stopped")
  public static let timeout = EtcdError(.unavailable, "etcdserver: request timed out")
  public static let timeoutLeaderFailure = EtcdError(
    .unavailable, "etcdserver: request timed out, possibly due to previous leader failure")
  public static let timeoutConnectionLost = EtcdError(
    .unavailable, "etcdserver: request timed out, possibly due to connection lost")
  public static let timeoutLeaderTransfer = EtcdError(
    .unknown, "etcdserver: request timed out, leader transfer took too long")
  public static let badLeaderTransferee = EtcdError(
    .failedPrecondition, "etcdserver: bad leader transferee")
  public static let clusterVersionUnavailable = EtcdError(
    .unavailable, "etcdserver: cluster version not found during downgrade")
  public static let wrongDowngradeVersionFormat = EtcdError(
    .invalidArgument, "etcdserver: wrong downgrade target version format")
  public static let invalidDowngradeTarget = EtcdError(
    .invalidArgument, "etcdserver: invalid downgrade target version")
  public static let downgradeInProcess = EtcdError(
    .failedPrecondition, "etcdserver: cluster has a downgrade job in progress")
  public static let noInflightDowngrade = EtcdError(
    .failedPrecondition, "etcdserver: no inflight downgrade job")
  public static let unknownMethod = EtcdError(.unknown, "etcdserver: unknown method")
  public static let corrupt = EtcdError(.dataLoss, "etcdserver: corrupt cluster")
  public static let notSupportedForLearner = EtcdError(
    .unavailable, "etcdserver: rpc not supported for learner")
}

extension EtcdError {
  /// The errors that Go's client knows by their text: it shows these without gRPC's words around them.
  ///
  /// - Source: etcd `api/v3rpc/rpctypes/error.go` errStringToError.
  public static let known: [EtcdError] = [
    .emptyKey, .keyNotFound, .valueProvided, .leaseProvided, .tooManyOps, .duplicateKey,
    .compacted, .futureRevision, .noSpace, .leaseNotFound, .leaseExists, .leaseTTLTooLarge,
    .memberExists, .peerURLExists, .notEnoughStarted, .badMemberURLs, .memberNotFound,
    .memberNotLearner, .learnerNotReady, .tooManyLearners, .requestTooLarge, .tooManyRequests,
    .unhealthyCluster, .noLeader, .notLeader, .leaderChanged, .notCapable, .stopped, .timeout,
    .timeoutLeaderFailure, .timeoutConnectionLost, .badLeaderTransferee,
    .clusterVersionUnavailable, .wrongDowngradeVersionFormat, .invalidDowngradeTarget,
    .downgradeInProcess, .noInflightDowngrade, .corrupt, .notSupportedForLearner,
    .rootUserNotExist, .rootRoleNotExist, .userExists, .userEmpty, .userNotFound, .roleExists,
    .roleNotFound, .roleEmpty, .authFailed, .permissionDenied, .roleNotGranted,
    .permissionNotGranted, .authNotEnabled, .invalidAuthToken, .invalidAuthManagement,
    .authOldRevision,
  ]
}
