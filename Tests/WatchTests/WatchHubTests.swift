import Bytes
import EtcdAPI
import Protobuf
import Raft
import TestSupport
import Testing

@testable import MVCC
@testable import Watch

/// Random watchers over random writes, with streams that are not read, scans that take long, commits and
/// compactions; each response is checked against everything that ever happened.
@Suite struct WatchHubTests {
  @Test(arguments: 0..<60)
  func watchersSeeEverythingOnce(seed: UInt64) throws {
    var run = WatchRun(seed: seed)
    for step in 0..<400 {
      try run.step()
      #expect(run.hub.checkInvariants() == nil, "seed \(seed), step \(step)")
      guard run.problem == nil else { break }
    }
    if run.problem == nil { try run.finish() }
    #expect(run.problem == nil, "seed \(seed): \(run.problem ?? "")")
  }

  /// The runs see what they are to see: a hub that loses, repeats or cuts is found.
  @Test(arguments: WatchRun.Fault.allCases)
  func builtInFaultsAreFound(fault: WatchRun.Fault) throws {
    let found = try (UInt64(0)..<60).contains { seed in
      var run = WatchRun(seed: seed)
      run.fault = fault
      for _ in 0..<400 where run.problem == nil { try run.step() }
      if run.problem == nil { try run.finish() }
      return run.problem != nil
    }
    #expect(found)
  }

  private func hub() -> WatchHub { WatchHub(limits: .init(fragmentBytes: 100), seed: 1) }

  private func created(
    _ request: Etcdserverpb.WatchCreateRequest, now: Int64 = 5
  ) throws -> [Etcdserverpb.WatchResponse] {
    var hub = hub()
    var out = WatchOutput()
    let stream = hub.open()
    hub.create(request, on: stream, now: now, &out)
    return try out.messages.map(WatchRun.response)
  }

  @Test func requestsThatCannotBeServedAreRefusedInGosWords() throws {
    let reversed = try created(.init(key: "b", rangeEnd: "a"))
    #expect(reversed.count == 1)
    #expect(reversed[0].created && reversed[0].canceled && reversed[0].watchID == -1)
    #expect(reversed[0].cancelReason == "mvcc: watcher range is empty")
    #expect(reversed[0].header?.revision == 5)
    let negative = try created(.init(key: "a", startRevision: -1))
    #expect(negative[0].created && negative[0].canceled && negative[0].watchID == -1)
    #expect(
      negative[0].cancelReason == "etcdserver: mvcc: required revision has been compacted")
    #expect(try created(.init(key: "a", rangeEnd: "a"))[0].canceled)
    let all = try created(.init(rangeEnd: Bytes([0])))
    #expect(all[0].created && !all[0].canceled && all[0].watchID == 0)
  }

  @Test func namesAreGivenAndTaken() throws {
    var hub = hub()
    var out = WatchOutput()
    let (one, two) = (hub.open(), hub.open())
    hub.create(.init(key: "a", watchID: 1), on: one, now: 1, &out)
    hub.create(.init(key: "a"), on: one, now: 1, &out)
    hub.create(.init(key: "a"), on: one, now: 1, &out)
    hub.create(.init(key: "a", watchID: 1), on: one, now: 1, &out)
    hub.create(.init(key: "a", watchID: 1), on: two, now: 1, &out)
    hub.create(.init(key: "a", watchID: -7), on: one, now: 1, &out)
    #expect(out.messages.map(\.watchID) == [1, 0, 2, -1, 1, -7])
    #expect(
      try WatchRun.response(out.messages[3]).cancelReason
        == "mvcc: duplicate watch ID provided on the WatchStream")
    out = WatchOutput()
    hub.cancel(2, on: one, now: 1, &out)
    hub.cancel(2, on: one, now: 1, &out)
    hub.cancel(99, on: two, now: 1, &out)
    #expect(out.messages.count == 1)
    #expect(try WatchRun.response(out.messages[0]).canceled)
    #expect(hub.count == 4 && hub.checkInvariants() == nil)
  }

  @Test func closedStreamsAreForgottenInSteps() {
    var hub = hub()
    var out = WatchOutput()
    let stream = hub.open()
    for number in 0..<2_500 {
      hub.create(.init(key: Bytes("k\(number)")), on: stream, now: 1, &out)
    }
    hub.close(stream)
    #expect(hub.streamCount == 0 && hub.behind == 0)
    var steps = 1
    while hub.forget(atMost: 1_000) {
      #expect(hub.checkInvariants() == nil)
      steps += 1
    }
    #expect(steps == 3 && hub.count == 0)
    // The places are used anew, by others.
    let next = hub.open()
    out = WatchOutput()
    for number in 0..<3 { hub.create(.init(key: Bytes("k\(number)")), on: next, now: 1, &out) }
    #expect(out.messages.map(\.watchID) == [0, 1, 2])
    #expect(hub.count == 3 && hub.checkInvariants() == nil)
  }

  @Test func progressWaitsForThoseThatBeginLater() {
    var hub = hub()
    var store = MVCCStore(committed: MemoryRows())
    _ = store.takeNewRows(after: 0)
    var out = WatchOutput()
    let stream = hub.open()
    hub.requestProgress(on: stream, &out)
    // Of nobody there is nothing to tell.
    #expect(out.messages.isEmpty)
    hub.create(.init(key: "a"), on: stream, now: 1, &out)
    hub.create(.init(key: "a", startRevision: 4), on: stream, now: 1, &out)
    out = WatchOutput()
    hub.requestProgress(on: stream, &out)
    #expect(out.messages.isEmpty)
    for revision in Int64(2)...3 {
      _ = try? store.apply(Etcdserverpb.PutRequest(key: "b"))
      guard let rows = store.takeNewRows(after: revision - 1) else { continue }
      hub.take(rows, store.snapshot(), &out)
    }
    #expect(out.messages.map(\.watchID) == [-1])
    #expect(out.messages.map(\.revision) == [3])
    out = WatchOutput()
    hub.create(.init(key: "a", startRevision: 100), on: stream, now: 3, &out)
    hub.requestProgress(on: stream, &out)
    hub.cancel(2, on: stream, now: 3, &out)
    #expect(out.messages.map(\.watchID) == [2, 2, -1])
  }

  @Test func eventsAreCutWhereFragmentsAreAskedFor() {
    let writer = EventWriter()
    for number in 0..<10 {
      let pair = Mvccpb.KeyValue(
        key: "k", modRevision: 2, value: Bytes(repeatElement(7, count: 30)))
      writer.append(
        ChangedRow(
          revision: Revision(main: 2, sub: Int64(number)), isTombstone: false,
          pair: pair.encoded()), previous: nil)
    }
    guard let events = writer.finish() else {
      Issue.record("no events")
      return
    }
    for size in [1, 41, 100, 399, 10_000] {
      let parts = events.parts(of: size)
      #expect(parts.reduce(Bytes()) { Bytes(Array($0) + Array($1)) } == events.bytes)
      let counts = parts.map { (try? Etcdserverpb.WatchResponse.decode($0).events.count) ?? -1 }
      #expect(counts.reduce(0, +) == 10 && !counts.contains { $0 < 1 })
      #expect(parts.allSatisfy { $0.count <= size || size < 41 })
    }
  }
}
