import Bytes
import Calls
import EtcdAPI
import Protobuf
import Testing

@testable import GRPCProxy

@Suite struct WatchContentsTests {
  private let header = Etcdserverpb.ResponseHeader(revision: 9)
  private let events: [Mvccpb.Event] = [
    .init(
      type: .put, kv: .init(key: "a", modRevision: 7, value: "1"),
      prevKv: .init(key: "a", modRevision: 3, value: "0")),
    .init(type: .delete, kv: .init(key: "a", modRevision: 8)),
    .init(type: .put, kv: .init(key: "b", modRevision: 8, value: "2")),
  ]

  private func decoded(_ bodies: [MessageBody]) throws -> [Etcdserverpb.WatchResponse] {
    try bodies.map { body in
      switch body {
      case .bytes(let bytes): try .decode(bytes)
      case .framed(let bytes): try .decode(bytes[MessageBody.prefixBytes..<bytes.count])
      case .chunks(let parts): try .decode(parts.reduce(Bytes()) { $0.followed(by: $1) })
      case .pull: throw GRPCStatus(.internal)
      }
    }
  }

  @Test(arguments: [0, 1, 300, -5] as [Int64])
  func everyoneGetsWhatHeWants(_ id: Int64) throws {
    let plain = WatchContents([])
    let news = WatchNews(header, events, for: [plain, .previous])
    let told = try decoded(news.messages(plain, from: 0, named: id, partBytes: nil))
    #expect(told.count == 1 && told[0].watchID == id && told[0].header == header)
    #expect(told[0].events.map(\.kv?.key) == ["a", "a", "b"] && told[0].events[0].prevKv == nil)
    let rich = try decoded(news.messages(.previous, from: 8, named: id, partBytes: nil))
    #expect(rich[0].events == Array(events[1...]))
    // One that was not thought of is made when it is needed.
    let puts = try decoded(news.messages(.noDeletions, from: 0, named: id, partBytes: nil))
    #expect(puts[0].events.map(\.kv?.modRevision) == [7, 8])
    #expect(news.messages([.noPuts, .noDeletions], from: 0, named: id, partBytes: nil).isEmpty)
    #expect(news.messages(plain, from: 9, named: id, partBytes: nil).isEmpty)
  }

  @Test func largeNewsComeInParts() throws {
    let news = WatchNews(header, events, for: [[]])
    let parts = try decoded(news.messages([], from: 0, named: 3, partBytes: 12))
    #expect(parts.count == 3 && parts.map(\.fragment) == [true, true, false])
    #expect(parts.flatMap(\.events).count == 3)
    #expect(try decoded(news.messages([], from: 8, named: 3, partBytes: 12)).count == 2)
  }

  @Test func progressIsToldFromTheFirstRevisionOn() throws {
    let news = WatchNews(header, [], for: [[]])
    #expect(news.isProgress)
    let told = try decoded(news.messages([], from: 10, named: 1, partBytes: nil))
    #expect(told[0].events.isEmpty && told[0].header?.revision == 9)
    #expect(news.messages([], from: 11, named: 1, partBytes: nil).isEmpty)
  }

  @Test func largeBodiesAreShared() throws {
    let body = Bytes([UInt8](repeating: 0x58, count: 2)).followed(
      by: Bytes([UInt8](repeating: 0, count: 5_000)))
    guard case .chunks(let parts) = WatchNews.named(1, body) else { return #expect(Bool(false)) }
    #expect(parts[1].isIdentical(to: body))
  }
}
