import EtcdAPI
import MVCC

/// How much the backend may grow by a request, estimated before it is proposed.
///
/// - Source: etcd `storage/quota.go`.
enum Quota {
  private static let keyOverheadBytes = 256

  static let leaseCost = 64

  static func cost(_ request: Etcdserverpb.PutRequest) -> Int {
    keyOverheadBytes + request.key.count + request.value.count
  }

  /// The larger branch of a transaction; `nil` when it puts nothing.
  static func cost(_ request: Etcdserverpb.TxnRequest) -> Int? {
    let cost = Swift.max(cost(request.success), cost(request.failure))
    return cost > 0 ? cost : nil
  }

  private static func cost(_ operations: [Etcdserverpb.RequestOp]) -> Int {
    operations.reduce(0) { total, operation in
      switch operation.request {
      case .requestPut(let put): return total + cost(put)
      case .requestTxn(let txn): return total + (cost(txn) ?? 0)
      default: return total
      }
    }
  }
}
