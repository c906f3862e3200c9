import EtcdClient
import Foundation
import Synchronization
import TestSupport
import Testing

/// Transactions of the client library against real members of both kinds.
@Suite(.serialized) struct EtcdClientTransactionTests {
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

  @Test(
    arguments: servers,
    [EtcdClient.Isolation.serializableSnapshot, .serializable, .repeatableReads])
  func transactionsLoseNothing(server: String, isolation: EtcdClient.Isolation) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let accounts = (0..<4).map { Bytes("account\($0)") }
    for account in accounts { try await client.kv.put(account, "100") }
    let seed = UInt64.random(in: 0...UInt64.max)
    print("seed \(seed)")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<6 {
        group.addTask {
          var random = SeededGenerator(state: seed &+ UInt64(number))
          for round in 0..<10 {
            let pair = accounts.shuffled(using: &random).prefix(2)
            let amount = Int.random(in: 1...9, using: &random)
            let prefetch = round % 2 == 0 ? Array(pair) : []
            try await client.transaction(isolation: isolation, prefetch: prefetch) { txn in
              let sums = try await txn.get(Array(pair)).map { Int($0?.string ?? "") ?? 0 }
              txn.put(pair[0], Bytes("\(sums[0] - amount)"))
              #expect(try await txn.get(pair[0]) == Bytes("\(sums[0] - amount)"))
              txn.put(pair[1], Bytes("\(sums[1] + amount)"))
            }
          }
        }
      }
      // All that one transaction reads belongs together.
      group.addTask {
        for _ in 0..<20 where isolation != .repeatableReads {
          let sum = try await client.transaction(isolation: isolation) { txn in
            var sum = 0
            for account in accounts {
              sum += Int(try await txn.get(account)?.string ?? "") ?? 0
            }
            return sum
          }
          #expect(sum == 400)
        }
      }
      try await group.waitForAll()
    }
    let sum = try await client.kv.get(.prefix("account")).kvs
      .reduce(0) { $0 + (Int($1.value.string) ?? 0) }
    #expect(sum == 400)
    _ = cluster
  }

  @Test(arguments: servers) func transactionsDeleteAndFail(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    try await client.kv.put("a", "1")
    struct Reason: Error {}
    await #expect(throws: Reason.self) {
      try await client.transaction { txn in
        txn.put("a", "2")
        throw Reason()
      }
    }
    #expect(try await client.kv.get("a").kvs.first?.value == "1")
    try await client.transaction { txn async throws -> Void in
      #expect(try await txn.get("a") == "1")
      #expect(try await txn.revision(of: "a") > 1)
      #expect(try await txn.revision(of: "none") == 0)
      txn.delete("a")
      #expect(try await txn.get("a") == nil)
    }
    #expect(try await client.kv.get("a").kvs.isEmpty)
    // Writes that nothing was read for conflict only with what was written since the first read.
    try await client.transaction { txn in
      _ = try await txn.get("x")
      if try await client.kv.get("y").kvs.isEmpty { try await client.kv.put("y", "theirs") }
      txn.put("y", "ours")
    }
    #expect(try await client.kv.get("y").kvs.first?.version == 2)
    _ = cluster
  }

  /// The state that a transaction reads is forgotten under it: it begins anew, with a newer one.
  @Test(arguments: servers) func aTransactionOutlivesACompaction(server: String) async throws {
    let cluster = Cluster([server])
    try cluster.start()
    let client = try EtcdClient(endpoints: [cluster.endpoints])
    defer { client.close() }
    for key: Bytes in ["a", "b"] { try await client.kv.put(key, "1") }
    let attempts = Shared(0)
    let seen = try await client.transaction(isolation: .serializable) { txn in
      let a = try await txn.get("a")
      if attempts.withLock({ attempts in
        attempts += 1
        return attempts == 1
      }) {
        let now = try await client.kv.put("b", "2").header?.revision ?? 0
        try await client.kv.compact(now)
      }
      return [a, try await txn.get("b")]
    }
    #expect(seen == ["1", "2"] && attempts.withLock { $0 } == 2)
    // Without a promise about reads, what others write in between is seen and does not matter.
    let mixed = try await client.transaction(isolation: .readCommitted) { txn in
      _ = try await txn.get("a")
      try await client.kv.put("a", "other")
      try await client.kv.put("b", "3")
      let b = try await txn.get("b")
      txn.put("c", "written")
      return b
    }
    #expect(mixed == "3")
    #expect(try await client.kv.get("c").kvs.first?.value == "written")
    await #expect(throws: EtcdClientError.refused(.compacted)) {
      for try await _ in client.kv.pages(.all, revision: 1) {}
    }
    _ = cluster
  }
}
