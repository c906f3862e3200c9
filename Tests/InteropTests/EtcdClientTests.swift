import EtcdClient
import TestSupport
import Testing

/// The client library against real members.
@Suite(.serialized) struct EtcdClientTests {
  private static func one() throws -> (cluster: Cluster, client: EtcdClient) {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    return (cluster, try EtcdClient(endpoints: [cluster.endpoints]))
  }

  @Test func keysAndTransactions() async throws {
    let (cluster, client) = try Self.one()
    defer { client.close() }
    for key: Bytes in ["a1", "a2", "b"] { try await client.kv.put(key, "v") }
    #expect(try await client.kv.get(.prefix("a")).kvs.map(\.key) == ["a1", "a2"])
    #expect(try await client.kv.get(.all, limit: 1).count == 3)
    let put = try await client.kv.put("a1", "w", previous: true)
    #expect(put.prevKv?.value == "v")
    let equal = Etcdserverpb.Compare(
      result: .equal, target: .value, key: "b", targetUnion: .value("v"))
    let txn = try await client.kv.txn(
      [equal],
      success: [.init(request: .requestDeleteRange(.init(key: "b")))])
    #expect(txn.succeeded)
    #expect(try await client.kv.delete(.prefix("a"), previous: true).prevKvs.count == 2)
    let revision = try #require(try await client.kv.get(.all).header).revision
    try await client.kv.compact(revision, physical: true)
    await #expect(throws: EtcdClientError.refused(.compacted)) {
      try await client.kv.get(.all, revision: 1)
    }
    _ = cluster
  }

  @Test func leases() async throws {
    let (cluster, client) = try Self.one()
    defer { client.close() }
    let lease = try await client.leases.grant(ttl: 60).id
    try await client.kv.put("k", "v", lease: lease)
    #expect(try await client.leases.timeToLive(lease, keys: true).keys == ["k"])
    #expect(try await client.leases.list().leases.map(\.id) == [lease])
    #expect(try await client.leases.keepAliveOnce(lease).ttl == 60)
    for try await answer in client.leases.keepAlive(lease) {
      #expect(answer.id == lease)
      break
    }
    try await client.leases.revoke(lease)
    #expect(try await client.kv.get("k").kvs.isEmpty)
    await #expect(throws: EtcdClientError.refused(.leaseNotFound)) {
      try await client.leases.keepAliveOnce(lease)
    }
    _ = cluster
  }

  @Test func usersAndRoles() async throws {
    let (cluster, client) = try Self.one()
    defer { client.close() }
    try await client.auth.addUser("root", password: "pw")
    try await client.auth.grantRole("root", to: "root")
    try await client.auth.addUser("reader", password: "pw")
    try await client.auth.addRole("reads")
    try await client.auth.grant(.read, on: .prefix("a"), to: "reads")
    try await client.auth.grantRole("reads", to: "reader")
    try await client.auth.enable()
    let (root, reader) = (try cluster.client(as: "root"), try cluster.client(as: "reader"))
    defer { root.close() }
    defer { reader.close() }
    #expect(try await root.auth.status().enabled)
    #expect(try await root.auth.users().users == ["reader", "root"])
    #expect(try await root.auth.role("reads").perm.map(\.key) == ["a"])
    #expect(try await reader.kv.get(.prefix("a")).kvs.isEmpty)
    await #expect(throws: EtcdClientError.refused(.permissionDenied)) {
      try await reader.kv.put("a", "v")
    }
    await #expect(throws: EtcdClientError.refused(.userEmpty)) { try await client.kv.get("a") }
    try await root.auth.changePassword(of: "reader", to: "other")
    let late = try cluster.client(as: "reader")
    defer { late.close() }
    await #expect(throws: EtcdClientError.refused(.authFailed)) { try await late.kv.get("a") }
    try await root.auth.disable()
    #expect(try await client.kv.get("a").kvs.isEmpty)
  }

  /// Three members: states of each, another leader, and one that dies.
  @Test func aCluster() async throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    let client = try EtcdClient(
      EtcdClientConfiguration(
        endpoints: cluster.members.map(\.endpoint), requestTimeout: .seconds(30)))
    defer { client.close() }
    let members = try await client.cluster.members().members
    #expect(members.map(\.name).sorted() == ["m1", "m2", "m3"])
    for index in 0..<20 { try await client.kv.put(Bytes("k\(index)"), "v") }
    var ids: Set<UInt64> = []
    var leader = ""
    for member in cluster.members {
      let status = try await client.maintenance.status(of: member.endpoint)
      let id = try #require(status.header).memberID
      ids.insert(id)
      if status.leader == id { leader = member.endpoint }
    }
    #expect(ids == Set(members.map(\.id)))
    let other = try #require(members.first { !$0.clientURLs.contains(leader) })
    try await client.maintenance.moveLeader(to: other.id, from: leader)
    #expect(try await client.maintenance.status(of: leader).leader == other.id)
    try await client.maintenance.defragment(leader)
    #expect(try await client.maintenance.hashKV(of: leader).hash != 0)
    #expect(try await client.maintenance.alarms().alarms.isEmpty)
    var bytes = 0
    for try await part in client.maintenance.snapshot() { bytes += part.count }
    #expect(bytes % 512 == 32)
    let victim = try #require(cluster.members.first { !other.clientURLs.contains($0.endpoint) })
    victim.kill()
    for index in 0..<20 {
      #expect(try await client.kv.get(.key(Bytes("k\(index)"))).kvs.count == 1)
    }
  }
}
