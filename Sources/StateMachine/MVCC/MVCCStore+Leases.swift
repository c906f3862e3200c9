import Bytes
import EtcdAPI
import Protobuf

extension MVCCStore {
  /// Longest time to live in seconds.
  /// - Source: etcd `lease.MaxLeaseTTL`.
  public static let leaseTTLMax: Int64 = 9_000_000_000

  /// Applies a grant.
  /// - Throws: `leaseExists`, `leaseTTLTooLarge`.
  public mutating func apply(_ request: Etcdserverpb.LeaseGrantRequest) throws(StoreError) {
    guard request.ttl <= Self.leaseTTLMax else { throw .leaseTTLTooLarge }
    guard request.id != 0 else { throw .leaseNotFound }
    guard leases.grant(request.id, ttl: request.ttl) else { throw .leaseExists }
    saveLease(request.id)
  }

  /// Applies a revocation: the keys of the lease are deleted in one revision, in key order.
  /// - Throws: `leaseNotFound`.
  public mutating func apply(_ request: Etcdserverpb.LeaseRevokeRequest) throws(StoreError) {
    guard let keys = leases.revoke(request.id) else { throw .leaseNotFound }
    try transact { (store) throws(StoreError) in
      for key in keys { _ = store.delete(KeyInterval(key: key, rangeEnd: Bytes())) }
    }
    put(.lease, Self.leaseKey(request.id), nil)
  }

  /// Applies remaining times; leases that are gone are passed over.
  public mutating func apply(_ request: Etcdserverpb.LeaseCheckpointRequest) {
    for checkpoint in request.checkpoints where leases.contains(checkpoint.id) {
      leases.setRemaining(checkpoint.remainingTTL, of: checkpoint.id)
    }
  }

  private mutating func saveLease(_ id: Int64) {
    guard let lease = leases.leases[id] else { return }
    let row = Leasepb.Lease(id: id, ttl: lease.ttl, remainingTTL: lease.remaining)
    put(.lease, Self.leaseKey(id), row.encoded())
  }

  private static func leaseKey(_ id: Int64) -> Bytes {
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(id)
    return writer.finish()
  }
}
