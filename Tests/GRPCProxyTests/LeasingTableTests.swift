import Bytes
import EtcdAPI
import Testing

@testable import GRPCProxy

@Suite struct LeasingTableTests {
  private func answer(_ value: Bytes) -> Etcdserverpb.RangeResponse {
    .init(
      header: .init(revision: 9),
      kvs: [.init(key: "k", createRevision: 3, modRevision: 7, version: 2, value: value)], count: 1)
  }
  private let point = RangeCache.Interval(key: "k", end: "")

  @Test func anOwnedKeyIsAnsweredUntilItIsWritten() {
    var table = LeasingTable()
    table.acquire("k", revision: 5, answer("1"), asked: table.ticket)
    #expect(table.answer("k") == answer("1") && table.revision("k") == 5)
    let write = table.beginWrite([.init(key: "a", end: "z")])
    #expect(table.answer("k") == nil && table.isOwned("k"))
    // What is read meanwhile may be of before or of behind.
    let during = table.ticket
    table.keep("k", answer("1"), asked: during)
    #expect(table.answer("k") == nil)
    table.endWrite(write, isKnown: true, now: 0)
    table.keep("k", answer("1"), asked: during)
    #expect(table.answer("k") == nil)
    table.keep("k", answer("2"), asked: table.ticket)
    #expect(table.answer("k") == answer("2"))
    _ = table.beginWrite([.init(key: "other", end: "")])
    #expect(table.answer("k") == answer("2"))
  }

  @Test func aKeyIsTakenWithoutWhatAWriteMayHaveChanged() {
    var table = LeasingTable()
    let asked = table.ticket
    let write = table.beginWrite([point])
    table.endWrite(write, isKnown: true, now: 0)
    table.acquire("k", revision: 5, answer("1"), asked: asked)
    #expect(table.isOwned("k") && table.answer("k") == nil)
    for _ in 0..<1_000 { _ = table.beginWrite([.init(key: "x", end: "")]) }
    table.keep("k", answer("1"), asked: asked)
    #expect(table.answer("k") == nil)
  }

  @Test func aWriteOfUnknownFateGivesTheKeyUp() {
    var table = LeasingTable()
    table.acquire("k", revision: 5, answer("1"), asked: table.ticket)
    table.endWrite(table.beginWrite([point]), isKnown: false, now: 10)
    #expect(!table.isOwned("k") && table.revision("k") == 0)
    #expect(!table.mayAcquire("k", now: 10) && table.mayAcquire("o", now: 10))
    #expect(table.mayAcquire("k", now: 10 + LeasingTable.pause))
    table.acquire("k", revision: 8, answer("1"), asked: table.ticket)
    table.clear()
    #expect(!table.isOwned("k") && table.mayAcquire("k", now: 11))
  }

  @Test func keysAreBounded() {
    var table = LeasingTable()
    for number in 0..<LeasingTable.ownedMax {
      let key = Bytes("\(number)")
      #expect(table.mayAcquire(key, now: 0))
      table.acquire(key, revision: 1, answer(""), asked: table.ticket)
    }
    #expect(!table.mayAcquire("more", now: 0))
  }

  @Test func readsAreAnsweredAsTheyAsk() {
    typealias Request = Etcdserverpb.RangeRequest
    let whole = answer("v")
    #expect(Request(key: "k").select(whole) == whole)
    #expect(Request(key: "k", keysOnly: true).select(whole).kvs.first?.value == "")
    let counted = Request(key: "k", countOnly: true).select(whole)
    #expect(counted.kvs.isEmpty && counted.count == 1)
    #expect(Request(key: "k", minModRevision: 8).select(whole).kvs.isEmpty)
    #expect(Request(key: "k", maxModRevision: 6).select(whole).kvs.isEmpty)
    #expect(Request(key: "k", minCreateRevision: 3, maxCreateRevision: 3).select(whole) == whole)
  }

  @Test func leasingKeysAreThoseOfGo() {
    let keys = LeasingKeys(prefix: "p/")
    #expect(keys.name("k") == "p/k" && keys.key("p/k") == "k")
    #expect(keys.name(.init(key: "a", end: "c")) == .init(key: "p/a", end: "p/c"))
    #expect(keys.name(.init(key: "a", end: "\0")) == .init(key: "p/a", end: "p0"))
    let check = keys.isNotYounger(point, than: 4)
    #expect(check.key == "p/k" && check.result == .less && check.targetUnion == .createRevision(5))
  }
}
