import EtcdAPI
import MVCC

/// When leases end: what the leader alone keeps. Which leases exist is replicated (`LeaseTable`).
///
/// The clock is the member's ticks. It stands still while the member does, so that a leader that was
/// stopped for a while does not find every lease overdue when it goes on: no client could renew them
/// meanwhile. A lease never ends before its time; it may end a tick later.
///
/// Who revokes and who renews:
/// - A lease that is overdue is revoked by an entry that the leader appends to its own log, never by a
///   proposal that is forwarded. The entry has the leader's term, so it takes effect only if no later
///   leader was elected without it, and then before that leader's deadlines begin.
/// - A renewal counts after a quorum confirmed the leader, as a linearizable read does.
///
/// - Units: milliseconds since the member started, seconds for times to live.
/// - Source: etcd `lease/lessor.go`, `lease/lease_queue.go`, `EtcdServer.revokeExpiredLeases`.
struct Lessor: Sendable {
  struct Config: Sendable {
    /// One tick.
    var tick: Int64
    /// Shortest time to live in seconds: shorter ones could not be renewed across an election.
    var minTTL: Int64
    /// Added to every lease when a leader begins: clients had nobody to renew with.
    var promotionExtension: Int64
    /// Overdue leases revoked a second.
    var revokesPerSecond: Int64 = 1000
    /// Revocations in the log that were not applied yet.
    var revokesInFlight = 16
    /// After which a revocation that was not applied is tried again.
    var retry: Int64
    /// Between two checkpoints of a lease; `nil` = none are made.
    var checkpointInterval: Int64?
    /// Leases in an entry of checkpoints, and such entries a tick.
    var checkpointBatch = 1000
    var checkpointBatchesPerTick = 10
    /// Queue places looked at a tick.
    var stepsPerTick = 20_000
  }

  let config: Config
  /// Term in which this member leads and keeps the deadlines; `nil` when another one does.
  private(set) var primaryTerm: Term?
  private var expiry = DueQueue()
  private var checkpoints = DueQueue()
  /// Leases whose revocation is under way, and when it is given up.
  private var revoking: [LeaseID: Int64] = [:]
  /// Leases in checkpoints that are in the log and not applied; one a lease at a time, or a renewal that waits
  /// for one would be overtaken by the next.
  private var checkpointing: Set<LeaseID> = []
  /// Thousandths of revocations that may be made now.
  private var credit: Int64 = 0
  private var steps = 0
  private var batches = 0

  init(_ config: Config) { self.config = config }

  var isPrimary: Bool { primaryTerm != nil }
  /// Leases with a deadline.
  var count: Int { expiry.count }

  /// Seconds that a lease is granted: at least the shortest possible.
  func ttl(of lease: LeaseTable.Lease) -> Int64 {
    Swift.min(Swift.max(lease.ttl, config.minTTL), MVCCStore.leaseTTLMax)
  }

  // MARK: Leadership

  /// Begins to keep deadlines: every lease gets what was left at its last checkpoint, or all of its
  /// time, and the extension. A pile of leases that would end together is drawn apart.
  mutating func promote(term: Term, now: Int64, leases: LeaseTable) {
    demote()
    primaryTerm = term
    var deadlines: [(id: LeaseID, due: Int64)] = []
    deadlines.reserveCapacity(leases.leases.count)
    for (id, lease) in leases.leases {
      let seconds =
        lease.remaining > 0 ? Swift.min(lease.remaining, ttl(of: lease)) : ttl(of: lease)
      deadlines.append((id, deadline(seconds, now) + config.promotionExtension))
      scheduleCheckpoint(id, seconds: seconds, now: now)
    }
    deadlines.sort { $0.due == $1.due ? $0.id < $1.id : $0.due < $1.due }
    if Int64(deadlines.count) >= config.revokesPerSecond { spread(&deadlines) }
    expiry = DueQueue(sorted: deadlines)
  }

  /// Puts deadlines so far apart that the piled up ones use three quarters of the revocations that
  /// are possible, and leave the rest to those that come.
  private func spread(_ deadlines: inout [(id: LeaseID, due: Int64)]) {
    let gap = 1_000_000 / (config.revokesPerSecond * 3 / 4)  // microseconds
    var next = Int64.min
    for position in deadlines.indices {
      let wanted = deadlines[position].due * 1000
      next = Swift.max(wanted, next &+ gap)
      if next > wanted { deadlines[position].due = (next + 999) / 1000 }
    }
  }

  /// Another member may lead: the deadlines are its matter.
  mutating func demote() {
    primaryTerm = nil
    expiry = DueQueue()
    checkpoints = DueQueue()
    revoking.removeAll()
    checkpointing.removeAll()
    credit = 0
  }

  // MARK: Leases

  /// A tick is not yet over when something happens after it, hence the one more.
  private func deadline(_ seconds: Int64, _ now: Int64) -> Int64 {
    now + seconds * 1000 + config.tick
  }

  /// Starts a lease's time anew: granted or renewed. Without effect unless primary.
  mutating func refresh(_ id: LeaseID, _ lease: LeaseTable.Lease, now: Int64) {
    guard isPrimary else { return }
    expiry.set(id, due: deadline(ttl(of: lease), now))
    if checkpoints.due(of: id) == nil { scheduleCheckpoint(id, seconds: ttl(of: lease), now: now) }
  }

  /// The lease is gone. - Returns: whether it was revoked because it was overdue.
  mutating func remove(_ id: LeaseID) -> Bool {
    guard isPrimary else { return false }
    expiry.remove(id)
    checkpoints.remove(id)
    checkpointing.remove(id)
    return revoking.removeValue(forKey: id) != nil
  }

  func isOverdue(_ id: LeaseID, now: Int64) -> Bool {
    guard let due = expiry.due(of: id) else { return false }
    return due <= now
  }

  /// Whole seconds that are left at least; 0 when overdue, `nil` when not primary.
  func remaining(_ id: LeaseID, now: Int64) -> Int64? {
    guard let due = expiry.due(of: id) else { return nil }
    // Up to a tick has passed since `now`.
    return Swift.max(due - config.tick - now - 1, 0) / 1000
  }

  /// When the lease ends; `nil` when not primary.
  func deadline(of id: LeaseID) -> Int64? { expiry.due(of: id) }

  // MARK: Work

  mutating func tick(now: Int64) {
    if !revoking.isEmpty { revoking = revoking.filter { $0.value > now } }
    let share = config.revokesPerSecond * config.tick
    credit = Swift.min(credit + share, Swift.max(share, 1000))
    steps = config.stepsPerTick
    batches = config.checkpointBatchesPerTick
  }

  /// Overdue leases to revoke now, within the rate and the number that may be under way.
  mutating func takeOverdue(now: Int64) -> [LeaseID] {
    guard isPrimary, credit >= 1000, steps > 0 else { return [] }
    var taken: [LeaseID] = []
    while credit >= 1000, revoking.count < config.revokesInFlight,
      let id = expiry.takeDue(now: now, again: now + config.retry, steps: &steps)
    {
      credit -= 1000
      revoking[id] = now + config.retry
      taken.append(id)
    }
    return taken
  }

  /// Revocations could not be put into the log: they are tried at the next tick.
  mutating func giveBack(_ ids: [LeaseID], now: Int64) {
    for id in ids {
      revoking[id] = nil
      expiry.recall(id, at: now + config.tick)
    }
  }

  // MARK: Checkpoints

  private mutating func scheduleCheckpoint(_ id: LeaseID, seconds: Int64, now: Int64) {
    guard let interval = config.checkpointInterval, seconds * 1000 > interval else { return }
    checkpoints.set(id, due: now + interval)
  }

  /// Whether a checkpoint of the lease is on its way: a renewal must not overtake it.
  func isCheckpointing(_ id: LeaseID) -> Bool { checkpointing.contains(id) }

  /// A checkpoint that forgets what an earlier one recorded is in the log.
  mutating func willForget(_ id: LeaseID) {
    precondition(checkpointing.insert(id).inserted, "two checkpoints of lease \(id) at a time")
  }

  /// What is left of leases, to put into the log as one entry; empty when nothing is due.
  mutating func takeCheckpoints(
    now: Int64, leases: LeaseTable
  ) -> [Etcdserverpb.LeaseCheckpoint] {
    guard isPrimary, let interval = config.checkpointInterval, batches > 0 else { return [] }
    batches -= 1
    var taken: [Etcdserverpb.LeaseCheckpoint] = []
    while taken.count < config.checkpointBatch,
      let id = checkpoints.takeDue(now: now, again: now + interval, steps: &steps)
    {
      guard let due = expiry.due(of: id), due > now, let lease = leases.leases[id] else {
        checkpoints.remove(id)
        continue
      }
      let seconds = (due - now + 999) / 1000
      // Renewed a moment ago: nothing to remember.
      guard seconds < ttl(of: lease), !isCheckpointing(id) else { continue }
      if seconds * 1000 <= interval { checkpoints.remove(id) }
      checkpointing.insert(id)
      taken.append(Etcdserverpb.LeaseCheckpoint(id: id.rawValue, remainingTTL: seconds))
    }
    return taken
  }

  /// Checkpoints could not be put into the log.
  mutating func giveBack(_ taken: [Etcdserverpb.LeaseCheckpoint], now: Int64) {
    for checkpoint in taken {
      let id = LeaseID(checkpoint.id)
      checkpointing.remove(id)
      checkpoints.set(id, due: now + config.tick)
    }
  }

  mutating func didCheckpoint(_ id: LeaseID) { checkpointing.remove(id) }

  // MARK: Invariants

  /// Guarantees, between turns:
  /// 1. Who is not primary keeps no deadlines.
  /// 2. While primary, every lease has a deadline, and what has one is a lease or is being revoked.
  /// 3. What is revoked or recorded is a lease, and no more revocations are under way than may be.
  /// 4. Those of `DueQueue`.
  /// - Parameters:
  ///   - leases: those that exist.
  ///   - leaving: one that is being revoked in steps.
  /// - Returns: the first one that does not hold.
  /// - Complexity: O(leases).
  func checkInvariants(leases: LeaseTable, leaving: LeaseID? = nil) -> String? {
    guard isPrimary else {
      let kept = expiry.count + checkpoints.count + revoking.count + checkpointing.count
      return kept == 0 ? nil : "1: \(kept) deadlines of nobody"
    }
    for id in leases.leases.keys where expiry.due(of: id) == nil {
      return "2: lease \(id) has no deadline"
    }
    let gone = leaving.flatMap { expiry.due(of: $0) } == nil ? 0 : 1
    guard expiry.count == leases.leases.count + gone else {
      return "2: \(expiry.count) deadlines of \(leases.leases.count) leases, \(gone) on its way out"
    }
    for id in revoking.keys where expiry.due(of: id) == nil { return "3: \(id) is revoked" }
    for id in checkpointing where expiry.due(of: id) == nil { return "3: \(id) is recorded" }
    guard revoking.count <= config.revokesInFlight else {
      return "3: \(revoking.count) revocations, limit \(config.revokesInFlight)"
    }
    if let problem = expiry.checkInvariants() { return "4: deadlines \(problem)" }
    return checkpoints.checkInvariants().map { "4: checkpoints \($0)" }
  }
}
