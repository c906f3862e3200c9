import Bytes
import EtcdAPI
import Protobuf

extension MVCCStore {
  /// Longest time to live in seconds.
  /// - Source: etcd `lease.MaxLeaseTTL`.
  public static let leaseTTLMax: Int64 = 9_000_000_000

  /// Applies a grant.
  /// - Parameter minTTL: seconds that a shorter time to live is raised to.
  /// - Returns: seconds granted.
  /// - Throws: `leaseExists`, `leaseTTLTooLarge`; `leaseNotFound` for id 0, which means no lease.
  public mutating func apply(
    _ request: Etcdserverpb.LeaseGrantRequest, minTTL: Int64
  ) throws(StoreError) -> Int64 {
    let id = LeaseID(request.id)
    guard id != .none else { throw .leaseNotFound }
    guard request.ttl <= Self.leaseTTLMax else { throw .leaseTTLTooLarge }
    let ttl = Swift.max(request.ttl, minTTL)
    guard leases.grant(id, ttl: ttl) else { throw .leaseExists }
    saveLease(id)
    return ttl
  }

  /// Applies a revocation: the keys of the lease are deleted in one revision, in key order.
  /// - Throws: `leaseNotFound`.
  public mutating func apply(_ request: Etcdserverpb.LeaseRevokeRequest) throws(StoreError) {
    let id = LeaseID(request.id)
    guard let keys = leases.revoke(id) else { throw .leaseNotFound }
    try transact { (store) throws(StoreError) in
      for key in keys { _ = store.delete(key) }
    }
    put(.lease, Self.leaseKey(id), nil)
  }

  /// Applies remaining times; leases that are gone are passed over.
  /// - Parameter persist: whether a restart remembers them. That nothing is recorded any more is always
  ///   remembered: the lease was renewed, and an old row would end it early.
  public mutating func apply(
    _ request: Etcdserverpb.LeaseCheckpointRequest, persist: Bool
  ) {
    for checkpoint in request.checkpoints {
      let id = LeaseID(checkpoint.id)
      guard leases.contains(id) else { continue }
      leases.setRemaining(checkpoint.remainingTTL, of: id)
      if persist || checkpoint.remainingTTL == 0 { saveLease(id) }
    }
  }

  private mutating func saveLease(_ id: LeaseID) {
    guard let lease = leases.leases[id] else { return }
    let row = Leasepb.Lease(id: id.rawValue, ttl: lease.ttl, remainingTTL: lease.remaining)
    put(.lease, Self.leaseKey(id), row.encoded())
  }

  static func leaseKey(_ id: LeaseID) -> Bytes {
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(id.rawValue)
    return writer.finish()
  }
}
