import Bytes
import Checkers
import EtcdAPI
import MVCC
import Member
import Protobuf
import Raft

/// Clients that hold leases, and what they were promised.
struct LeaseWorld {
  /// Client that gets a lease, hangs one to four keys on it, renews it for a while and begins anew.
  struct Holder {
    enum Phase {
      case empty
      case granted
      case held
    }
    var phase = Phase.empty
    var lease = LeaseID.none
    /// The request under way; answers to earlier ones are not listened to.
    var call: (number: RequestID, time: Int)?
  }

  /// A lease as clients know it.
  struct Fact {
    /// It is gone when a member was first seen without it after it had it.
    var promise = LeasePromise()
    /// Seconds that it was granted.
    var ttl: Int64 = 0
    /// Revision of the transaction that put its keys, once acknowledged.
    var attachedAt: Int64?
  }

  var holders: [Holder] = []
  var facts: [LeaseID: Fact] = [:]
  var holderOf: [RequestID: Int] = [:]
  var made: Int64 = 0
  /// Leases that a process was seen with.
  var seen: [MemberID: (life: Int, leases: Set<LeaseID>)] = [:]
}

/// Keys whose lease was acknowledged as alive within its time are never gone, and every lease that
/// nobody renews goes, with its keys: in steps when they are several.
extension Cluster {
  /// Units that a number of seconds has at least: clocks run up to 20% fast.
  private func leaseUnits(_ seconds: Int64) -> Int {
    let units = options.units(milliseconds: Int(seconds) * 1_000)
    return options.life == nil || has(.clockDrift) ? units * 80 / 100 : units
  }
  private static let leasePatience = 30 * tickUnits
  /// Sorts before the keys that other clients read.
  private static func leaseKey(_ lease: LeaseID, _ end: String) -> Bytes {
    Bytes("a-lease-\(lease)" + end)
  }
  private static func leaseKeys(_ lease: LeaseID) -> Int { Int(lease.rawValue % 4) + 1 }

  func stepLease(_ number: Int) {
    guard callsAllowed else { return }
    queue.add(.lease(holder: number), at: now + 1 + leaseDelay(number))
    var holder = leaseWorld.holders[number]
    if let call = holder.call {
      guard now - call.time > Self.leasePatience else { return }
      // Nobody knows whether the lease or its keys exist: another one.
      if case .held = holder.phase {} else { holder.phase = .empty }
      holder.call = nil
      leaseWorld.holderOf[call.number] = nil
      leaseWorld.holders[number] = holder
    }
    switch holder.phase {
    case .empty:
      leaseWorld.made += 1
      leaseWorld.holders[number].lease = LeaseID(leaseWorld.made)
      let request = Etcdserverpb.LeaseGrantRequest(
        ttl: options.life.map { $0.ttl(&random) } ?? Int64(random.below(12)), id: leaseWorld.made)
      propose(number) { $0.leaseGrant = request }
    case .granted:
      let puts = (0..<Self.leaseKeys(holder.lease)).map { part in
        Etcdserverpb.RequestOp(
          request: .requestPut(
            Etcdserverpb.PutRequest(
              key: Self.leaseKey(holder.lease, "/\(part)"), value: "held",
              lease: holder.lease.rawValue)))
      }
      propose(number) { $0.txn = Etcdserverpb.TxnRequest(success: puts) }
    case .held:
      if chance(oneIn: 15) { leaseWorld.holders[number].phase = .empty } else { renew(number) }
    }
  }

  /// Holders that renew all the time would not notice that a promise was not kept: half of the time
  /// they wait for a part of what they were promised.
  private func leaseDelay(_ number: Int) -> Int {
    let holder = leaseWorld.holders[number]
    let left = (leaseWorld.facts[holder.lease]?.promise.aliveUntil ?? 0) - now
    guard case .held = holder.phase, left > 0, options.life != nil || chance(oneIn: 2) else {
      return random.below(6 * Self.tickUnits)
    }
    return random.below(left)
  }

  private func propose(_ holder: Int, _ fill: (inout Etcdserverpb.InternalRaftRequest) -> Void) {
    propose(fill) { begin(holder, $0) }
  }

  /// Asks one of the members that think they lead.
  private func renew(_ holder: Int) {
    guard let (id, member) = someLeader() else { return }
    let lease = leaseWorld.holders[holder].lease
    let kind: LeaseQuestion.Kind =
      options.mutant == .forgetsRenewals
      ? .timeToLive(lease, keys: false) : .renew(Self.renewals(lease))
    post(.askLeases([LeaseQuestion(id: begin(holder, member), kind)]), to: id)
  }

  /// Some ask for their lease twice at a time, and for one that does not exist.
  private static func renewals(_ lease: LeaseID) -> [LeaseID] {
    lease.rawValue % 2 == 0 ? [lease] : [lease, LeaseID(-1), lease]
  }

  private func begin(_ holder: Int, _ member: SimulatedMember) -> RequestID {
    let number = member.makeRequestID()
    leaseWorld.holders[holder].call = (number, now)
    leaseWorld.holderOf[number] = holder
    return number
  }

  // MARK: Answers

  /// - Returns: whether the reply is one to a holder of a lease.
  func answerLease(_ reply: Reply) -> Bool {
    guard let number = leaseWorld.holderOf.removeValue(forKey: reply.id) else { return false }
    let holder = leaseWorld.holders[number]
    guard let call = holder.call, call.number == reply.id else { return true }
    leaseWorld.holders[number].call = nil
    note(UInt64(bitPattern: holder.lease.rawValue))
    switch reply.outcome {
    case .leaseGranted(_, let ttl, _):
      leaseWorld.facts[holder.lease] = LeaseWorld.Fact()
      promise(holder.lease, ttl, from: call.time)
      leaseWorld.holders[number].phase = .granted
    case .kv(.txn(let revision, _, _)):
      leaseWorld.facts[holder.lease]?.attachedAt = revision
      leaseWorld.holders[number].phase = .held
    case .lease(.renewed(let ttls)):
      guard ttls.count == Self.renewals(holder.lease).count, ttls.count == 1 || ttls[1] == 0 else {
        problems.append("lease \(holder.lease) was renewed as \(ttls)")
        break
      }
      if let ttl = ttls.last, ttl > 0 {
        renewed(holder.lease, ttl, from: call.time)
      } else {
        gone(number, holder.lease)
      }
    case .lease(.timeToLive(_, let granted, _)): renewed(holder.lease, granted, from: call.time)
    case .failed(.leaseNotFound): gone(number, holder.lease)
    case .failed(.leaseExists): problems.append("lease \(holder.lease) was granted twice")
    default: break
    }
    return true
  }

  private func gone(_ holder: Int, _ lease: LeaseID) {
    if let fact = leaseWorld.facts[lease], now < fact.promise.aliveUntil {
      problems.append("lease \(lease) is gone before \(fact.promise.aliveUntil), its time")
    }
    leaseWorld.holders[holder].phase = .empty
  }

  private func renewed(_ lease: LeaseID, _ ttl: Int64, from start: Int) {
    counters.leasesRenewed += 1
    promise(lease, ttl, from: start)
  }

  func promise(_ lease: LeaseID, _ ttl: Int64, from start: Int) {
    guard var fact = leaseWorld.facts[lease] else { return }
    fact.ttl = ttl
    let gone = fact.promise.extend(to: start + leaseUnits(ttl))
    leaseWorld.facts[lease] = fact
    trace("lease \(lease) lives until \(fact.promise.aliveUntil)")
    if let gone {
      problems.append(
        "lease \(lease) was gone at \(gone), promised until \(fact.promise.aliveUntil)")
    }
  }

  // MARK: State of members

  /// Looks at which leases a member lost in its last turn.
  func verifyLeases(_ id: MemberID, _ member: SimulatedMember) {
    let held = Set(member.core.leaseIDs)
    let life = nodes[id]!.life
    if let before = leaseWorld.seen[id], before.life == life {
      for lease in before.leases.subtracting(held).sorted() { lost(lease, at: id) }
    }
    leaseWorld.seen[id] = (life, held)
    guard chance(oneIn: 25), member.core.status.appliedIndex >= member.consistentIndex else {
      return
    }
    for lease in held.sorted() { checkKeys(of: lease, at: id, member) }
  }

  private func lost(_ lease: LeaseID, at id: MemberID) {
    guard var fact = leaseWorld.facts[lease] else { return }
    trace("lease \(lease) is gone at \(name(id))")
    if fact.promise.end(at: now) {
      problems.append(
        "\(name(id)) lost lease \(lease) before \(fact.promise.aliveUntil), until when it was "
          + "promised")
    }
    leaseWorld.facts[lease] = fact
  }

  private func checkKeys(of lease: LeaseID, at id: MemberID, _ member: SimulatedMember) {
    guard let attached = leaseWorld.facts[lease]?.attachedAt,
      attached <= member.core.status.revision
    else { return }
    let request = Etcdserverpb.RangeRequest(
      key: Self.leaseKey(lease, "/"), rangeEnd: Self.leaseKey(lease, "0"))
    do throws(StoreError) {
      let count = try member.core.snapshot().range(request).count
      if count != Int64(Self.leaseKeys(lease)) {
        problems.append(
          "\(name(id)) has lease \(lease) with \(count) of \(Self.leaseKeys(lease)) keys")
      }
    } catch { problems.append("\(name(id)) cannot read: \(error)") }
  }

  /// Nobody renews any more: all leases must end.
  var leasesAreGone: Bool {
    ids.allSatisfy { nodes[$0]!.member?.core.leaseIDs.isEmpty == true }
  }

  /// Keys go with their leases.
  func checkNoLeasedKeys(_ id: MemberID) {
    guard let member = nodes[id]!.member else { return }
    let request = Etcdserverpb.RangeRequest(key: "a", rangeEnd: "b")
    do throws(StoreError) {
      let count = try member.core.snapshot().range(request).count
      if count != 0 { problems.append("\(name(id)) keeps \(count) keys of leases that ended") }
    } catch { problems.append("\(name(id)) cannot read: \(error)") }
  }
}
