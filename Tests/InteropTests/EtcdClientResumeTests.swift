import EtcdClient
import Foundation
import Synchronization
import TestSupport
import Testing

/// Watches whose connections and members go away.
@Suite(.serialized) struct EtcdClientResumeTests {
  static let servers = EtcdClientWatchTests.servers

  /// Members are killed and started again, or stopped and let go, while they have the watch; what it saw
  /// is what a watch of the whole history sees.
  @Test(arguments: servers, [SIGKILL, SIGSTOP]) func nothingIsMissedOrRepeated(
    server: String, signal: Int32
  ) async throws {
    let cluster = Cluster([server, server, server])
    try cluster.start()
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: cluster.members.map(\.endpoint), requestTimeout: .seconds(30),
        keepaliveInterval: .seconds(10), keepaliveTimeout: .seconds(1)))
    defer { client.close() }
    let written = Shared(false)
    let seen = Shared<[String]>([])
    let start = try #require(try await client.kv.put("w/first", "0").header).revision
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        var last: Int64 = 0
        for try await update in client.watch(.prefix("w/"), .init(startRevision: start)) {
          for event in update.events {
            let revision = event.kv?.modRevision ?? 0
            #expect(revision > last, "\(revision) behind \(last)")
            last = revision
          }
          seen.withLock { $0 += update.events.map(Self.identity) }
          if update.events.contains(where: { $0.kv?.key == "w/last" }) { return }
        }
      }
      group.addTask { try await client.writeKeys(until: written, last: "") }
      // Who was stopped is left after twelve seconds of silence: one of them will do.
      for member in cluster.members.prefix(signal == SIGKILL ? 3 : 1) {
        let before = seen.withLock { $0.count }
        kill(member.pid, signal)
        if signal == SIGKILL {
          member.kill()
          member.start()
          try member.waitHealthy()
        }
        // It goes on without it, after keepalive at the latest.
        try await Self.until { seen.withLock { $0.count } > before + 20 }
        kill(member.pid, SIGCONT)
        try member.waitHealthy()
      }
      written.withLock { $0 = true }
      try await group.waitForAll()
    }
    let history = try await Self.history(client, from: start)
    #expect(seen.withLock { $0 } == history)
    #expect(history.count > 20)
  }

  private static func identity(_ event: Mvccpb.Event) -> String {
    "\(event.kv?.modRevision ?? 0) \(event.kv?.key.string ?? "") \(event.kv?.value.string ?? "")"
  }

  private static func history(_ client: EtcdClient, from start: Int64) async throws -> [String] {
    var history: [String] = []
    for try await update in client.watch(.prefix("w/"), .init(startRevision: start)) {
      history += update.events.map(identity)
      if update.events.contains(where: { $0.kv?.key == "w/last" }) { break }
    }
    return history
  }

  private static func until(_ condition: () -> Bool) async throws {
    let late = ContinuousClock.now + .seconds(40)
    while !condition() {
      try #require(ContinuousClock.now < late, "nothing goes on")
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  /// Nobody leads, then somebody does again: a watch that wants a leader waits for that.
  @Test(arguments: servers) func aWatchOutlivesItsQuorum(server: String) async throws {
    let cluster = Cluster([server, server, server])
    try cluster.start()
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: cluster.members.map(\.endpoint), requestTimeout: .seconds(30)))
    defer { client.close() }
    let iterator = client.watch("k", .init(createdNotify: true, requiresLeader: true))
      .makeAsyncIterator()
    #expect(try await iterator.next()?.kind == .created)
    for member in cluster.members.dropFirst() { member.kill() }
    async let next = iterator.next()
    for member in cluster.members.dropFirst() { member.start() }
    for member in cluster.members { try member.waitHealthy() }
    try await client.kv.put("k", "v")
    #expect(try await next?.events.first?.kv?.value == "v")
  }

  /// Each has a stream of its own on the connection that all share.
  @Test(arguments: servers) func manyWatchesLiveBesideEachOther(server: String) async throws {
    let cluster = Cluster([server])
    try cluster.start()
    let client = try EtcdClient(endpoints: [cluster.endpoints])
    defer { client.close() }
    let count = 2_000
    try await withThrowingTaskGroup(of: Void.self) { group in
      let created = Shared(0)
      for number in 0..<count {
        group.addTask {
          let key = Bytes("k\(number)")
          for try await update in client.watch(.key(key), .init(createdNotify: true)) {
            if update.kind == .created { created.withLock { $0 += 1 } }
            if update.events.first?.kv?.key == key { return }
          }
        }
      }
      while created.withLock({ $0 }) < count { try await Task.sleep(for: .milliseconds(5)) }
      for number in 0..<count { try await client.kv.put(Bytes("k\(number)"), "v") }
      try await group.waitForAll()
    }
  }

  /// The token ran out when the watch has to begin again: it signs in anew.
  @Test(arguments: servers) func aWatchRenewsItsToken(server: String) async throws {
    let scratch = Scratch()
    try "secret".write(toFile: scratch.path + "/key", atomically: false, encoding: .utf8)
    let cluster = Cluster(
      [server],
      extra: ["--auth-token", "jwt,sign-method=HS256,priv-key=\(scratch.path)/key,ttl=1s"])
    try cluster.start()
    let admin = try EtcdClient(endpoints: [cluster.endpoints])
    defer { admin.close() }
    try await admin.auth.addUser("root", password: "pw")
    try await admin.auth.addRole("root")
    try await admin.auth.grantRole("root", to: "root")
    try await admin.auth.enable()
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: [cluster.endpoints], credentials: .init(name: "root", password: "pw"),
        requestTimeout: .seconds(20)))
    defer { client.close() }
    let iterator = client.watch("k", .init(createdNotify: true)).makeAsyncIterator()
    #expect(try await iterator.next()?.kind == .created)
    // The token lives for a second, of which the server sees whole ones.
    try await Task.sleep(for: .milliseconds(2_100))
    let member = cluster.members[0]
    member.kill()
    async let update = iterator.next()
    member.start()
    try member.waitHealthy()
    try await client.kv.put("k", "v")
    #expect(try await update?.events.first?.kv?.value == "v")
  }
}
