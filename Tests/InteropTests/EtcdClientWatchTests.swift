import EtcdClient
import Foundation
import Synchronization
import TestSupport
import Testing

/// Watches of the client library against real members of both kinds.
@Suite(.serialized) struct EtcdClientWatchTests {
  static let servers = [Binaries.ours, Binaries.go35].compactMap { $0 }

  private static func one(_ server: String) throws -> (cluster: Cluster, client: EtcdClient) {
    let cluster = Cluster([server])
    try cluster.start()
    return (cluster, try EtcdClient(endpoints: [cluster.endpoints]))
  }

  /// The first events of a watch.
  private static func events(
    _ count: Int, _ watch: EtcdClient.Watch
  ) async throws(EtcdClientError) -> [Mvccpb.Event] {
    var events: [Mvccpb.Event] = []
    for try await update in watch {
      events += update.events
      if events.count >= count { break }
    }
    return events
  }

  private static func texts(_ events: [Mvccpb.Event]) -> [String] {
    events.map { event in
      let type = event.type == .put ? "+" : "-"
      let old = event.prevKv.map { " was \($0.value.string)" } ?? ""
      return "\(type)\(event.kv?.key.string ?? "") \(event.kv?.value.string ?? "")\(old)"
    }
  }

  @Test(arguments: servers) func eventsAreThoseThatWereAskedFor(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let start = try #require(try await client.kv.put("a1", "x").header).revision
    try await client.kv.put("b", "x")
    try await client.kv.put("a1", "y")
    try await client.kv.delete("a1")
    try await client.kv.txn(success: [
      .init(request: .requestPut(.init(key: "a2", value: "v"))),
      .init(request: .requestPut(.init(key: "a3", value: "v"))),
    ])
    func seen(_ count: Int, _ keys: KeyRange, _ options: WatchOptions) async throws -> [String] {
      Self.texts(try await Self.events(count, client.watch(keys, options)))
    }
    let all = ["+a1 x", "+a1 y", "-a1 ", "+a2 v", "+a3 v"]
    #expect(try await seen(5, .prefix("a"), .init(startRevision: start)) == all)
    #expect(
      try await seen(3, "a1", .init(startRevision: start, previous: true))
        == ["+a1 x", "+a1 y was x", "-a1  was y"])
    #expect(
      try await seen(1, .prefix("a"), .init(startRevision: start, puts: false)) == ["-a1 "])
    #expect(
      try await seen(4, .prefix("a"), .init(startRevision: start, deletes: false))
        == all.filter { $0.hasPrefix("+") })
    #expect(try await seen(1, .range("b", "c"), .init(startRevision: start)) == ["+b x"])
    // Both keys of one revision come together.
    for try await update in client.watch(.prefix("a"), .init(startRevision: start + 4)) {
      #expect(update.events.count == 2 && update.kind == .events)
      break
    }
    _ = cluster
  }

  @Test(arguments: servers) func creationAndProgressAreTold(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let now = try #require(try await client.kv.put("x", "1").header).revision
    let watch = client.watch("k", .init(createdNotify: true, requiresLeader: true))
    let iterator = watch.makeAsyncIterator()
    let created = try #require(try await iterator.next())
    #expect(created.kind == .created && created.header.revision == now && created.events.isEmpty)
    try await client.kv.put("k", "v")
    #expect(try await iterator.next()?.events.map(\.type) == [.put])
    let later = try #require(try await client.kv.put("x", "2").header).revision
    try await watch.requestProgress()
    let progress = try #require(try await iterator.next())
    #expect(progress.kind == .progress && progress.header.revision == later)
    _ = cluster
  }

  @Test(arguments: servers) func aCompactedStartIsRefusedWithItsRevision(server: String)
    async throws
  {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    for _ in 0..<5 { try await client.kv.put("k", "v") }
    try await client.kv.compact(4)
    await #expect(throws: EtcdClientError.compacted(revision: 4)) {
      try await Self.events(1, client.watch("k", .init(startRevision: 2)))
    }
    #expect(try await Self.events(1, client.watch("k", .init(startRevision: 5))).count == 2)
    _ = cluster
  }

  /// What is larger than a message comes in fragments, and is told whole revision by whole revision.
  @Test(arguments: servers) func fragmentsArePutTogether(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    func value(_ letter: Character) -> Bytes { Bytes(String(repeating: letter, count: 700_000)) }
    var start: Int64 = 0
    for letter: Character in ["x", "y", "z"] {
      let answer = try await client.kv.txn(success: [
        .init(request: .requestPut(.init(key: "f1", value: value(letter)))),
        .init(request: .requestPut(.init(key: "f2", value: value(letter)))),
      ])
      if start == 0 { start = try #require(answer.header).revision }
    }
    var seen: [Int64] = []
    for try await update in client.watch(
      .prefix("f"), .init(startRevision: start, previous: true))
    {
      let revisions = update.events.compactMap { $0.kv?.modRevision }
      for revision in Set(revisions) {
        #expect(revisions.filter { $0 == revision }.count == 2, "a revision was split")
      }
      seen += revisions
      if seen.count >= 6 { break }
    }
    #expect(seen == [start, start, start + 1, start + 1, start + 2, start + 2])
    _ = cluster
  }

  @Test(arguments: servers) func aWatchEndsWithItsTaskAndItsClient(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    let started = Gate()
    let task = Task {
      for try await update in client.watch("k", .init(createdNotify: true))
      where update.kind == .created { started.open() }
    }
    await started.wait()
    task.cancel()
    await #expect(throws: EtcdClientError.cancelled) { try await task.value }
    let again = Gate()
    let other = Task {
      for try await update in client.watch("k", .init(createdNotify: true))
      where update.kind == .created { again.open() }
    }
    await again.wait()
    client.close()
    await #expect(throws: EtcdClientError.closed) { try await other.value }
    _ = cluster
  }

  @Test(arguments: servers) func namesOfANamespaceAreItsOwn(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let space = client.namespace("app/").namespace("one/")
    let start = try #require(try await space.kv.put("a", "1").header).revision
    try await space.kv.put("b", "2")
    try await client.kv.put("a", "other")
    #expect(try await client.kv.get("app/one/a").kvs.first?.value == "1")
    #expect(try await space.kv.get(.all).kvs.map(\.key) == ["a", "b"])
    #expect(try await space.kv.get(.from("b")).kvs.map(\.key) == ["b"])
    #expect(try await space.kv.get(.range("a", "b")).kvs.map(\.key) == ["a"])
    let equal = Etcdserverpb.Compare(
      result: .equal, target: .value, key: "a", targetUnion: .value("1"))
    let txn = try await space.kv.txn(
      [equal], success: [.init(request: .requestRange(.init(key: "b")))])
    guard case .responseRange(let range) = txn.responses.first?.response else {
      Issue.record("\(txn)")
      return
    }
    #expect(range.kvs.map(\.key) == ["b"])
    #expect(
      Self.texts(try await Self.events(2, space.watch(.all, .init(startRevision: start))))
        == ["+a 1", "+b 2"])
    await #expect(throws: EtcdClientError.refused(.emptyKey)) {
      try await space.kv.put(Bytes(), "v")
    }
    #expect(try await space.kv.delete(.all, previous: true).prevKvs.map(\.key) == ["a", "b"])
    #expect(try await client.kv.get(.all).kvs.map(\.key) == ["a"])
    _ = cluster
  }

  @Test(arguments: servers) func pagesAreOfOneState(server: String) async throws {
    let (cluster, client) = try Self.one(server)
    defer { client.close() }
    let keys = (0..<250).map { Bytes("p" + String($0 + 1000)) }
    for key in keys { try await client.kv.put(key, "v") }
    var seen: [Bytes] = []
    var sizes: [Int] = []
    for try await page in client.kv.pages(.prefix("p"), pageSize: 100) {
      seen += page.kvs.map(\.key)
      sizes.append(page.kvs.count)
      try await client.kv.put(Bytes("p9\(seen.count)"), "new")
      try await client.kv.delete(.key(keys[249]))
    }
    #expect(seen == keys && sizes == [100, 100, 50])
    let order = try await client.kv.get(.prefix("p"), limit: 2, order: .descending(.mod))
    #expect(order.kvs.map(\.key) == ["p9250", "p9200"])
    _ = cluster
  }
}
