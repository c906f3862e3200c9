import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// v3lockpb.Lock without a connection.
@Suite(.timeLimit(.minutes(5))) struct LockTests {
  private typealias Lock = V3lockpb.LockService
  private typealias KV = Etcdserverpb.KVService
  private typealias Lease = Etcdserverpb.LeaseService

  private static let expired = GRPCStatus(.unknown, "mutex: session is expired")

  private static func request(_ lease: Int64) -> Bytes {
    V3lockpb.LockRequest(name: "l", lease: lease).encoded()
  }

  /// A member with leases 1 to `count`.
  private func withLeases(
    _ count: Int64, _ body: @escaping @Sendable (ServerUnderTest) async throws -> Void
  ) async throws {
    try await withServer { server in
      for id in 1...count {
        let _: Etcdserverpb.LeaseGrantResponse = try await server.ask(
          Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 1_000, id: id))
      }
      try await body(server)
    }
  }

  @Test func aLockIsHandedOver() async throws {
    try await withLeases(2) { server in
      let first: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      #expect(first.key == "l/1")
      // Who has it already gets it again.
      let again: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      #expect(again == first)
      try await server.during(Lock.lock.path, Self.request(2)) { waiting in
        try await server.awaitKeys(2)
        #expect(waiting.isOpen)
        let unlocked: V3lockpb.UnlockResponse = try await server.ask(
          Lock.unlock, V3lockpb.UnlockRequest(key: first.key))
        #expect(await waiting.ended() == .ok)
        let second = try V3lockpb.LockResponse.decode(try #require(waiting.messages.first))
        #expect(second.key == "l/2")
        #expect(second.header?.revision == unlocked.header?.revision)
      }
    }
  }

  @Test func aSessionWithoutALeaseGetsOne() async throws {
    try await withServer { server in
      let lock: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l"))
      let held: Etcdserverpb.RangeResponse = try await server.ask(
        KV.range, Etcdserverpb.RangeRequest(key: lock.key))
      let lease = try #require(held.kvs.first?.lease)
      #expect(lock.key == Bytes("l/" + String(lease, radix: 16)))
      let life: Etcdserverpb.LeaseTimeToLiveResponse = try await server.ask(
        Lease.leaseTimeToLive, Etcdserverpb.LeaseTimeToLiveRequest(id: lease))
      #expect(life.grantedTTL == 60)
    }
  }

  @Test func leasesAreWrittenAsGoWritesThem() async throws {
    try await withServer { server in
      for (id, key) in [(-5, "l/-5"), (.min, "l/-8000000000000000"), (255, "l/ff")]
        as [(Int64, Bytes)]
      {
        let _: Etcdserverpb.LeaseGrantResponse = try await server.ask(
          Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 1_000, id: id))
        let lock: V3lockpb.LockResponse = try await server.ask(
          Lock.lock, V3lockpb.LockRequest(name: "l", lease: id))
        #expect(lock.key == key)
        let _: V3lockpb.UnlockResponse = try await server.ask(
          Lock.unlock, V3lockpb.UnlockRequest(key: key))
      }
    }
  }

  /// etcd #11408, and sooner than in Go, which waits for the others first.
  @Test func anExpiredSessionNeverGetsTheLock() async throws {
    try await withLeases(2) { server in
      let _: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      try await server.during(Lock.lock.path, Self.request(2)) { waiting in
        try await server.awaitKeys(2)
        let _: Etcdserverpb.LeaseRevokeResponse = try await server.ask(
          Lease.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: 2))
        #expect(await waiting.ended() == Self.expired)
      }
    }
  }

  /// The same name and lease, but another key: it stands at the end of the line.
  @Test func aKeyThatWasMadeAnewIsNotTheOneThatWaited() async throws {
    try await withLeases(2) { server in
      let _: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      try await server.during(Lock.lock.path, Self.request(2)) { waiting in
        try await server.awaitKeys(2)
        let _: V3lockpb.UnlockResponse = try await server.ask(
          Lock.unlock, V3lockpb.UnlockRequest(key: "l/2"))
        let _: Etcdserverpb.PutResponse = try await server.ask(
          KV.put, Etcdserverpb.PutRequest(key: "l/2", lease: 2))
        #expect(await waiting.ended() == Self.expired)
      }
      try await server.awaitKeys(2)
    }
  }

  @Test func whoGivesUpLeavesNoKey() async throws {
    try await withLeases(3) { server in
      let first: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      try await server.during(Lock.lock.path, Self.request(2)) { second in
        try await server.awaitKeys(2)
        try await server.during(Lock.lock.path, Self.request(3)) { third in
          try await server.awaitKeys(3)
          second.cancel()
          try await server.awaitKeys(2)
          #expect(third.isOpen)
          let _: V3lockpb.UnlockResponse = try await server.ask(
            Lock.unlock, V3lockpb.UnlockRequest(key: first.key))
          #expect(await third.ended() == .ok)
        }
      }
    }
  }

  /// Given up before the key was put: it is put nevertheless, and taken back.
  @Test func whoGivesUpAtOnceLeavesNoKey() async throws {
    try await withLeases(2) { server in
      try await server.during(Lock.lock.path, Self.request(2)) { $0.cancel() }
      let _: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      try await server.awaitKeys(1)
      // What the session had before stays.
      try await server.during(Lock.lock.path, Self.request(1)) { $0.cancel() }
      let _: V3lockpb.UnlockResponse = try await server.ask(
        Lock.unlock, V3lockpb.UnlockRequest(key: "other"))
      try await server.awaitKeys(1)
    }
  }

  @Test func aCompactionHoldsNobodyUp() async throws {
    try await withLeases(2) { server in
      let first: V3lockpb.LockResponse = try await server.ask(
        Lock.lock, V3lockpb.LockRequest(name: "l", lease: 1))
      try await server.during(Lock.lock.path, Self.request(2)) { waiting in
        try await server.awaitKeys(2)
        for _ in 0..<5 {
          let put: Etcdserverpb.PutResponse = try await server.ask(
            KV.put, Etcdserverpb.PutRequest(key: "other"))
          let _: Etcdserverpb.CompactionResponse = try await server.ask(
            KV.compact,
            Etcdserverpb.CompactionRequest(revision: put.header?.revision ?? 0, physical: true))
        }
        let _: V3lockpb.UnlockResponse = try await server.ask(
          Lock.unlock, V3lockpb.UnlockRequest(key: first.key))
        #expect(await waiting.ended() == .ok)
      }
    }
  }

  /// Everybody waits in the order of their keys, and one at a time has the lock.
  @Test func theLineKeepsItsOrder() async throws {
    let count: Int64 = 40
    try await withLeases(count) { server in
      let holders = try await withThrowingTaskGroup(of: (Int64, Bytes).self) { group in
        for lease in 1...count {
          group.addTask {
            let lock: V3lockpb.LockResponse = try await server.ask(
              Lock.lock, V3lockpb.LockRequest(name: "l", lease: lease))
            let own: Etcdserverpb.RangeResponse = try await server.ask(
              KV.range, Etcdserverpb.RangeRequest(key: lock.key))
            let _: V3lockpb.UnlockResponse = try await server.ask(
              Lock.unlock, V3lockpb.UnlockRequest(key: lock.key))
            return (own.kvs.first?.createRevision ?? 0, lock.key)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(holders.map(\.0) == holders.map(\.0).sorted())
      #expect(Set(holders.map(\.1)).count == Int(count))
    }
  }

  @Test func whatOthersRefuseIsToldAsInGo() async throws {
    try await withServer { server in
      let cases: [(MethodDescriptor, Bytes, String)] = [
        (Lock.lock, Self.request(99), "etcdserver: requested lease not found"),
        (Lock.unlock, Bytes(), "etcdserver: key is not provided"),
      ]
      for (method, request, text) in cases {
        await #expect(throws: GRPCStatus(.unknown, text)) {
          try await server.unary(method.path, request)
        }
      }
      let broken = await #expect(throws: GRPCStatus.self) {
        try await server.unary(Lock.lock.path, [0x0a, 0x7f])
      }
      #expect(broken?.code == .internal)
    }
  }
}

extension ServerUnderTest {
  /// Waits until so many keys are under the name `l`.
  func awaitKeys(_ count: Int64, _ caller: Caller = Caller(metadata: [:])) async throws {
    for _ in 0..<2_000 {
      let keys: Etcdserverpb.RangeResponse = try await ask(
        Etcdserverpb.KVService.range,
        Etcdserverpb.RangeRequest(key: "l/", rangeEnd: "l0", countOnly: true), caller)
      if keys.count == count { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("not \(count) keys under the name")
  }
}
