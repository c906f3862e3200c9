import EtcdClient
import TestSupport
import Testing

/// Rights that change while a watch lives, against members of both kinds.
@Suite(.serialized) struct WatchRightsTests {
  /// Rights count when a watch begins: one that lives tells on, another is refused.
  /// - Source: etcd `v3rpc/watch.go` isWatchPermitted, asked once.
  @Test(arguments: EtcdClientWatchTests.servers)
  func rightsCountWhenAWatchBegins(server: String) async throws {
    let cluster = Cluster([server])
    try cluster.start()
    let admin = try EtcdClient(endpoints: [cluster.endpoints])
    defer { admin.close() }
    try await admin.auth.addUser("root", password: "pw")
    try await admin.auth.addRole("root")
    try await admin.auth.grantRole("root", to: "root")
    try await admin.auth.addUser("user", password: "pw")
    try await admin.auth.addRole("reader")
    try await admin.auth.grant(.read, on: "k", to: "reader")
    try await admin.auth.grantRole("reader", to: "user")
    try await admin.auth.enable()
    let (root, user) = (try cluster.client(as: "root"), try cluster.client(as: "user"))
    defer {
      root.close()
      user.close()
    }
    let watch = user.watch("k", .init(createdNotify: true)).makeAsyncIterator()
    #expect(try await watch.next()?.kind == .created)
    func isTold(_ value: Bytes) async throws -> Bool {
      try await root.kv.put("k", value)
      return try await watch.next()?.events.first?.kv?.value == value
    }
    #expect(try await isTold("1"))
    try await root.auth.revoke("k", from: "reader")
    #expect(try await isTold("2"))
    await #expect(throws: EtcdClientError.refused(.permissionDenied)) {
      _ = try await user.watch("k").makeAsyncIterator().next()
    }
    try await root.auth.grant(.read, on: "k", to: "reader")
    let again = user.watch("k", .init(createdNotify: true)).makeAsyncIterator()
    #expect(try await again.next()?.kind == .created)
    try await root.auth.deleteUser("user")
    #expect(try await isTold("3"))
    try await root.auth.disable()
    #expect(try await isTold("4"))
  }
}
