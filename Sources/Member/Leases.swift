import Auth
import Bytes
import EtcdAPI
import MVCC

/// A question that the leader's clock of leases answers.
public struct LeaseQuestion: Sendable {
  public enum Kind: Sendable {
    /// Start the time of each anew.
    case renew([LeaseID])
    /// What is left of the lease, and on request its keys.
    case timeToLive(LeaseID, keys: Bool)
    /// All leases, as this member knows them; any member answers.
    case list
    /// The keys of a lease, or of all, as this member knows them; any member answers.
    case keys(LeaseID?)

    /// Leases that it is about, as far as somebody waits for each.
    public var weight: Int { if case .renew(let leases) = self { leases.count } else { 1 } }
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
  /// Seconds that each lease lives from now on, in the order of the question; 0: there is no such lease.
  case renewed(ttls: [Int64])
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
///
/// They are asked for many at a time, and are answered together once each has its answer.
struct ParkedRenewals: Sendable {
  /// Renewals of one question.
  struct Batch: Sendable {
    let id: RequestID
    let tick: Int
    /// The answer, as far as it is known.
    var ttls: [Int64]
    /// Positions in it that are not, and the leases they are about.
    let waiting: [(position: Int, lease: LeaseID)]
    /// How many of them wait still.
    fileprivate var left: Int

    init(id: RequestID, tick: Int, ttls: [Int64], waiting: [(position: Int, lease: LeaseID)]) {
      self.id = id
      self.tick = tick
      self.ttls = ttls
      self.waiting = waiting
      left = waiting.count
    }
  }

  private struct Place {
    let id: RequestID
    let position: Int
  }

  private var batches: [RequestID: Batch] = [:]
  private var byLease: [LeaseID: [Place]] = [:]
  /// Renewals that wait.
  private(set) var count = 0

  func holds(_ lease: LeaseID) -> Bool { count > 0 && byLease[lease] != nil }

  /// - Parameter batch: at least one of it waits.
  mutating func park(_ batch: Batch) {
    precondition(batch.left > 0, "a batch of renewals that waits for nothing")
    for (position, lease) in batch.waiting {
      byLease[lease, default: []].append(Place(id: batch.id, position: position))
    }
    count += batch.left
    batches[batch.id] = batch
  }

  /// What became of a lease is known. - Returns: the batches that have all their answers now.
  mutating func settle(_ lease: LeaseID, ttl: Int64) -> [Batch] {
    guard count > 0, let places = byLease.removeValue(forKey: lease) else { return [] }
    count -= places.count
    var whole: [Batch] = []
    for place in places {
      batches[place.id]?.ttls[place.position] = ttl
      batches[place.id]?.left -= 1
      if batches[place.id]?.left == 0, let batch = batches.removeValue(forKey: place.id) {
        whole.append(batch)
      }
    }
    return whole
  }

  /// Gives up the batches that wait for a lease.
  mutating func drop(_ lease: LeaseID) -> [RequestID] {
    let ids = Set((byLease[lease] ?? []).map(\.id))
    return drop { ids.contains($0.id) }
  }

  /// All of them, in the order of their ids.
  mutating func takeAll() -> [RequestID] { drop { _ in true } }

  /// Those that waited too long, in the order of their ids.
  mutating func takeExpired(tick: Int, after limit: Int) -> [RequestID] {
    drop { tick - $0.tick >= limit }
  }

  private mutating func drop(_ isDropped: (Batch) -> Bool) -> [RequestID] {
    guard count > 0 else { return [] }
    let dropped = batches.values.filter(isDropped)
    var leases: Set<LeaseID> = []
    for batch in dropped {
      batches[batch.id] = nil
      count -= batch.left
      for (_, lease) in batch.waiting { leases.insert(lease) }
    }
    // Once a lease: very many may wait for one.
    for lease in leases {
      let left = byLease[lease]?.filter { batches[$0.id] != nil } ?? []
      byLease[lease] = left.isEmpty ? nil : left
    }
    return dropped.map(\.id).sorted()
  }

  /// - Returns: what does not hold: every place is one of a batch that waits, and `count` counts them.
  func checkInvariants() -> String? {
    let places = byLease.values.reduce(0) { $0 + $1.count }
    let left = batches.values.reduce(0) { $0 + $1.left }
    guard places == count, left == count else {
      return "\(count) renewals wait, \(places) places, \(left) left"
    }
    return batches.values.contains { $0.left == 0 } ? "a batch of renewals waits for nothing" : nil
  }
}
