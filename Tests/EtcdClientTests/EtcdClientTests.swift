import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf
import Synchronization
import TestSupport
import Testing

@testable import EtcdClient

/// The client against servers that answer as the test says.
@Suite struct EtcdClientTests {
  private static func configuration(_ endpoint: String) -> EtcdClientConfiguration {
    EtcdClientConfiguration(
      endpoints: [endpoint], credentials: .init(name: "root", password: "pw"),
      requestTimeout: .seconds(20))
  }

  private static func puts(_ count: Int, _ client: EtcdClient) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<count { group.addTask { try await client.kv.put("k", "v") } }
      try await group.waitForAll()
    }
  }

  /// A member lets 64 passwords wait: requests that begin together must not bring one each.
  @Test func requestsThatBeginTogetherSignInOnce() async throws {
    let tally = Tally()
    try await withLoop { loop in
      var router = CallRouter()
      router.addLogins(valid: { "t1" }, tally)
      let server = try serve(loop, router)
      let client = try EtcdClient(Self.configuration(server.name))
      defer { client.close() }
      try await Self.puts(100, client)
    }
    #expect(tally["login"] == 1 && tally["put"] == 100 && tally["refused"] == 0)
  }

  @Test func aTokenThatAllLoseIsReplacedOnce() async throws {
    let tally = Tally()
    let valid = Mutex("t1")
    try await withLoop { loop in
      var router = CallRouter()
      router.addLogins(valid: { valid.withLock { $0 } }, tally)
      let server = try serve(loop, router)
      let client = try EtcdClient(Self.configuration(server.name))
      defer { client.close() }
      try await Self.puts(1, client)
      valid.withLock { $0 = "t2" }
      try await Self.puts(50, client)
    }
    #expect(tally["login"] == 2 && tally["put"] == 51 && tally["refused"] >= 1)
  }

  @Test func errorsAreEtcds() async throws {
    try await withLoop { loop in
      var router = CallRouter()
      router.unary(Etcdserverpb.LeaseService.leaseRevoke.path) { call, _ in
        call.fail(GRPCStatus(.notFound, "etcdserver: requested lease not found"))
      }
      router.unary(Etcdserverpb.KVService.put.path) { call, _ in
        call.fail(GRPCStatus(.unavailable, "going down"))
      }
      router.unary(Etcdserverpb.KVService.range.path) { call, _ in
        call.respond(.bytes(Bytes([0xff])))
      }
      let client = try EtcdClient(endpoints: [try serve(loop, router).name])
      defer { client.close() }
      await #expect(throws: EtcdClientError.refused(.leaseNotFound)) {
        try await client.leases.revoke(7)
      }
      await #expect(throws: EtcdClientError.unavailable("going down")) {
        try await client.kv.put("k", "v")
      }
      do throws(EtcdClientError) {
        _ = try await client.kv.get("k")
        Issue.record("an answer that is none was taken")
      } catch {
        guard case .badAnswer = error else {
          Issue.record("\(error)")
          return
        }
      }
    }
  }

  @Test func badConfigurationsAreRefused() {
    for endpoints in [
      [], ["https://h"], ["unixs:"], ["h"], ["h:1", "http://h:70000"], ["unix:"],
    ] {
      do throws(EtcdClientError) {
        _ = try EtcdClient(endpoints: endpoints)
        Issue.record("\(endpoints) was taken")
      } catch {
        guard case .badConfiguration(let text) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(endpoints.isEmpty || endpoints.contains { text.contains($0) }, "\(text)")
      }
    }
  }

  // MARK: Ends

  /// A cluster that cannot be reached; nothing but what the test does ends a request.
  private static func unreachable() throws -> EtcdClient {
    try EtcdClient(EtcdClientConfiguration(endpoints: ["127.0.0.1:1"], requestTimeout: nil))
  }

  @Test func aCancelledRequestEndsWithoutAConnection() async throws {
    let client = try Self.unreachable()
    defer { client.close() }
    let request = Task { try await client.kv.get("k") }
    request.cancel()
    await #expect(throws: EtcdClientError.cancelled) { try await request.value }
  }

  @Test func closingEndsWhatWaitsAndWhatComesLater() async throws {
    let client = try Self.unreachable()
    let request = Task { try await client.kv.get("k") }
    client.close()
    await #expect(throws: EtcdClientError.closed) { try await request.value }
    await #expect(throws: EtcdClientError.closed) { try await client.kv.get("k") }
    client.close()
  }

  @Test func closingEndsWhatAServerKeeps() async throws {
    try await withLoop { loop in
      let (arrived, arrive) = AsyncStream.makeStream(of: Void.self)
      var router = CallRouter()
      router.unary(Etcdserverpb.KVService.range.path) { _, _ in arrive.yield() }
      let client = try EtcdClient(endpoints: [try serve(loop, router).name])
      let request = Task { try await client.kv.get("k") }
      for await _ in arrived { break }
      client.close()
      await #expect(throws: EtcdClientError.closed) { try await request.value }
    }
  }

  @Test func timeIsOver() async throws {
    let client = try EtcdClient(
      EtcdClientConfiguration(endpoints: ["127.0.0.1:1"], requestTimeout: .milliseconds(50)))
    defer { client.close() }
    do throws(EtcdClientError) {
      try await client.kv.put("k", "v")
      Issue.record("there is nobody to answer")
    } catch {
      guard case .deadlineExceeded = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  // MARK: Streams

  /// A renewal that fails is tried again while the lease may live; one of a lease that is gone ends it.
  @Test func aLeaseIsKeptAlive() async throws {
    let tally = Tally()
    let answers = try await withLoop { loop in
      var router = CallRouter()
      router.streaming(Etcdserverpb.LeaseService.leaseKeepAlive.path) { stream in
        let number = tally.count("renewal")
        if number == 2 { throw GRPCStatus(.unavailable, "etcdserver: no leader") }
        for try await _ in stream.requests {
          try await stream.send(
            Etcdserverpb.LeaseKeepAliveResponse(id: 7, ttl: number < 4 ? 1 : 0).encoded())
        }
        return .ok
      }
      let client = try EtcdClient(endpoints: [try serve(loop, router).name])
      defer { client.close() }
      var answers: [Int64] = []
      await #expect(throws: EtcdClientError.refused(.leaseNotFound)) {
        for try await answer in client.leases.keepAlive(7) { answers.append(answer.ttl) }
      }
      return answers
    }
    #expect(answers == [1, 1] && tally["renewal"] == 4)
  }

  @Test func aSnapshotComesInParts() async throws {
    let parts = try await withLoop { loop in
      var router = CallRouter()
      router.streaming(Etcdserverpb.MaintenanceService.snapshot.path) { stream in
        for part in ["a", "b", "c"] {
          try await stream.send(Etcdserverpb.SnapshotResponse(blob: Bytes(part)).encoded())
        }
        return .ok
      }
      let client = try EtcdClient(endpoints: [try serve(loop, router).name])
      defer { client.close() }
      var parts: [String] = []
      for try await part in client.maintenance.snapshot() { parts.append(part.string) }
      return parts
    }
    #expect(parts == ["a", "b", "c"])
  }
}
