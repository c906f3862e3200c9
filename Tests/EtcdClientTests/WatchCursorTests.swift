import Bytes
import EtcdAPI
import Testing

@testable import EtcdClient

/// What a watch makes of responses: nothing twice, nothing by halves.
@Suite struct WatchCursorTests {
  private typealias Response = Etcdserverpb.WatchResponse

  private static func response(
    _ revision: Int64, _ events: [Int64] = [], created: Bool = false, fragment: Bool = false,
    id: Int64 = 0
  ) -> Response {
    Response(
      header: .init(revision: revision), watchID: id, created: created, fragment: fragment,
      events: events.map { Mvccpb.Event(kv: .init(key: "k", modRevision: $0)) })
  }

  /// Revisions of the events that a step tells; `nil` when it tells nothing.
  private static func told(_ step: WatchCursor.Step) -> [Int64]? {
    guard case .update(let response) = step else { return nil }
    return response.events.compactMap { $0.kv?.modRevision }
  }

  @Test func aWatchFromNowOnBeginsBehindItsCreation() {
    var cursor = WatchCursor(next: 0)
    guard case .created = cursor.take(Self.response(7, created: true)) else {
      Issue.record("not created")
      return
    }
    #expect(cursor.next == 8)
    var past = WatchCursor(next: 3)
    _ = past.take(Self.response(7, created: true))
    #expect(past.next == 3)
    var beginning = WatchCursor(next: -4)
    _ = beginning.take(Self.response(7, created: true))
    #expect(beginning.next == -4)
  }

  @Test func eventsAreToldOnce() {
    var cursor = WatchCursor(next: 5)
    #expect(Self.told(cursor.take(Self.response(9, [5, 6, 6]))) == [5, 6, 6])
    #expect(cursor.next == 7)
    #expect(Self.told(cursor.take(Self.response(9, [6, 6]))) == nil)
    #expect(Self.told(cursor.take(Self.response(9, [6, 7]))) == [7])
  }

  @Test func revisionsOfFragmentsAreWhole() {
    var cursor = WatchCursor(next: 2)
    #expect(Self.told(cursor.take(Self.response(9, [2, 3], fragment: true))) == [2])
    #expect(cursor.next == 3)
    #expect(Self.told(cursor.take(Self.response(9, [3], fragment: true))) == nil)
    #expect(Self.told(cursor.take(Self.response(9, [3, 4], fragment: true))) == [3, 3, 3])
    #expect(Self.told(cursor.take(Self.response(9, [5]))) == [4, 5])
    #expect(cursor.next == 6)
  }

  /// A stream breaks between fragments: the revision comes anew, whole.
  @Test func halfARevisionIsForgotten() {
    var cursor = WatchCursor(next: 2)
    _ = cursor.take(Self.response(9, [2, 3], fragment: true))
    cursor.reconnect()
    #expect(cursor.next == 3)
    _ = cursor.take(Self.response(9, created: true))
    #expect(Self.told(cursor.take(Self.response(9, [3, 3]))) == [3, 3])
  }

  @Test func progressMovesOn() {
    var cursor = WatchCursor(next: 2)
    #expect(Self.told(cursor.take(Self.response(9))) == [])
    #expect(cursor.next == 10)
    // Those for everybody may overtake events in etcd before 3.5.8.
    #expect(Self.told(cursor.take(Self.response(20, id: -1))) == [])
    #expect(cursor.next == 10)
    #expect(Self.told(cursor.take(Self.response(20, [11]))) == [11])
    var last = WatchCursor(next: 2)
    _ = last.take(Self.response(.max))
    #expect(last.next == .max)
  }

  @Test func endsAreEnds() {
    var cursor = WatchCursor(next: 2)
    var canceled = Self.response(9, created: true)
    canceled.canceled = true
    canceled.cancelReason =
      "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    #expect(cursor.take(canceled) == .ended(canceled))
    #expect(EtcdClientError(ended: canceled) == .refused(.permissionDenied))
    canceled.compactRevision = 5
    #expect(EtcdClientError(ended: canceled) == .compacted(revision: 5))
    #expect(EtcdClientError(ended: canceled).etcdError == .compacted)
  }

  @Test func pausesGrow() {
    #expect(
      (1...20).map(WatchFeed.pause) == [1, 2, 4, 8, 16, 32, 64].map { .milliseconds($0) }
        + Array(repeating: .milliseconds(100), count: 13))
    #expect(WatchFeed.pause(.max) == .milliseconds(100))
  }
}
