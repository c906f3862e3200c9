import Checkers
import Concurrency
import EtcdAPI
import MVCC
import Protobuf

/// What must be true when a client is told that it holds the lock, and as long as it may believe so.
extension Cluster {
  /// A client is told that it holds the lock.
  /// - Parameters:
  ///   - start: when it asked.
  ///   - snapshot: the state that says so, if it was read.
  func holds(_ client: Int, since start: Int, in snapshot: StoreSnapshot? = nil) {
    let token = lockWorld.clients[client].contender.revision
    if let snapshot { checkLook(client, snapshot) }
    trace("lock: client \(client) holds with \(token), lease \(lockWorld.clients[client].lease)")
    problems += lockWorld.ledger.problems(client: client, token: token, asked: start).map(\.text)
    // Told too late to believe it.
    guard believes(client) else {
      lockWorld.clients[client].phase = .empty
      return
    }
    var holders: [Int] = []
    for other in lockWorld.clients.indices where other != client {
      endHold(other)
      if case .holding(let hold) = lockWorld.clients[other].phase { holders.append(hold) }
    }
    counters.locksHeld += 1
    lockWorld.clients[client].phase = .holding(lockWorld.ledger.holds.count)
    problems += lockWorld.ledger.hold(
      client, token: token, asked: start, told: now, besides: holders
    ).map(\.text)
  }

  private func checkLook(_ client: Int, _ snapshot: StoreSnapshot) {
    let state = lockWorld.clients[client]
    if snapshot.revision < state.known {
      problems.append(
        "client \(client) was told to hold the lock at revision \(snapshot.revision), but asked when "
          + "\(state.known) was known")
    }
    lockWorld.newest = max(lockWorld.newest, snapshot.revision)
    let own = (try? snapshot.range(.init(key: state.contender.key)))?.rows.first
    let pair = own.flatMap { try? Mvccpb.KeyValue.decode($0) }
    if pair?.createRevision != state.contender.revision {
      problems.append("client \(client) was told to hold the lock without its key")
    }
  }

  /// Whether a client can know that its lease is still there.
  private func believes(_ client: Int) -> Bool {
    if options.mutant == .outlivesTheLease { return true }
    return now < leaseWorld.facts[lockWorld.clients[client].lease]?.promise.aliveUntil ?? 0
  }

  /// A client holds the lock until it gives it back, or its lease may have ended.
  func endHold(_ client: Int, given: Bool = false) {
    guard case .holding(let hold) = lockWorld.clients[client].phase, given || !believes(client)
    else { return }
    lockWorld.ledger.end(hold, at: now)
    lockWorld.clients[client].phase = .empty
    trace("lock: client \(client) has it no more")
  }
}
