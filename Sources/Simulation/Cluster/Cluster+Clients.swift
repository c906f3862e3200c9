import Auth
import Checkers
import EtcdAPI
import MVCC
import Member
import Protobuf
import Raft

extension Cluster {
  /// One client: it asks, waits, and asks again.
  struct Client {
    /// Values seen last, for comparisons.
    var seen: [String: Int] = [:]
  }

  /// Units after which a client gives a request up.
  private static let patience = 60 * tickUnits

  func call(_ client: Int) {
    guard callsAllowed else { return }
    let id = ids[random.below(ids.count)]
    guard nodes[id]!.member != nil else {
      queue.add(.call(client: client), at: now + Self.tickUnits)
      return
    }
    call(chooseRequest(client), client: client, at: id)
  }

  /// Sends a request to a member.
  /// - Returns: its place in the history.
  @discardableResult
  func call(_ request: ClientRequest, client: Int, at id: MemberID) -> Int {
    let member = nodes[id]!.member!
    clock += 1
    let caller = caller(client, at: member)
    history.append(
      Operation(
        client: client, request: request, member: id, user: caller?.username, called: clock))
    let operation = history.count - 1
    let number = member.makeRequestID()
    waiting[id]![number] = operation
    if let data = request.encoded(id: number, caller) {
      post(.propose([Proposal(id: number, data: data)]), to: id)
    } else if request.range?.serializable == true || options.mutant == .readsLocally {
      post(.readLocal([number]), to: id)
    } else {
      post(.read([number]), to: id)
    }
    queue.add(.giveUp(operation: operation), at: now + Self.patience)
    return operation
  }

  /// The revision that was heard of last.
  private var newestRevision: Int64 {
    history.reversed().lazy.compactMap { $0.result?.revision }.first ?? 1
  }

  private func chooseRequest(_ client: Int) -> ClientRequest {
    let key = keys[random.below(keys.count)]
    nextValue += 1
    switch random.below(100) {
    case 0..<25: return .put(key: key, value: nextValue)
    case 25..<29:
      return .putAndLook(
        key: key, value: nextValue, at: max(newestRevision - Int64(random.below(8)), 1))
    case 29: return .keepOnly(key, value: nextValue, others: keys.filter { $0 != key })
    case 30..<38: return .delete(key: key)
    case 38..<55:
      return .compareAndPut(
        key: key, expected: clients[client].seen[key, default: 0], new: nextValue)
    case 55..<60 where keys.count > 1:
      let other = keys[(keys.firstIndex(of: key)! + 1) % keys.count]
      return .putBoth(key, other, value: nextValue)
    case 60..<62:
      return .compact(max(newestRevision - Int64(random.below(5)), 1))
    case 62..<68: return .range(key: "k", toEnd: true, serializable: false)
    case 68..<72: return .range(key: "k", toEnd: true, serializable: true)
    case 72..<75:
      return .past(max(newestRevision - Int64(random.below(8)), lifeWorld.firstRevision))
    case 75..<78: return .range(key: key, toEnd: false, serializable: true)
    default: return .range(key: key, toEnd: false, serializable: false)
    }
  }

  /// Puts a request into the log through a member, if that runs.
  /// - Parameter begin: makes the request's number there, and notes who waits for it.
  func propose(
    _ fill: (inout Etcdserverpb.InternalRaftRequest) -> Void,
    _ begin: (SimulatedMember) -> RequestID
  ) {
    let id = ids[random.below(ids.count)]
    guard let member = nodes[id]?.member else { return }
    let number = begin(member)
    var request = Etcdserverpb.InternalRaftRequest(header: header(number, at: member))
    fill(&request)
    post(.propose([Proposal(id: number, data: request.encoded())]), to: id)
  }

  /// One of the members that think they lead.
  func someLeader() -> (id: MemberID, member: SimulatedMember)? {
    let leaders = ids.filter { nodes[$0]?.member?.core.isLeader == true }
    guard !leaders.isEmpty else { return nil }
    let id = leaders[random.below(leaders.count)]
    return nodes[id]?.member.map { (id, $0) }
  }

  /// Tells clients what a turn of a member answered.
  func answer(_ replies: [Reply], _ reads: [ReadBatch], from id: MemberID) {
    for reply in replies {
      if answerLease(reply) || answerLock(reply) || answerAuth(reply)
        || answerChange(reply, from: id) || answerAlarm(reply) || answerV2(reply)
        || answerBackup(reply, from: id)
      {
        continue
      }
      guard let operation = waiting[id]?.removeValue(forKey: reply.id) else { continue }
      finish(operation, OperationResult(reply.outcome, to: history[operation].request))
    }
    for batch in reads {
      for number in batch.ids {
        if answerLock(number, try? batch.result.get().snapshot) { continue }
        if answerBackup(number, isRead: (try? batch.result.get()) != nil) { continue }
        guard let operation = waiting[id]?.removeValue(forKey: number) else { continue }
        guard case .success(let state) = batch.result,
          let range = history[operation].request.range
        else {
          finish(operation, nil)
          continue
        }
        if options.mutant != .readsUnchecked, let user = history[operation].user,
          !state.auth.allows(range, user)
        {
          finish(operation, .refused)
          continue
        }
        do throws(StoreError) {
          let result = try OperationResult(range, keys: keys, in: state.snapshot)
          finish(operation, isForgotten(result, range) ? nil : result)
        } catch {
          // Compacted, or not there yet.
          guard case .past = history[operation].request, EtcdError(error).isOfRevision else {
            problems.append("\(name(id)) cannot read: \(error)")
            continue
          }
          finish(operation, .refused)
        }
      }
    }
  }

  /// - Parameter result: `nil` when the client was told that it may or may not have happened.
  private func finish(_ operation: Int, _ result: OperationResult?) {
    let client = history[operation].client
    if let result {
      clock += 1
      history[operation].returned = clock
      history[operation].result = result
      counters.acknowledged += 1
      note(UInt64(bitPattern: result.revision ?? -1))
      if case .read(_, let values) = result {
        for (key, value) in values { clients[client].seen[key] = value.value }
      }
      for effect in history[operation].effects { clients[client].seen[effect.key] = effect.value }
      trace("\(history[operation].request) at \(name(history[operation].member)): \(result)")
    } else {
      counters.unknown += 1
    }
    guard options.life == nil || client != inspector else { return }
    // In a life a member may be away for a day, and each try without an answer is one more possibility to check.
    let pace = options.life != nil && result == nil ? LifeOptions.restPace : options.pace
    queue.add(.call(client: client), at: now + 1 + random.below(4 * pace * Self.tickUnits))
  }

  func giveUp(_ operation: Int) {
    let id = history[operation].member
    guard let number = waiting[id]?.first(where: { $0.value == operation })?.key else { return }
    waiting[id]![number] = nil
    finish(operation, nil)
  }

  /// The member died with the request.
  func lose(_ operation: Int) { finish(operation, nil) }
}

extension AuthStore {
  /// Whether a user may read, as a server asks when it has the state to read from.
  fileprivate func allows(_ range: Etcdserverpb.RangeRequest, _ user: String) -> Bool {
    do throws(EtcdError) {
      try check(range, AuthInfo(username: user, revision: revision))
      return true
    } catch { return false }
  }
}

extension EtcdError {
  /// Whether what was asked for is compacted, or still to come.
  fileprivate var isOfRevision: Bool { self == .compacted || self == .futureRevision }
}
