import Bytes
import Checkers
import Concurrency
import EtcdAPI
import MVCC
import Member
import Protobuf
import Raft

/// Clients that contend for one lock, and what they were told.
struct LockWorld {
  /// Client that gets a lease, enters the line with it, waits, holds the lock for a while and leaves.
  struct Client {
    enum Phase {
      /// Without a lease, or with one of which it is not known what hangs on it.
      case empty
      case outside
      case looking
      /// Until this key or the own one is gone.
      case behind(Bytes, revision: Int64)
      case holding(Int)
      case leaving
    }
    var phase = Phase.empty
    var contender = Contender("", lease: 0)
    /// The request under way; answers to earlier ones are not listened to.
    var call: (number: RequestID, time: Int)?
    /// The newest revision that anybody had been told when it was asked.
    var known: Int64 = 0

    var lease: LeaseID { LeaseID(contender.lease) }
  }

  var clients: [Client] = []
  var clientOf: [RequestID: Int] = [:]
  var ledger = LockLedger()
  /// The newest revision that a client was told.
  var newest: Int64 = 0
}

/// Nobody is told to hold the lock while somebody else holds it, or without having a key in a state at least as
/// new as everything that was known before; tokens of later holders are larger.
///
/// The clients go by `Contender`, as the member's lock service and the client library do; instead of watching
/// the key in front of them they look for it in the state of some member.
extension Cluster {
  private static let lockPatience = 15 * tickUnits
  /// Sorts before the keys that other clients read.
  private static let lockName: Bytes = "a-lock"

  func stepLock(_ number: Int) {
    guard callsAllowed else { return }
    queue.add(.lock(client: number), at: now + 1 + random.below(2 * Self.tickUnits))
    endHold(number)
    if let call = lockWorld.clients[number].call {
      guard now - call.time > Self.lockPatience else { return }
      giveUpLock(number, call.number)
    }
    let contender = lockWorld.clients[number].contender
    switch lockWorld.clients[number].phase {
    case .empty:
      leaseWorld.made += 1
      lockWorld.clients[number].contender = Contender(Self.lockName, lease: leaseWorld.made)
      let grant = Etcdserverpb.LeaseGrantRequest(
        ttl: 1 + Int64(random.below(options.life?.lockSeconds ?? 8)), id: leaseWorld.made)
      proposeLock(number) { $0.leaseGrant = grant }
    case .outside: proposeLock(number) { $0.txn = contender.entry("1") }
    case .looking, .behind:
      switch random.below(20) {
      case 0: leaveLock(number)
      // Some lose their lease while they wait.
      case 1...4 where number % 2 == 0: renewLock(number)
      default: look(number)
      }
    case .holding:
      switch random.below(8) {
      case 0: leaveLock(number)
      case 1, 2: proposeLock(number) { $0.txn = contender.proclamation("2") }
      case 3: renewLock(number)
      default: break
      }
    case .leaving: leaveLock(number)
    }
  }

  // MARK: Requests

  private func beginLock(_ client: Int, _ member: SimulatedMember) -> RequestID {
    let number = member.makeRequestID()
    lockWorld.clients[client].call = (number, now)
    lockWorld.clients[client].known = lockWorld.newest
    lockWorld.clientOf[number] = client
    return number
  }

  private func proposeLock(
    _ client: Int, _ fill: (inout Etcdserverpb.InternalRaftRequest) -> Void
  ) {
    propose(fill) { beginLock(client, $0) }
  }

  /// Asks where the client stands, or any member whether who is in front is still there.
  private func look(_ client: Int) {
    // Mostly the same one, as on a connection.
    let id = ids[chance(oneIn: 10) ? random.below(ids.count) : client % ids.count]
    guard let member = nodes[id]!.member else { return }
    let number = beginLock(client, member)
    if case .behind = lockWorld.clients[client].phase {
      post(.readLocal([number]), to: id)
    } else {
      post(options.mutant == .locksLocally ? .readLocal([number]) : .read([number]), to: id)
    }
  }

  private func leaveLock(_ client: Int) {
    endHold(client, given: true)
    lockWorld.clients[client].phase = .leaving
    let withdrawal = lockWorld.clients[client].contender.withdrawal
    proposeLock(client) { $0.txn = withdrawal }
  }

  private func renewLock(_ client: Int) {
    guard let (id, member) = someLeader() else { return }
    let lease = lockWorld.clients[client].lease
    post(.askLeases([LeaseQuestion(id: beginLock(client, member), .renew([lease]))]), to: id)
  }

  /// Nobody knows what became of a request: what may be repeated is, what may not begins with another lease.
  private func giveUpLock(_ client: Int, _ number: RequestID) {
    lockWorld.clients[client].call = nil
    lockWorld.clientOf[number] = nil
    if case .leaving = lockWorld.clients[client].phase { lockWorld.clients[client].phase = .empty }
  }

  // MARK: Answers

  /// - Returns: whether the reply is one to a client that wants the lock.
  func answerLock(_ reply: Reply) -> Bool {
    guard let client = lockWorld.clientOf.removeValue(forKey: reply.id) else { return false }
    guard let call = lockWorld.clients[client].call, call.number == reply.id else { return true }
    lockWorld.clients[client].call = nil
    let lease = lockWorld.clients[client].lease
    switch (lockWorld.clients[client].phase, reply.outcome) {
    case (.empty, .leaseGranted(_, let ttl, _)):
      leaseWorld.facts[lease] = LeaseWorld.Fact()
      promise(lease, ttl, from: call.time)
      lockWorld.clients[client].phase = .outside
    case (.outside, .kv(let result)):
      lockWorld.newest = max(lockWorld.newest, result.revision)
      let entry = message(result).flatMap { try? lockWorld.clients[client].contender.entered($0) }
      guard let entry else {
        problems.append("a client entered a line with an odd answer")
        break
      }
      if entry.isOldest { holds(client, since: call.time) } else { goOn(client, .looking) }
    case (.leaving, .kv): lockWorld.clients[client].phase = chance(oneIn: 2) ? .outside : .empty
    case (_, .lease(.renewed(let ttls))) where ttls[0] > 0:
      promise(lease, ttls[0], from: call.time)
    case (_, .lease(.renewed)), (_, .failed(.leaseNotFound)):
      endHold(client, given: true)
      lockWorld.clients[client].phase = .empty
    default: break
    }
    return true
  }

  /// - Parameter snapshot: what is read from; `nil` when that failed.
  /// - Returns: whether the read is one of a client that wants the lock.
  func answerLock(_ number: RequestID, _ snapshot: StoreSnapshot?) -> Bool {
    guard let client = lockWorld.clientOf.removeValue(forKey: number) else { return false }
    let state = lockWorld.clients[client]
    guard let call = state.call, call.number == number else { return true }
    lockWorld.clients[client].call = nil
    guard let snapshot else { return true }
    if case .behind(let older, let revision) = state.phase {
      // A watch from the revision on would tell.
      guard snapshot.revision > revision else { return true }
      let watched = options.mutant == .holdsWithoutKey ? [older] : [older, state.contender.key]
      let isGone = watched.contains { key in
        (try? snapshot.range(.init(key: key)))?.count == 0
      }
      guard isGone else { return true }
      if options.mutant == .trustsTheWait {
        holds(client, since: call.time, in: snapshot)
      } else {
        goOn(client, .looking)
      }
      return true
    }
    guard let answer = message(try? snapshot.read(faulty(state.contender.look))),
      let standing = try? state.contender.standing(answer)
    else {
      problems.append("a client looked where it stands and got an odd answer")
      return true
    }
    switch standing {
    case .first: holds(client, since: call.time, in: snapshot)
    case .behind(let older, let revision): goOn(client, .behind(older, revision: revision))
    case .gone:
      guard options.mutant == .holdsWithoutKey,
        case .responseRange(let older)? = answer.responses.last?.response
      else { return goOn(client, .empty) }
      if let older = older.kvs.first {
        goOn(client, .behind(older.key, revision: answer.header?.revision ?? 0))
      } else {
        holds(client, since: call.time, in: snapshot)
      }
    }
    return true
  }

  /// - Returns: true, for those who have answered.
  @discardableResult
  private func goOn(_ client: Int, _ phase: LockWorld.Client.Phase) -> Bool {
    lockWorld.clients[client].phase = phase
    return true
  }

  private func faulty(_ look: Etcdserverpb.TxnRequest) -> Etcdserverpb.TxnRequest {
    guard options.mutant == .ranksByModification, look.success.count == 2,
      case .requestRange(var older) = look.success[1].request
    else { return look }
    (older.maxModRevision, older.maxCreateRevision) = (older.maxCreateRevision, 0)
    older.sortTarget = .mod
    var look = look
    look.success[1].request = .requestRange(older)
    return look
  }

  /// As a client gets it.
  private func message(_ result: KVResult?) -> Etcdserverpb.TxnResponse? {
    guard let bytes = try? result?.completed().encoded(header: Etcdserverpb.ResponseHeader())
    else { return nil }
    return try? Etcdserverpb.TxnResponse.decode(bytes)
  }
}
