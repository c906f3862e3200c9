import Bytes
import EtcdAPI
import Protobuf
import Testing

@testable import GRPCProxy

@Suite struct RangeCacheTests {
  private func key(_ text: String, token: Bytes = "") -> RangeCache.Key {
    RangeCache.Key(token: token, request: Bytes(text))
  }

  private func interval(_ key: Bytes, _ end: Bytes = "") -> RangeCache.Interval {
    .init(key: key, end: end)
  }

  @Test func answersAreUsedForASecondByTheSameUser() {
    var cache = RangeCache()
    let ticket = cache.ticket
    cache.add(key("q", token: "t"), interval("a"), revision: 0, "x", asked: ticket, now: 5)
    #expect(cache.answer(key("q", token: "t"), now: 6) == "x")
    #expect(cache.answer(key("q"), now: 6) == nil && cache.answer(key("p"), now: 6) == nil)
    #expect(cache.answer(key("q", token: "t"), now: 5 + RangeCache.lifetime) == nil)
    #expect(cache.count == 0)
  }

  @Test(arguments: [
    ("b", "", true), ("a", "c", true), ("a", "\0", true), ("c", "", false), ("a", "b", false),
    ("b", "ba", true), ("a", "", false), ("\0", "\0", true),
  ])
  func writesMakeItForget(_ first: String, _ end: String, _ isForgotten: Bool) {
    var cache = RangeCache()
    cache.add(key("one"), interval("b"), revision: 0, "x", asked: cache.ticket, now: 0)
    // What was at a revision does not change.
    cache.add(key("old"), interval("b"), revision: 3, "y", asked: cache.ticket, now: 0)
    cache.invalidate(interval(Bytes(first), Bytes(end)))
    #expect((cache.answer(key("one"), now: 1) == nil) == isForgotten)
    #expect(cache.answer(key("old"), now: 1) == "y")
  }

  @Test func anAnswerThatAWriteHasOvertakenIsNotKept() {
    var cache = RangeCache()
    let asked = cache.ticket
    cache.invalidate(interval("z"))
    cache.add(key("a"), interval("a"), revision: 0, "x", asked: asked, now: 0)
    #expect(cache.count == 1)
    cache.invalidate(interval("a", "c"))
    cache.add(key("b"), interval("b"), revision: 0, "x", asked: asked, now: 0)
    #expect(cache.count == 0)
    // More writes than are remembered.
    for _ in 0..<1_000 { cache.invalidate(interval("z")) }
    cache.add(key("d"), interval("d"), revision: 0, "x", asked: asked, now: 0)
    #expect(cache.count == 0)
  }

  @Test func itIsBoundedAndForgetsWhatWasNotUsed() {
    var cache = RangeCache()
    for number in 0..<3_000 {
      cache.add(
        key("\(number)"), interval("a"), revision: 0, "x", asked: cache.ticket, now: 0)
      #expect(cache.answer(key("0"), now: 0) == "x")
    }
    #expect(cache.count == RangeCache.entriesMax)
    #expect(cache.answer(key("1"), now: 0) == nil && cache.answer(key("2999"), now: 0) == "x")
    let large = Bytes([UInt8](repeating: 0, count: RangeCache.entryBytesMax - 10))
    for number in 0..<100 {
      cache.add(key("\(number)"), interval("a"), revision: 0, large, asked: cache.ticket, now: 0)
    }
    #expect(cache.count == RangeCache.bytesMax / RangeCache.entryBytesMax)
    let before = cache.count
    cache.add(
      key("x"), interval("a"), revision: 0, large.followed(by: large), asked: cache.ticket, now: 0)
    #expect(cache.count == before)
  }

  @Test func whatIsCompactedIsNotAnswered() {
    var cache = RangeCache()
    cache.add(key("a"), interval("a"), revision: 5, "x", asked: cache.ticket, now: 0)
    cache.compact(5)
    #expect(cache.answer(key("a"), now: 0) == "x" && !cache.isCompacted(5))
    cache.compact(6)
    #expect(cache.isCompacted(5) && !cache.isCompacted(0))
    #expect(cache.answer(key("a"), now: 0) == nil)
  }

  @Test func requestsAreLookedIntoWithoutTheirRest() throws {
    let range = Etcdserverpb.RangeRequest(
      key: "k", rangeEnd: "l", limit: 3, revision: 7, sortOrder: .descend, serializable: true,
      minModRevision: 9)
    let peek = try RangePeek.decode(range.encoded())
    #expect(peek.key == "k" && peek.end == "l" && peek.revision == 7 && peek.isSerializable)
    let put = try WritePeek.decode(
      Etcdserverpb.PutRequest(key: "k", value: "v", lease: 4).encoded())
    #expect(put.key == "k")
    let reply = Etcdserverpb.RangeResponse(header: .init(revision: 12), count: 3)
    #expect(try HeaderPeek.decode(reply.encoded()).header.revision == 12)
    #expect(throws: ProtobufError.self) { try RangePeek.decode("\u{1}\u{2}") }
    let txn = Etcdserverpb.TxnRequest(
      compare: [.init(key: "c")],
      success: [.init(request: .requestPut(.init(key: "p")))],
      failure: [
        .init(
          request: .requestTxn(
            .init(success: [.init(request: .requestDeleteRange(.init(key: "d", rangeEnd: "e")))])))
      ])
    #expect(txn.intervals.map(\.key) == ["c", "p", "d"])
  }
}
