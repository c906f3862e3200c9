import Auth
import Bytes
import EtcdAPI
import MVCC

/// A question that the leader's clock of leases answers.
public struct LeaseQuestion: Sendable {
  public enum Kind: Sendable {
    /// Start the lease's time anew.
    case renew(LeaseID)
    /// What is left of the lease, and on request its keys.
    case timeToLive(LeaseID, keys: Bool)
    /// All leases, as this member knows them; any member answers.
    case list
    /// The keys of a lease, or of all, as this member knows them; any member answers.
    case keys(LeaseID?)
  }

  public let id: RequestID
  public let kind: Kind

  public init(id: RequestID, _ kind: Kind) {
    self.id = id
    self.kind = kind
  }
}

/// What became of a lease question; refusals are `Outcome.failed`: `leaseNotFound`, `notLeader` when
/// this member does not keep the deadlines (now), `timeout`.
public enum LeaseAnswer: Sendable {
  /// Seconds that the lease lives from now on.
  case renewed(ttl: Int64)
  /// Seconds left and granted, and the keys when they were asked for.
  case timeToLive(remaining: Int64, granted: Int64, keys: LeaseKeys)
  /// In no order.
  case list([LeaseListing])
  /// Of each lease asked about that exists and has any; with the users and roles of the same state.
  case keys([LeaseKeys], AuthStore)
}

/// A lease and when it ends.
public struct LeaseListing: Sendable, Hashable {
  public let id: LeaseID
  /// Milliseconds on the leader's clock; 0 on other members, which do not know.
  public let deadline: Int64
}

/// What happened to leases in a turn.
public struct LeaseActivity: Sendable {
  /// Times to live of leases granted, in seconds.
  public var granted: [Int64] = []
  public var revoked = 0
  public var renewed = 0
  /// Of those revoked: because they were overdue.
  public var expired = 0

  public var isEmpty: Bool { granted.isEmpty && revoked == 0 && renewed == 0 }
}

/// Renewals that wait until an entry about their lease is applied.
struct ParkedRenewals: Sendable {
  struct Renewal: Sendable {
    let id: RequestID
    let tick: Int
  }

  private var byLease: [LeaseID: [Renewal]] = [:]
  private(set) var count = 0

  mutating func park(_ renewal: Renewal, lease: LeaseID) {
    byLease[lease, default: []].append(renewal)
    count += 1
  }

  mutating func take(_ lease: LeaseID) -> [Renewal] {
    guard count > 0, let taken = byLease.removeValue(forKey: lease) else { return [] }
    count -= taken.count
    return taken
  }

  /// All of them, in the order of their ids.
  mutating func takeAll() -> [RequestID] {
    guard count > 0 else { return [] }
    defer {
      byLease.removeAll()
      count = 0
    }
    return byLease.values.flatMap { $0.map(\.id) }.sorted()
  }

  /// Those that waited too long, in the order of their ids.
  mutating func takeExpired(tick: Int, after limit: Int) -> [RequestID] {
    guard count > 0 else { return [] }
    var expired: [RequestID] = []
    for (lease, renewals) in byLease {
      let left = renewals.filter { tick - $0.tick < limit }
      guard left.count < renewals.count else { continue }
      expired += renewals.filter { tick - $0.tick >= limit }.map(\.id)
      byLease[lease] = left.isEmpty ? nil : left
    }
    count -= expired.count
    return expired.sorted()
  }
}
