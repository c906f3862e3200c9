import EtcdAPI
import Testing
import V2Store

/// Operations of the v2 store. `V2StoreTests` of InteropTests compare them with Go etcd's.
@Suite struct StoreTests {
  private func code(_ body: () throws -> Void) -> V2Error.Code? {
    do { try body() } catch { return (error as? V2Error)?.code }
    return nil
  }

  @Test func writesRaiseTheIndexAndReadsShowThem() throws {
    var store = V2Store()
    #expect(store.index == 0 && store.holdsOnlyMembership)
    let first = try store.set("/1/a/b", value: "x")
    #expect(first.action == .set && first.previous == nil && first.index == 1)
    #expect(first.node.key == "/1/a/b" && first.node.value == "x")
    #expect(!store.holdsOnlyMembership)
    let second = try store.set("1/a/./c/../b/", value: "y")
    #expect(second.previous?.value == "x" && second.node.modifiedIndex == 2)
    #expect(
      try store.create("/1/queue", value: "job", isUnique: true).node.key
        == "/1/queue/00000000000000000003")
    #expect(try store.update("/1/a/b", value: "z").node.createdIndex == 2)
    let read = try store.get("/1", isRecursive: true).node
    #expect(read.nodes?.map(\.key) == ["/1/a", "/1/queue"])
    #expect(read.nodes?[0].nodes?[0].value == "z")
    #expect(try store.get("/1").node.nodes?[0].nodes == nil)
    #expect(store.index == 4)
  }

  @Test func refusalsHaveTheirCodesAndChangeNothing() throws {
    var store = V2Store()
    _ = try store.set("/1/file", value: "x")
    _ = try store.set("/1/folder/inner", value: "y")
    let before = store
    #expect(code { _ = try store.set("/1", value: "x") } == .rootReadOnly)
    #expect(code { _ = try store.delete("/", isRecursive: true) } == .rootReadOnly)
    #expect(code { _ = try store.set("/1/folder", value: "x") } == .notFile)
    #expect(code { _ = try store.set("/1/file/below", value: "x") } == .notDirectory)
    #expect(code { _ = try store.create("/1/file") } == .nodeExists)
    #expect(code { _ = try store.update("/1/none", value: "x") } == .keyNotFound)
    #expect(code { _ = try store.update("/1/folder", value: "") } == .notFile)
    #expect(code { _ = try store.delete("/1/folder") } == .notFile)
    #expect(code { _ = try store.delete("/1/folder", isDirectory: true) } == .directoryNotEmpty)
    #expect(code { _ = try store.get("/1/none/deeper") } == .keyNotFound)
    #expect(
      code {
        _ = try store.compareAndSwap(
          "/1/file", previousValue: "other", previousIndex: 9, value: "z")
      } == .testFailed)
    let deep = "/1" + String(repeating: "/d", count: 100_000)
    #expect(code { _ = try store.set(deep, value: "x") } == .invalidField)
    #expect(store.index == before.index)
    #expect(try V2Store(document: store.document()).names(at: "/1") == ["file", "folder"])
    #expect(store.stats.setsFail == 4 && store.stats.createFail == 1)
    // A walk that ends at a file counts as a failed set too, as in etcd.
    #expect(code { _ = try store.create("/1/file/below") } == .notDirectory)
    #expect(store.stats.setsFail == 5 && store.stats.createFail == 2)
  }

  /// As by the members that are there: those of 3.4 renew directories, those of 3.5 do not.
  @Test(arguments: ["3.4.0", "3.5.0", "3.10.0", "none"]) func directoriesAreRenewedAsByTheCluster(
    version: String
  ) throws {
    var store = V2Store()
    if version != "none" { _ = try store.set("/0/version", value: version) }
    _ = try store.set("/1/d/k", value: "x")
    let before = store.index
    let request = Etcdserverpb.Request(
      method: "PUT", path: "/1/d", dir: true, prevExist: true,
      expiration: 1_900_000_000_000_000_000)
    #expect(code { _ = try store.update("/1/d", value: "x") } == .notFile)
    guard version == "3.4.0" else {
      #expect(code { _ = try store.apply(request) } == .notFile)
      #expect(store.index == before && !store.hasExpiringKeys)
      return
    }
    let event = try store.apply(request)[0]
    #expect(event.action == .update && event.node.isDirectory && event.node.value == nil)
    #expect(event.node.modifiedIndex == before + 1 && event.node.createdIndex == before)
    #expect(event.node.expiration == request.expiration && event.previous?.expiration == nil)
    #expect(try store.get("/1/d").node.modifiedIndex == before)
    #expect(store.checkInvariants() == nil)
    #expect(store.deleteExpiredKeys(now: .max).map(\.node.key) == ["/1/d"])
  }

  @Test func copiesDoNotSeeLaterWrites() throws {
    var store = V2Store()
    for n in 0..<100 { _ = try store.set("/1/d\(n % 10)/k\(n)", value: "\(n)") }
    let copy = store
    for n in 0..<100 where n % 3 == 0 { _ = try store.delete("/1/d\(n % 10)/k\(n)") }
    _ = try store.set("/1/d1/k1", value: "changed")
    #expect(copy.value(at: "/1/d1/k1") == "1" && store.value(at: "/1/d1/k1") == "changed")
    #expect(copy.value(at: "/1/d3/k3") == "3" && store.value(at: "/1/d3/k3") == nil)
    #expect(copy.index == 100 && store.index == 135)
  }

  @Test func lifetimesEndInTheirOrder() throws {
    var store = V2Store()
    let start: Int64 = 1_700_000_000_000_000_000
    for n in 0..<50 {
      _ = try store.set(
        "/1/k\(n)", value: "v", lifetime: .init(expiration: start + Int64(n * 7 % 50)))
    }
    _ = try store.set(
      "/1/folder", isDirectory: true, lifetime: .init(expiration: start + 100))
    _ = try store.set("/1/folder/inner", value: "v", lifetime: .init(expiration: start + 200))
    _ = try store.set("/1/old", value: "v", lifetime: .init(expiration: 1))
    #expect(store.hasExpiringKeys)
    // Renewed, made permanent, replaced and removed: none of these ends at its first time.
    _ = try store.set("/1/k0", lifetime: .init(expiration: start + 1000, isRefresh: true))
    _ = try store.update("/1/k1", value: "stays")
    _ = try store.set("/1/k2", value: "stays")
    _ = try store.delete("/1/k3")
    let ended = store.deleteExpiredKeys(now: start + 49)
    #expect(ended.count == 46)
    #expect(ended.allSatisfy { $0.action == .expire })
    #expect(
      ended.compactMap { $0.previous?.expiration }
        == ended.compactMap { $0.previous?.expiration }.sorted())
    #expect(store.names(at: "/1") == ["folder", "k0", "k1", "k2", "old"])
    #expect(store.deleteExpiredKeys(now: start + 100).map(\.node.key) == ["/1/folder"])
    #expect(store.value(at: "/1/k0") == "v")
    #expect(store.deleteExpiredKeys(now: start + 999).isEmpty)
    #expect(store.deleteExpiredKeys(now: start + 1000).map(\.node.key) == ["/1/k0"])
    #expect(!store.hasExpiringKeys && store.stats.expireCount == 48)
  }

  @Test func renewalsDoNotPileUp() throws {
    var store = V2Store()
    let start: Int64 = 1_700_000_000_000_000_000
    for n in 0..<10_000 {
      _ = try store.set("/1/k", value: "v", lifetime: .init(expiration: start + Int64(n)))
    }
    var copy = try V2Store(document: store.document())
    #expect(store.deleteExpiredKeys(now: start + 9998).isEmpty)
    #expect(copy.deleteExpiredKeys(now: start + 9999).count == 1)
  }

  @Test func namesAreEqualByTheirBytes() throws {
    var store = V2Store()
    _ = try store.set("/1/caf\u{e9}", value: "one")
    _ = try store.set("/1/cafe\u{301}", value: "two")
    #expect(store.names(at: "/1").count == 2)
    let back = try V2Store(document: store.document())
    #expect(back.value(at: "/1/caf\u{e9}") == "one" && back.value(at: "/1/cafe\u{301}") == "two")
  }

  @Test func requestsOfTheLogAreApplied() throws {
    var store = V2Store()
    typealias Request = Etcdserverpb.Request
    _ = try store.apply(Request(method: "PUT", path: "/1/a", val: "1"))
    _ = try store.apply(Request(method: "PUT", path: "/1/a", val: "2", prevIndex: 1))
    _ = try store.apply(Request(method: "PUT", path: "/1/a", val: "3", prevExist: true))
    _ = try store.apply(Request(method: "POST", path: "/1/q", val: "j"))
    #expect(store.value(at: "/1/a") == "3" && store.names(at: "/1/q").count == 1)
    #expect(
      code { _ = try store.apply(Request(method: "PUT", path: "/1/a", prevExist: false)) }
        == .nodeExists)
    #expect(
      code { _ = try store.apply(Request(method: "DELETE", path: "/1/a", prevValue: "9")) }
        == .testFailed)
    _ = try store.apply(Request(method: "DELETE", path: "/1/a", prevValue: "3"))
    #expect(store.value(at: "/1/a") == nil)
    #expect(try store.apply(Request(method: "QGET", path: "/1", recursive: true)).count == 1)
    _ = try store.apply(
      Request(method: "PUT", path: "/1/t", expiration: 1_700_000_000_000_000_000))
    let ended = try store.apply(Request(method: "SYNC", time: 1_700_000_000_000_000_000))
    #expect(ended.map(\.node.key) == ["/1/t"])
    #expect(code { _ = try store.apply(Request(method: "HEAD", path: "/1")) } == .invalidField)
  }
}
