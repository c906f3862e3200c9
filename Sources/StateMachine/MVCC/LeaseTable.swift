import Bytes
import EtcdAPI

/// Which leases exist and which keys hang on them. Replicated state: every member has the same.
///
/// - Source: etcd `lease/lessor.go`, the part that apply changes; expiry is the leader's matter.
public struct LeaseTable: Sendable {
  public struct Lease: Sendable {
    /// Granted time to live in seconds.
    public var ttl: Int64
    /// Seconds that were left at the last checkpoint; 0 when there was none.
    public var remaining: Int64 = 0
    public var keys = LeaseKeys()
  }

  public private(set) var leases: [LeaseID: Lease] = [:]
  private(set) var leaseOfKey: [Bytes: LeaseID] = [:]

  public init() {}

  public func contains(_ id: LeaseID) -> Bool { leases[id] != nil }

  /// Adds a lease. - Returns: false when the id is taken.
  mutating func grant(_ id: LeaseID, ttl: Int64, remaining: Int64 = 0) -> Bool {
    guard leases[id] == nil else { return false }
    leases[id] = Lease(ttl: ttl, remaining: remaining)
    return true
  }

  /// Removes a lease. - Returns: its keys in order; `nil` when it does not exist.
  mutating func revoke(_ id: LeaseID) -> [Bytes]? {
    guard let lease = leases.removeValue(forKey: id) else { return nil }
    for key in lease.keys { leaseOfKey[key] = nil }
    return lease.keys.sorted()
  }

  /// Removes a lease whose keys are about to be deleted one after the other.
  mutating func forget(_ id: LeaseID) { leases[id] = nil }

  /// Hangs a key on a lease, off the one before.
  mutating func attach(_ key: Bytes, to id: LeaseID) {
    if id == .none { return detach(key) }
    if let before = leaseOfKey[key] {
      if before == id { return }
      detach(key)
    }
    guard leases[id] != nil else { return }
    let own = key.detached()
    leases[id]!.keys.insert(own)
    leaseOfKey[own] = id
  }

  private mutating func detach(_ key: Bytes) {
    guard !leaseOfKey.isEmpty, let before = leaseOfKey.removeValue(forKey: key) else { return }
    leases[before]?.keys.remove(key)
  }

  mutating func setRemaining(_ seconds: Int64, of id: LeaseID) { leases[id]?.remaining = seconds }
}
