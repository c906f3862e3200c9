import EtcdAPI

/// Hears how long it took to apply requests, and lends its clocks: the core has none. Called by whoever works at the core.
public protocol ApplyObserver: AnyObject, Sendable {
  /// Nanoseconds on a clock that only goes forward.
  var now: UInt64 { get }
  /// Nanoseconds since 1970: what is left of the lives of v2 keys, as events of the v2 store tell it.
  var timeOfDay: Int64 { get }
  func applied(_ operation: ApplyOperation, succeeded: Bool, nanoseconds: UInt64)
}

/// What an entry asked for, as etcd names it in `etcd_server_apply_duration_seconds`.
public enum ApplyOperation: Int, Sendable, CaseIterable {
  case range, put, deleteRange, txn, compaction, leaseGrant, leaseRevoke, leaseCheckpoint, alarm
  case authenticate, authEnable, authDisable, authStatus, authUserAdd, authUserDelete
  case authUserChangePassword, authUserGrantRole, authUserGet, authUserRevokeRole, authRoleAdd
  case authRoleGrantPermission, authRoleGet, authRoleRevokePermission, authRoleDelete
  case authUserList, authRoleList, clusterVersionSet, clusterMemberAttrSet, downgradeInfoSet
  case v2Put, v2Post, v2Delete, v2QGet, v2Sync

  /// `v2` or `v3`.
  public var version: String { self.rawValue >= Self.v2Put.rawValue ? "v2" : "v3" }

  /// `Put`, `AuthEnable`, …; the method of a v2 request.
  public var name: String {
    switch self {
    case .v2Put: "PUT"
    case .v2Post: "POST"
    case .v2Delete: "DELETE"
    case .v2QGet: "QGET"
    case .v2Sync: "SYNC"
    default: "\(self)".prefix(1).uppercased() + "\(self)".dropFirst()
    }
  }

  init?(_ request: Etcdserverpb.Request) {
    switch request.method {
    case "PUT": self = .v2Put
    case "POST": self = .v2Post
    case "DELETE": self = .v2Delete
    case "QGET": self = .v2QGet
    case "SYNC": self = .v2Sync
    default: return nil
    }
  }

  init?(_ request: Etcdserverpb.InternalRaftRequest) {
    if request.range != nil {
      self = .range
    } else if request.put != nil {
      self = .put
    } else if request.deleteRange != nil {
      self = .deleteRange
    } else if request.txn != nil {
      self = .txn
    } else if request.compaction != nil {
      self = .compaction
    } else if request.leaseGrant != nil {
      self = .leaseGrant
    } else if request.leaseRevoke != nil {
      self = .leaseRevoke
    } else if request.leaseCheckpoint != nil {
      self = .leaseCheckpoint
    } else if request.alarm != nil {
      self = .alarm
    } else if request.clusterVersionSet != nil {
      self = .clusterVersionSet
    } else if request.clusterMemberAttrSet != nil {
      self = .clusterMemberAttrSet
    } else if request.downgradeInfoSet != nil {
      self = .downgradeInfoSet
    } else if let auth = Self.auth(request) {
      self = auth
    } else {
      return nil
    }
  }

  private static func auth(_ request: Etcdserverpb.InternalRaftRequest) -> ApplyOperation? {
    if request.authenticate != nil { return .authenticate }
    if request.authEnable != nil { return .authEnable }
    if request.authDisable != nil { return .authDisable }
    if request.authStatus != nil { return .authStatus }
    if request.authUserAdd != nil { return .authUserAdd }
    if request.authUserDelete != nil { return .authUserDelete }
    if request.authUserChangePassword != nil { return .authUserChangePassword }
    if request.authUserGrantRole != nil { return .authUserGrantRole }
    if request.authUserGet != nil { return .authUserGet }
    if request.authUserRevokeRole != nil { return .authUserRevokeRole }
    if request.authRoleAdd != nil { return .authRoleAdd }
    if request.authRoleGrantPermission != nil { return .authRoleGrantPermission }
    if request.authRoleGet != nil { return .authRoleGet }
    if request.authRoleRevokePermission != nil { return .authRoleRevokePermission }
    if request.authRoleDelete != nil { return .authRoleDelete }
    if request.authUserList != nil { return .authUserList }
    if request.authRoleList != nil { return .authRoleList }
    return nil
  }
}
