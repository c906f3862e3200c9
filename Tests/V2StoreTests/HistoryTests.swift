import Bytes
import EtcdAPI
import JSON
import Testing

@testable import V2Store

/// What a store remembers, in memory and in its document.
@Suite struct HistoryTests {
  private func store(writes: Int) throws -> V2Store {
    var store = V2Store()
    for n in 0..<writes { _ = try store.set("/1/k\(n % 7)", value: "v\(n)") }
    return store
  }

  private func queue(_ store: V2Store) throws -> JSONValue {
    let document = try JSONValue.parse(store.document())
    return try #require(document["WatcherHub"]?["EventHistory"])
  }

  @Test(arguments: [0, 1, 999, 1_000, 1_001, 2_700])
  func theRingIsGos(writes: Int) throws {
    let store = try store(writes: writes)
    #expect(store.checkInvariants() == nil)
    let history = try queue(store)
    let ring = try #require(history["Queue"]?["Events"]?.array)
    #expect(ring.count == 1_000)
    let size = min(writes, 1_000)
    #expect(history["Queue"]?["Size"]?.integer() == size)
    #expect(history["Queue"]?["Front"]?.integer() == (writes - size) % 1_000)
    #expect(history["Queue"]?["Back"]?.integer() == writes % 1_000)
    #expect(history["Queue"]?["Capacity"]?.integer() == 1_000)
    #expect(history["StartIndex"]?.integer() == (writes == 0 ? 0 : writes - size + 1))
    #expect(history["LastIndex"]?.integer() == writes)
    // Every event lies where its index puts it.
    for (place, event) in ring.enumerated() where !event.isNull {
      let index: Int = try #require(event["node"]?["modifiedIndex"]?.integer())
      #expect((index - 1) % 1_000 == place)
    }
    #expect(ring.filter(\.isNull).count == 1_000 - size)
    #expect(try V2Store(document: store.document()) == store)
    #expect(store.history.first(since: UInt64(writes) + 1) { _ in true } == nil)
    #expect(store.history.first(since: 1) { _ in true }?.index == (1...1_000 ~= writes ? 1 : nil))
  }

  @Test func eventsOfEveryKindAreGosJSON() throws {
    var store = V2Store()
    let later: Int64 = 1_900_000_000_000_000_000
    _ = try store.apply(.init(method: "PUT", path: "/1/a", val: "<1>"), now: later)
    _ = try store.apply(
      .init(method: "PUT", path: "/1/a", val: "2", expiration: later + 1_500_000_000), now: later)
    _ = try store.apply(
      .init(
        method: "PUT", path: "/1/a", prevExist: true, expiration: later + 9_000_000_000,
        refresh: true), now: later + 1)
    _ = try store.apply(.init(method: "POST", path: "/1/d", dir: true))
    _ = try store.apply(.init(method: "DELETE", path: "/1/d", recursive: true))
    _ = try store.apply(.init(method: "SYNC", time: later + 9_000_000_000), now: later)
    let text = store.document().string
    let events = [
      #"{"action":"set","node":{"key":"/1/a","value":"\u003c1\u003e","modifiedIndex":1,"createdIndex":1}}"#,
      #"{"action":"set","node":{"key":"/1/a","value":"2","expiration":"2030-03-17T17:46:41.5Z","ttl":2,"#
        + #""modifiedIndex":2,"createdIndex":2},"prevNode":{"key":"/1/a","value":"\u003c1\u003e","#
        + #""modifiedIndex":1,"createdIndex":1}}"#,
      #"{"action":"update","node":{"key":"/1/a","value":"2","expiration":"2030-03-17T17:46:49Z","ttl":9,"#
        + #""modifiedIndex":3,"createdIndex":2},"prevNode":{"key":"/1/a","value":"2","#
        + #""expiration":"2030-03-17T17:46:41.5Z","ttl":2,"modifiedIndex":2,"createdIndex":2},"refresh":true}"#,
      #"{"action":"create","node":{"key":"/1/d/00000000000000000004","dir":true,"modifiedIndex":4,"createdIndex":4}}"#,
      #"{"action":"delete","node":{"key":"/1/d","dir":true,"modifiedIndex":5,"createdIndex":4},"#
        + #""prevNode":{"key":"/1/d","dir":true,"modifiedIndex":4,"createdIndex":4}}"#,
      #"{"action":"expire","node":{"key":"/1/a","modifiedIndex":6,"createdIndex":2},"#
        + #""prevNode":{"key":"/1/a","value":"2","expiration":"2030-03-17T17:46:49Z","ttl":9,"#
        + #""modifiedIndex":3,"createdIndex":2}}"#,
    ]
    #expect(
      text.contains("{\"Queue\":{\"Events\":[" + events.joined(separator: ",") + ",null,null,"))
    #expect(try V2Store(document: store.document()) == store)
  }

  /// What large values hold is bounded; what is left still follows each other.
  @Test func manyLargeEventsAreForgotten() throws {
    var store = V2Store()
    let large = String(repeating: "x", count: 1 << 20)
    for _ in 0..<100 { _ = try store.set("/1/k", value: large) }
    #expect(store.checkInvariants() == nil)
    #expect(store.history.count == 31 && store.history.start == 70)
    #expect(store.history.back == 100)
  }

  /// - Returns: how many events are remembered of a document, and where its ring goes on.
  private func read(_ queue: String, last: Int) throws -> (count: Int, back: Int, start: UInt64) {
    let text = #"{"WatcherHub":{"EventHistory":{"Queue":\#(queue)}},"CurrentIndex":\#(last)}"#
    let history = try V2Store(document: Bytes(text)).history
    return (history.count, history.back, history.start)
  }

  private func event(_ index: Int) -> String {
    #"{"action":"set","node":{"key":"/1/k","value":"v","modifiedIndex":\#(index),"createdIndex":1}}"#
  }

  @Test func whatDoesNotFollowIsForgotten() throws {
    let three = [event(7), event(8), event(9)].joined(separator: ",")
    func ring(_ events: String, size: Int = 3, front: Int = 0, capacity: Int = 3) -> String {
      #"{"Events":[\#(events)],"Size":\#(size),"Front":\#(front),"Back":0,"Capacity":\#(capacity)}"#
    }
    #expect(try read(ring(three), last: 9) == (3, 3, 7))
    // Round the end, as Go's.
    let turned = [event(9), event(7), event(8)].joined(separator: ",")
    #expect(try read(ring(turned, front: 1), last: 9) == (3, 3, 7))
    #expect(try read(ring(turned, size: 2, front: 1), last: 8) == (2, 2, 7))
    // A hole, or another end than the store's.
    let hole = [event(5), event(8), event(9)].joined(separator: ",")
    #expect(try read(ring(hole), last: 9) == (2, 2, 8))
    #expect(try read(ring(three), last: 10) == (0, 0, 11))
    #expect(try read(ring("null,null,null", size: 0), last: 4) == (0, 0, 5))
    for damaged in [
      ring(three, size: 4), ring(three, front: 3), ring(three, capacity: 4), ring("1,2,3"),
      ring("null,null,null"), ring(three, size: -1),
      ring(#"{"action":"none","node":{"key":"/1/k","modifiedIndex":9}}"#, size: 1, capacity: 1),
      ring(#"{"action":"set","node":{"modifiedIndex":9}}"#, size: 1, capacity: 1),
    ] {
      #expect(throws: V2DocumentError.self, "\(damaged)") { try read(damaged, last: 9) }
    }
  }

  /// Those who come late hear of what the store remembers, whoever wrote it.
  @Test func watchersReadTheHistoryOfAnotherStore() throws {
    let store = try V2Store(document: store(writes: 1_200).document())
    var watchers = V2Watchers()
    #expect(watchers.reset(to: store.index, store.history).isEmpty)
    func answer(_ path: String, since: UInt64) throws -> UInt64? {
      switch try watchers.watch(
        since, .init(path, isRecursive: true, isStream: false, since: since))
      {
      case .event(let event): return event.index
      case .waits: return nil
      }
    }
    #expect(throws: V2Error.self) { try answer("/1", since: 200) }
    #expect(try answer("/1", since: 201) == 201)
    #expect(try answer("/1/k0", since: 1_000) == 1_002)
    #expect(try answer("/1/k0", since: 1_200) == nil)
    #expect(watchers.count == 1)
    var next = store
    let told = watchers.take(try next.set("/1/k0", value: "new"))
    #expect(told == [1_200] && watchers.count == 0)
    #expect(try answer("/1", since: 1_201) == 1_201)
    #expect(throws: V2Error.self) { try answer("/1", since: 201) }
  }

  @Test func activityIsCountedAsGoCounts() throws {
    var store = V2Store()
    _ = try store.set("/1/a", value: "1")
    _ = try? store.create("/1/a/b")
    _ = try? store.update("/1", value: "1")
    _ = try? store.compareAndSwap("/1/a", previousValue: "2", previousIndex: 0, value: "3")
    _ = try? store.compareAndDelete("/1/b", previousValue: "2", previousIndex: 0)
    _ = try? store.delete("/1/b")
    _ = try? store.get("/1/b")
    _ = try store.get("/1", isRecursive: true)
    _ = try store.set("/1/t", lifetime: .init(expiration: 1_700_000_000_000_000_000))
    _ = store.deleteExpiredKeys(now: .max)
    let activity = store.takeActivity()
    // A file on the way of a new node counts twice.
    #expect(
      activity.writes == [
        .set: 2, .create: 2, .update: 1, .compareAndSwap: 1, .compareAndDelete: 1, .delete: 1,
      ])
    #expect(activity.reads == 1 && activity.recursiveReads == 1 && activity.expired == 1)
    #expect(store.takeActivity().isEmpty)
  }
}
