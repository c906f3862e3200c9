import Bytes
import EtcdAPI
import Testing

@testable import GRPCProxy

@Suite struct WatchPaceTests {
  private func event(_ revision: Int64) -> Mvccpb.Event {
    .init(type: .put, kv: .init(key: "k", modRevision: revision))
  }

  private func header(_ revision: Int64) -> Etcdserverpb.ResponseHeader {
    .init(revision: revision)
  }

  @Test func fewAreToldAtOnce() {
    var pace = WatchPace()
    for revision in Int64(1)...100 {
      #expect(pace.take(header(revision), [event(revision)], watchers: 399, now: 0) == .tell)
      let told = pace.release(now: 0)
      #expect(told?.events == [event(revision)] && told?.header.revision == revision)
    }
    #expect(pace.release(now: 0) == nil)
  }

  @Test func manyAreToldTogether() {
    var pace = WatchPace()
    let pause = 10_000 * WatchPace.pause
    #expect(pace.take(header(1), [event(1)], watchers: 10_000, now: 5) == .tell)
    #expect(pace.release(now: 5)?.events.count == 1)
    #expect(
      pace.take(header(2), [event(2)], watchers: 10_000, now: 6)
        == .tellLater(.nanoseconds(Int64(pause) - 1)))
    #expect(pace.take(header(3), [event(3), event(3)], watchers: 10_000, now: 7) == .wait)
    pace.due()
    let told = pace.release(now: 5 + pause)
    #expect(told?.events == [event(2), event(3), event(3)] && told?.header.revision == 3)
    // Then it begins again.
    #expect(
      pace.take(header(4), [event(4)], watchers: 10_000, now: 5 + pause)
        == .tellLater(.nanoseconds(Int64(pause))))
    // What is held is bounded.
    let much = (0..<WatchPace.heldMax).map { event(Int64($0) + 5) }
    #expect(pace.take(header(9_999), much, watchers: 10_000, now: 6 + pause) == .tell)
    #expect(pace.release(now: 6 + pause)?.events.count == WatchPace.heldMax + 1)
    // After a rest news is told at once.
    #expect(
      pace.take(header(10_000), [event(10_000)], watchers: 10_000, now: 9 * pause) == .tell)
  }
}
