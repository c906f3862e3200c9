import Calls
import EtcdAPI
import Protobuf

/// When a request that failed is sent again, and how.
///
/// - Source: etcd `client/v3/retry.go`, `retry_interceptor.go`, `options.go`.
package enum RetryRules {
  /// What may happen to a request whose fate is unknown.
  package enum Policy: Equatable {
    /// Repeated while the answer is that the server is unavailable.
    case repeatable
    /// Reaches a server once: only a request that no server has seen is sent again.
    case once
  }

  /// What to do after a failure.
  enum Step: Equatable {
    case giveUp
    case again
    case signInAgain
  }

  /// Whoever asks. Names and passwords that are empty count as none.
  struct Caller {
    var endpoints = 1
    var hasCredentials = false
    /// Whether the time for all attempts is over.
    var isLate = false
  }

  /// Attempts of a unary request, the first one included.
  package static let attemptsMax = 100
  /// Pause after a round over a quorum of the endpoints, before chance is added.
  static let pause = Duration.milliseconds(25)
  /// Part of the pause by which chance makes it shorter or longer.
  static let jitter = 0.1

  static let authenticate = "/etcdserverpb.Auth/Authenticate"

  /// Methods that Go's client repeats. Some of them write.
  static let repeatable: Set<String> = [
    "/etcdserverpb.KV/Range", "/etcdserverpb.Lease/LeaseTimeToLive",
    "/etcdserverpb.Lease/LeaseLeases", "/etcdserverpb.Lease/LeaseGrant",
    "/etcdserverpb.Lease/LeaseRevoke", "/etcdserverpb.Lease/LeaseKeepAlive",
    "/etcdserverpb.Cluster/MemberList", "/etcdserverpb.Maintenance/Alarm",
    "/etcdserverpb.Maintenance/Status", "/etcdserverpb.Maintenance/Hash",
    "/etcdserverpb.Maintenance/HashKV", "/etcdserverpb.Maintenance/Snapshot",
    "/etcdserverpb.Maintenance/MoveLeader", "/etcdserverpb.Auth/UserList",
    "/etcdserverpb.Auth/UserGet", "/etcdserverpb.Auth/RoleGet", "/etcdserverpb.Auth/RoleList",
  ]

  package static func policy(_ path: String) -> Policy {
    repeatable.contains(path) ? .repeatable : .once
  }

  /// What follows a failed attempt at a method.
  static func step(_ path: String, after status: GRPCStatus, _ caller: Caller) -> Step {
    if status.code == .deadlineExceeded || status.code == .cancelled {
      return caller.isLate ? .giveUp : .again
    }
    let canSignIn = caller.hasCredentials && path != authenticate
    switch status.message {
    case EtcdError.userEmpty.message where canSignIn: return .signInAgain
    case EtcdError.invalidAuthToken.message, EtcdError.authOldRevision.message:
      // Without a name there is no token to get; a certificate's user only tries again.
      return canSignIn ? .signInAgain : .again
    case EtcdError.notSupportedForLearner.message where caller.endpoints > 1: return .again
    default:
      return policy(path) == .repeatable && status.code == .unavailable ? .again : .giveUp
    }
  }

  /// How long to wait before an attempt; the first one is 0.
  /// - Parameter chance: from -1 to 1.
  static func pause(before attempt: Int, endpoints: Int, chance: Double) -> Duration {
    guard attempt > 0, attempt % (endpoints / 2 + 1) == 0 else { return .zero }
    return pause * (1 + jitter * chance)
  }

  /// How long to wait before an endpoint that could not be reached is dialled again. gRPC begins with a second;
  /// a command has five, and its user waits.
  /// - Parameter failures: how often that failed, one behind the other.
  package static func pause(afterFailedDials failures: Int) -> Duration {
    .milliseconds(50) * (1 << Swift.min(Swift.max(failures, 1) - 1, 4))
  }
}
