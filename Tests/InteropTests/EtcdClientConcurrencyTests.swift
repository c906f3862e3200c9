import EtcdClient
import Foundation
import Synchronization
import TestSupport
import Testing

/// Sessions, locks and elections of the client library against real members of both kinds.
@Suite(.serialized) struct EtcdClientConcurrencyTests {
  static let servers = EtcdClientWatchTests.servers

  private static func one(_ server: String) throws -> (cluster: Cluster, client: EtcdClient) {
    let cluster = Cluster([server])
    try cluster.start()
    return (
      cluster,
      try EtcdClient(
        EtcdClientConfiguration(endpoints: [cluster.endpoints], requestTimeout: .seconds(30)))
    )
  }

  @Test(arguments: servers) func aSessionKeepsItsLeaseAndGivesItBack(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    // Longer than its lease would live, were it not renewed.
    let lease = try await client.withSession(ttl: 2) { session in
      try await client.kv.put("s", "v", lease: session.lease)
      try await Task.sleep(for: .seconds(4))
      #expect(session.isAlive && session.validUntil > .now)
      return session.lease
    }
    #expect(try await client.kv.get("s").kvs.isEmpty)
    #expect(try await client.leases.timeToLive(lease).ttl == -1)
    struct Reason: Error {}
    await #expect(throws: Reason.self) {
      try await client.withSession { _ in throw Reason() }
    }
    #expect(try await client.leases.list().leases.isEmpty)
    // A cancelled one gives its lease back, too.
    let started = Gate()
    let task = Task {
      try await client.withSession { _ in
        started.open()
        try await Task.sleep(for: .seconds(60))
      }
    }
    await started.wait()
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(try await client.leases.list().leases.isEmpty)
    _ = cluster
  }

  @Test(arguments: servers) func aSessionLearnsThatItsLeaseIsLost(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let lease = Shared<Int64>(0)
    do {
      try await client.withSession(ttl: 3) { session in
        lease.withLock { $0 = session.lease }
        try await client.leases.revoke(session.lease)
        try await Task.sleep(for: .seconds(60))
      }
      Issue.record("the session went on without its lease")
    } catch let error as EtcdClientError {
      #expect(error == .sessionLost(lease: lease.withLock { $0 }))
    }
    _ = cluster
  }

  /// A server that is stopped renews nothing, and the client does not believe otherwise.
  @Test(arguments: servers) func aSessionEndsWhenNobodyRenewsIt(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let pid = cluster.members[0].pid
    let began = ContinuousClock.now
    do {
      try await client.withSession(ttl: 3) { session in
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        try await Task.sleep(for: .seconds(60))
      }
      Issue.record("the session went on without its server")
    } catch let error as EtcdClientError {
      guard case .sessionLost = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(ContinuousClock.now - began < .seconds(15))
    _ = cluster
  }

  /// What a lock guards is read and written in two steps: without it, writes would be lost.
  @Test(arguments: servers) func aLockIsHadByOneAtATime(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let revisions = Shared<[Int64]>([])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<6 {
        group.addTask {
          try await client.withSession(ttl: 20) { session in
            for _ in 0..<5 {
              try await session.withLock("counter/lock") { lock in
                revisions.withLock { $0.append(lock.revision) }
                let count = try await client.kv.get("counter").kvs.first?.value.string ?? "0"
                let next = Bytes("\((Int(count) ?? 0) + 1)")
                let held = try await client.kv.txn(
                  [lock.isHeld],
                  success: [.init(request: .requestPut(.init(key: "counter", value: next)))])
                #expect(held.succeeded)
              }
            }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try await client.kv.get("counter").kvs.first?.value == "30")
    let tokens = revisions.withLock { $0 }
    #expect(tokens.count == 30 && tokens == tokens.sorted() && Set(tokens).count == 30)
    #expect(try await client.kv.get(.prefix("counter/lock")).kvs.isEmpty)
    _ = cluster
  }

  @Test(arguments: servers) func whoWaitsForALockMayGiveUp(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    try await client.withSession(ttl: 20) { holder in
      let lock = try #require(try await holder.tryLock("l"))
      #expect(lock.key.string.hasPrefix("l/"))
      #expect(try await holder.lock("l").revision == lock.revision, "a session has a lock once")
      try await client.withSession(ttl: 20) { other in
        #expect(try await other.tryLock("l") == nil)
        // Often, for it is given up in the middle of a look at the line, which must not end etcd 3.5.1.
        for _ in 0..<50 {
          let waiting = Task { try await other.lock("l") }
          while try await client.kv.get(.prefix("l/")).count < 2 {}
          waiting.cancel()
          await #expect(throws: EtcdClientError.cancelled) { try await waiting.value }
          #expect(try await client.kv.get(.prefix("l/")).count == 1)
        }
        // A place that somebody takes away is no lock, though everybody in front leaves.
        let robbed = Task { try await other.lock("l") }
        while try await client.kv.get(.prefix("l/")).count < 2 {}
        let key = Bytes("l/" + String(other.lease, radix: 16))
        try await client.kv.delete(.key(key))
        try await lock.unlock()
        await #expect(throws: EtcdClientError.sessionLost(lease: other.lease)) {
          try await robbed.value
        }
      }
    }
    _ = cluster
  }

  @Test(arguments: servers) func leadersFollowEachOther(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let election = client.election("e")
    #expect(try await election.leader() == nil)
    let observed = Shared<[String]>([])
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for try await leader in election.observe() {
          let value = leader.kvs.first?.value.string ?? ""
          observed.withLock { $0.append(value) }
          if value == "second" { break }
        }
      }
      try await client.withSession(ttl: 20) { session in
        let first = try await election.campaign(in: session, "first")
        while observed.withLock({ $0 }) != ["first"] { await Task.yield() }
        let other = Task {
          try await client.withSession(ttl: 20) { session in
            let lead = try await election.campaign(in: session, "second")
            #expect(lead.revision > first.revision)
            #expect(try await election.leader()?.value == "second")
            while observed.withLock({ $0 }).last != "second" { await Task.yield() }
            try await lead.resign()
            await #expect(throws: EtcdClientError.notLeader) { try await lead.proclaim("x") }
          }
        }
        while try await client.kv.get(.prefix("e/")).count < 2 {}
        try await first.proclaim("still first")
        while observed.withLock({ $0 }).last != "still first" { await Task.yield() }
        try await first.resign()
        await #expect(throws: EtcdClientError.notLeader) { try await first.proclaim("x") }
        try await other.value
      }
      try await group.waitForAll()
    }
    #expect(observed.withLock { $0 } == ["first", "still first", "second"])
    _ = cluster
  }

  /// Members are killed one after the other while sessions fight for a lock: what is written under it is
  /// written once, and everybody gets on.
  @Test(arguments: servers) func aLockOutlivesItsLeaders(server: String) async throws {
    let cluster = Cluster([server, server, server])
    try cluster.start()
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: cluster.members.map(\.endpoint), requestTimeout: .seconds(5)))
    defer { client.close() }
    let isOver = Shared(false)
    let (written, unknown) = (Shared(0), Shared(0))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          try await client.withSession(ttl: 60) { session in
            while !isOver.withLock({ $0 }) {
              try await Self.count(session, written, unknown)
            }
          }
        }
      }
      for member in cluster.members {
        let before = written.withLock { $0 }
        while written.withLock({ $0 }) < before + 10 { try await Task.sleep(for: .milliseconds(5)) }
        member.kill()
        member.start()
        try member.waitHealthy()
      }
      isOver.withLock { $0 = true }
      try await group.waitForAll()
    }
    let count = Int(try await client.kv.get("n").kvs.first?.value.string ?? "") ?? 0
    let (least, most) = (written.withLock { $0 }, unknown.withLock { $0 })
    #expect(count >= least && count <= least + most, "\(count) of \(least) and \(most)")
    #expect(least >= 30)
  }

  /// Adds one under a lock, and tells whether that is certain.
  private static func count(
    _ session: EtcdClient.Session, _ written: Shared<Int>, _ unknown: Shared<Int>
  ) async throws {
    let client = session.client
    do throws(EtcdClientError) {
      let lock = try await session.lock("l")
      do throws(EtcdClientError) {
        let old = try await client.kv.get("n").kvs.first
        let next = Bytes("\((Int(old?.value.string ?? "0") ?? 0) + 1)")
        let isSame = Etcdserverpb.Compare(
          result: .equal, target: .mod, key: "n", targetUnion: .modRevision(old?.modRevision ?? 0))
        let done = try await client.kv.txn(
          [lock.isHeld, isSame],
          success: [.init(request: .requestPut(.init(key: "n", value: next)))])
        #expect(done.succeeded, "whoever holds the lock is the only one that writes")
        written.withLock { $0 += 1 }
      } catch { unknown.withLock { $0 += 1 } }
      try await lock.unlock()
    } catch {
      // A server that goes away in the middle: the next attempt finds the place in the line.
      switch error {
      case .unavailable, .deadlineExceeded, .refused: return
      default: throw error
      }
    }
  }
}
