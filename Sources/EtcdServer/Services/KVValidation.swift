import Bytes
import EtcdAPI

/// Checks of key-value requests before they are proposed.
///
/// - Source: etcd `v3rpc/key.go`.
enum KVValidation {
  static func check(_ request: Etcdserverpb.RangeRequest) throws(EtcdError) {
    if request.key.isEmpty { throw .emptyKey }
  }

  static func check(_ request: Etcdserverpb.PutRequest) throws(EtcdError) {
    if request.key.isEmpty { throw .emptyKey }
    if request.ignoreValue, !request.value.isEmpty { throw .valueProvided }
    if request.ignoreLease, request.lease != 0 { throw .leaseProvided }
  }

  static func check(_ request: Etcdserverpb.DeleteRangeRequest) throws(EtcdError) {
    if request.key.isEmpty { throw .emptyKey }
  }

  /// - Parameter maxOps: operations allowed in the largest part; a nested transaction has what its
  ///   parent left.
  static func check(_ request: Etcdserverpb.TxnRequest, maxOps: Int) throws(EtcdError) {
    try checkTree(request, maxOps: maxOps)
    if mayRepeat(request.success) { _ = try writes(of: request.success) }
    if mayRepeat(request.failure) { _ = try writes(of: request.failure) }
  }

  /// Whether a branch has more than one operation that writes.
  private static func mayRepeat(_ operations: [Etcdserverpb.RequestOp]) -> Bool {
    var writes = 0
    for operation in operations {
      switch operation.request {
      case .requestPut, .requestDeleteRange: writes += 1
      case .requestTxn: return true
      case .requestRange, nil: break
      }
    }
    return writes > 1
  }

  private static func checkTree(
    _ request: Etcdserverpb.TxnRequest, maxOps: Int
  ) throws(EtcdError) {
    let largest = Swift.max(
      request.compare.count, request.success.count, request.failure.count)
    guard largest <= maxOps else { throw .tooManyOps }
    for comparison in request.compare where comparison.key.isEmpty { throw .emptyKey }
    for operation in request.success { try checkOperation(operation, maxOps: maxOps - largest) }
    for operation in request.failure { try checkOperation(operation, maxOps: maxOps - largest) }
  }

  private static func checkOperation(
    _ operation: Etcdserverpb.RequestOp, maxOps: Int
  ) throws(EtcdError) {
    switch operation.request {
    case .requestRange(let range): try check(range)
    case .requestPut(let put): try check(put)
    case .requestDeleteRange(let range): try check(range)
    case .requestTxn(let txn): try checkTree(txn, maxOps: maxOps)
    case nil: throw .keyNotFound
    }
  }

  /// Keys put and intervals deleted by a branch and the transactions inside it.
  private struct Writes {
    var puts: Set<Bytes> = []
    var deletes: [Etcdserverpb.DeleteRangeRequest] = []

    /// Here etcd takes `range_end` as it stands: a deletion "from key on", whose end is a zero byte,
    /// covers no key.
    func deletes(_ key: Bytes) -> Bool {
      deletes.contains { $0.rangeEnd.isEmpty ? $0.key == key : $0.key <= key && key < $0.rangeEnd }
    }
  }

  /// Refuses a key that is put twice, or put and deleted, in what may run together. The two branches
  /// of a nested transaction exclude each other, so the same key in both is fine.
  private static func writes(
    of operations: [Etcdserverpb.RequestOp]
  ) throws(EtcdError) -> Writes {
    var all = Writes()
    for operation in operations {
      if case .requestDeleteRange(let range) = operation.request {
        all.deletes.append(range)
      }
    }
    for operation in operations {
      guard case .requestTxn(let txn) = operation.request else { continue }
      let success = try writes(of: txn.success)
      let failure = try writes(of: txn.failure)
      for key in success.puts {
        guard !all.deletes(key), all.puts.insert(key).inserted else { throw .duplicateKey }
      }
      for key in failure.puts {
        guard !all.deletes(key) else { throw .duplicateKey }
        guard all.puts.insert(key).inserted || success.puts.contains(key) else {
          throw .duplicateKey
        }
      }
      all.deletes += success.deletes + failure.deletes
    }
    for operation in operations {
      guard case .requestPut(let put) = operation.request else { continue }
      guard !all.deletes(put.key), all.puts.insert(put.key).inserted else { throw .duplicateKey }
    }
    return all
  }
}
