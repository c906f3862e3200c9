import Bytes
import EtcdAPI
import TestSupport
import Testing

@testable import MVCC

/// A check that finds nothing in a broken structure is worth nothing.
@Suite struct InvariantTests {
  private func row(_ main: Int64) -> Row {
    Row(revision: Revision(main: main), isTombstone: false, value: "value")
  }

  private func store(keys: Int = 200) throws -> MVCCStore {
    var store = try MVCCStore.restore(from: MemoryBackend().state())
    _ = try store.apply(Etcdserverpb.LeaseGrantRequest(ttl: 10, id: 7), minTTL: 1)
    for number in 0..<keys {
      let lease: Int64 = number < 5 ? 7 : 0
      _ = try store.apply(
        Etcdserverpb.PutRequest(key: Bytes("key\(1000 + number)"), value: "v", lease: lease))
    }
    return store
  }

  private func begins(_ found: String?, _ start: String) -> Bool {
    found?.hasPrefix(start) ?? false
  }

  @Test func aSoundStorePasses() throws {
    #expect(try store().checkInvariants() == nil)
  }

  @Test func rowsOutOfOrderAreFound() {
    var log = RowLog()
    for main in Int64(2)..<6 { log.append(row(main)) }
    #expect(log.checkInvariants() == nil)
    log.segments[0].rows[2] = row(9)
    #expect(begins(log.checkInvariants(), "1: "))
    log.segments[0].rows[2] = Row(
      revision: Revision(main: 4), isTombstone: false, value: "a longer value")
    #expect(begins(log.checkInvariants(), "2: "))
  }

  @Test func brokenNodesAreFound() throws {
    var store = try store()
    store.index.root.live += 1
    #expect(begins(store.checkInvariants(), "2: 4: "))
    store = try self.store()
    store.index.root.firstKeys.swapAt(0, 1)
    #expect(begins(store.checkInvariants(), "2: 2: "))
    store = try self.store()
    store.index.root.children[0].entries.swapAt(3, 4)
    #expect(begins(store.checkInvariants(), "2: 1: "))
    store = try self.store()
    store.index.root.firstKeys.removeLast()
    #expect(begins(store.checkInvariants(), "2: 2: "))
    store = try self.store()
    store.index.root.children[1].entries.removeAll()
    #expect(begins(store.checkInvariants(), "2: 3: "))
    store = try self.store()
    store.index.root.children.removeLast()
    store.index.root.firstKeys.removeLast()
    #expect(begins(store.checkInvariants(), "2: 4: "))
  }

  @Test func wrongVersionsAreFound() {
    var history = KeyHistory(
      KeyRevision(main: 2, created: 2, version: 1, sub: 0, isTombstone: false))
    #expect(history.checkInvariants() == nil)
    history.append(KeyRevision(main: 3, created: 2, version: 3, sub: 0, isTombstone: false))
    #expect(begins(history.checkInvariants(), "2: "))
  }

  /// `snapshot restore --bump-revision` leaves a row without key and value at the newest revision.
  @Test func theRowOfABumpedRevisionIsSound() throws {
    let revision = Revision(main: 1_000).encoded()
    let store = try MVCCStore.restore(from: MemoryRows([.key: [revision: ""]]))
    #expect(store.revision == 1_000 && store.checkInvariants() == nil)
  }

  @Test func aStoreOlderThanItsKeysIsFound() throws {
    var store = try store()
    store.revision = 100
    #expect(begins(store.checkInvariants(), "1: row "))
    store = try self.store(keys: 5)
    store.compactRevision = 99
    #expect(begins(store.checkInvariants(), "4: "))
  }

  @Test func leasesAndKeysThatDisagreeAreFound() throws {
    var store = try store()
    store.leases.attach("nobody", to: 7)
    #expect(begins(store.checkInvariants(), "3: nobody hangs on lease 7"))
    store = try self.store()
    store.leases.forget(7)
    #expect(store.checkInvariants() == nil, "its keys are about to go")
    _ = store.leases.grant(7, ttl: 3)
    #expect(begins(store.checkInvariants(), "3: 1: "))
  }
}
