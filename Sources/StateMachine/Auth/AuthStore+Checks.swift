import Bytes
import EtcdAPI
import MVCC

/// Who may do what. The same checks run when an entry is applied and before a read.
///
/// Every check passes while auth is off. A request's whole tree is walked before any of it runs.
/// - Source: etcd `server/etcdserver/apply_auth.go`, `isOpPermitted` in `server/auth/store.go`.
extension AuthStore {
  /// What a caller wants with keys.
  public enum Kind: Sendable { case read, write }

  /// - Throws: `userEmpty`, `authOldRevision`, `permissionDenied`.
  func check(_ keys: KeyInterval, _ kind: Kind, _ caller: AuthInfo) throws(EtcdError) {
    guard isEnabled else { return }
    guard caller.revision != 0 else { throw .userEmpty }
    guard caller.revision >= revision else { throw .authOldRevision }
    guard let access = access(of: caller.username) else { throw .permissionDenied }
    if access.isRoot { return }
    let permissions = kind == .read ? access.read : access.write
    guard permissions.covers(keys) else { throw .permissionDenied }
  }

  private func check(
    _ key: Bytes, _ rangeEnd: Bytes, _ kind: Kind, _ caller: AuthInfo
  ) throws(EtcdError) {
    try check(KeyInterval(key: key, rangeEnd: rangeEnd), kind, caller)
  }

  private func check(_ key: Bytes, _ kind: Kind, _ caller: AuthInfo) throws(EtcdError) {
    try check(key, Bytes(), kind, caller)
  }

  /// Whether the caller may read every key of an interval, for ranges and watches.
  /// - Throws: as above.
  public func checkRead(_ keys: KeyInterval, _ caller: AuthInfo) throws(EtcdError) {
    try check(keys, .read, caller)
  }

  /// Whether the caller holds the root role. An old revision does not matter here.
  /// - Throws: `userEmpty`, `userNotFound`, `permissionDenied`.
  public func checkAdmin(_ caller: AuthInfo) throws(EtcdError) {
    guard isEnabled else { return }
    guard !caller.username.isEmpty else { throw .userEmpty }
    guard let access = access(of: caller.username) else { throw .userNotFound }
    guard access.isRoot else { throw .permissionDenied }
  }

  /// Whether somebody is named at all.
  /// - Throws: `userEmpty`.
  public func checkNamed(_ caller: AuthInfo?) throws(EtcdError) {
    if isEnabled, caller == nil { throw .userEmpty }
  }

  public func check(
    _ request: Etcdserverpb.RangeRequest, _ caller: AuthInfo
  ) throws(EtcdError) {
    try check(request.key, request.rangeEnd, .read, caller)
  }

  public func check(
    _ request: Etcdserverpb.PutRequest, _ leases: LeaseTable, _ caller: AuthInfo
  ) throws(EtcdError) {
    guard isEnabled else { return }
    try check(request.key, .write, caller)
    // Who may not revoke a lease may not hang a key on it either.
    try checkLeasePuts(LeaseID(request.lease), leases, caller)
    if request.prevKv { try check(request.key, .read, caller) }
  }

  public func check(
    _ request: Etcdserverpb.DeleteRangeRequest, _ caller: AuthInfo
  ) throws(EtcdError) {
    guard isEnabled else { return }
    let keys = KeyInterval(key: request.key, rangeEnd: request.rangeEnd)
    try check(keys, .write, caller)
    if request.prevKv { try check(keys, .read, caller) }
  }

  /// Comparisons and both branches, nested ones included.
  public func check(
    _ request: Etcdserverpb.TxnRequest, _ leases: LeaseTable, _ caller: AuthInfo
  ) throws(EtcdError) {
    guard isEnabled else { return }
    for compare in request.compare { try check(compare.key, compare.rangeEnd, .read, caller) }
    for branch in [request.success, request.failure] {
      for operation in branch {
        switch operation.request {
        case .requestRange(let range): try check(range, caller)
        case .requestPut(let put): try check(put, leases, caller)
        case .requestDeleteRange(let range): try check(range, caller)
        case .requestTxn(let inner): try check(inner, leases, caller)
        case nil: break
        }
      }
    }
  }

  /// Whether the caller may write every key that hangs on a lease: needed to revoke it, to renew it,
  /// and to attach to it.
  public func checkLeasePuts(
    _ id: LeaseID, _ leases: LeaseTable, _ caller: AuthInfo
  ) throws(EtcdError) {
    try checkLeaseKeys(id, leases, .write, caller)
  }

  private func checkLeaseKeys(
    _ id: LeaseID, _ leases: LeaseTable, _ kind: Kind, _ caller: AuthInfo
  ) throws(EtcdError) {
    guard isEnabled, let lease = leases.leases[id] else { return }
    try check(lease.keys, kind, caller)
  }

  /// Whether the caller may read or write every key of a lease: needed to see them listed, and to renew
  /// it. Root needs no look at them.
  /// - Throws: `userEmpty`, `authOldRevision`, `permissionDenied`.
  public func check(_ keys: LeaseKeys, _ kind: Kind, _ caller: AuthInfo) throws(EtcdError) {
    guard isEnabled, access(of: caller.username)?.isRoot != true else { return }
    for key in keys { try check(key, kind, caller) }
  }

  /// The checks of an entry that is about data.
  /// - Throws: as the checks; the entry must change nothing then.
  public func check(
    _ request: Etcdserverpb.InternalRaftRequest, _ leases: LeaseTable
  ) throws(EtcdError) {
    guard isEnabled else { return }
    let caller = AuthInfo(request.header)
    if let range = request.range {
      try check(range, caller)
    } else if let put = request.put {
      try check(put, leases, caller)
    } else if let range = request.deleteRange {
      try check(range, caller)
    } else if let txn = request.txn {
      try check(txn, leases, caller)
    } else if let revoke = request.leaseRevoke {
      try checkLeasePuts(LeaseID(revoke.id), leases, caller)
    }
  }
}
