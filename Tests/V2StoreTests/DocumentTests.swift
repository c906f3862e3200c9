import Bytes
import Protobuf
import Testing
import V2Store

/// The JSON document in both directions.
@Suite struct DocumentTests {
  private func sample() throws -> V2Store {
    var store = V2Store()
    _ = try store.set("/1/a/b<&>\"\\", value: "line\nbreak \u{2028} \u{1}")
    _ = try store.set("/1/empty", isDirectory: true)
    _ = try store.set(
      "/1/t", value: "v", lifetime: .init(expiration: 1_700_000_000_120_000_000))
    _ = try store.set(
      "/1/u", value: "v", lifetime: .init(expiration: 1_709_164_800_000_000_001))
    _ = try? store.create("/1/a")
    return store
  }

  @Test func whatIsWrittenIsReadAgain() throws {
    let store = try sample()
    let back = try V2Store(document: store.document())
    #expect(back == store)
    #expect(back.document() == store.document())
  }

  /// Field names, order and times as Go writes them.
  @Test func theTextIsGos() throws {
    let text = try sample().document().string
    #expect(
      text.hasPrefix(
        #"{"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"#
          + #""ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{"0":{"Path":"/0","#))
    #expect(text.contains(#""Path":"/1/a/b\u003c\u0026\u003e\"\\","CreatedIndex":1"#))
    #expect(text.contains(#""Value":"line\nbreak \u2028 \u0001","Children":null}"#))
    #expect(text.contains(#""ExpireTime":"2023-11-14T22:13:20.12Z""#))
    #expect(text.contains(#""ExpireTime":"2024-02-29T00:00:00.000000001Z""#))
    #expect(text.contains(#""StartIndex":1,"LastIndex":4}},"CurrentIndex":4,"Stats":{"#))
    #expect(text.hasSuffix(#""expireCount":0,"watchers":0},"CurrentVersion":2}"#))
  }

  private func expiration(_ time: String) -> Int64? {
    let text =
      #"{"Root":{"Children":{"1":{"Children":{"k":{"ExpireTime":"\#(time)","Value":"v"}}}}}}"#
    guard var store = try? V2Store(document: Bytes(text)) else { return nil }
    return (try? store.get("/1/k"))?.node.expiration
  }

  @Test func timesWithOffsetsAreRead() {
    #expect(expiration("1970-01-01T00:00:01Z") == 1_000_000_000)
    #expect(expiration("2023-11-15T00:13:20.5+02:00") == 1_700_000_000_500_000_000)
    #expect(expiration("2023-11-14T16:43:20-05:30") == 1_700_000_000_000_000_000)
    #expect(expiration("1969-12-31T23:59:59.999999999Z") == -1)
    #expect(expiration("2000-02-29T12:00:00Z") == 951_825_600_000_000_000)
    #expect(expiration("0001-01-01T00:00:00Z") == nil)
  }

  @Test(arguments: [
    "[]", "{", #"{"Root":7}"#, #"{"Root":{"Children":null}}"#, #"{"CurrentIndex":-1}"#,
    #"{"Root":{"Children":{"1":{"ExpireTime":"soon"}}}}"#,
    #"{"Root":{"Children":{"1":{"ExpireTime":"9999-01-01T00:00:00Z"}}}}"#,
    #"{"Root":{"Children":{"1":{"ExpireTime":"2023-13-01T00:00:00Z"}}}}"#,
    #"{"Root":{"Children":{"1":null}}}"#, #"{"Stats":{"setsFail":1.5}}"#,
  ])
  func damageIsNamed(text: String) {
    #expect(throws: V2DocumentError.self) { try V2Store(document: Bytes(text)) }
  }

  @Test func depthIsBoundedAndUsedToItsEnd() throws {
    var store = V2Store()
    _ = try store.set("/1" + String(repeating: "/d", count: 255), value: "x")
    #expect(try V2Store(document: store.document()) == store)
    let deep =
      #"{"Root":"# + String(repeating: #"{"Children":{"a":"#, count: 300) + "{}"
      + String(repeating: "}}", count: 300) + "}"
    #expect(throws: V2DocumentError.self) { try V2Store(document: Bytes(deep)) }
  }

  /// No damage makes the reader crash.
  @Test func everyCutAndFlipIsReadOrRefused() throws {
    let text = try sample().document()
    let compact = Array(
      text.string.replacing("null,", with: "").replacing(
        "\"Capacity\":1000", with: "\"Capacity\":5"
      ).utf8)
    for cut in stride(from: 0, to: compact.count, by: 3) {
      _ = try? V2Store(document: Bytes(compact[..<cut]))
      var flipped = compact
      flipped[cut] ^= UInt8(truncatingIfNeeded: 1 << (cut % 8))
      if let store = try? V2Store(document: Bytes(flipped)) { _ = store.document() }
    }
    let top = try V2Store(document: Bytes(#"{"CurrentIndex":18446744073709551615}"#))
    var wrapped = top
    _ = try wrapped.set("/1/k", value: "v")
    #expect(wrapped.index == 0)
  }

  /// Counts of a document from elsewhere have any value; the next one may not end the member.
  @Test func countsAtTheirEndGoOn() throws {
    let names = [
      "setsSuccess", "setsFail", "createSuccess", "createFail", "updateSuccess", "updateFail",
      "deleteSuccess", "deleteFail", "getsSuccess", "getsFail", "compareAndSwapSuccess",
      "compareAndSwapFail", "compareAndDeleteSuccess", "compareAndDeleteFail", "expireCount",
    ]
    let counts = names.map { "\"\($0)\":18446744073709551615" }.joined(separator: ",")
    var store = try V2Store(document: Bytes("{\"Stats\":{\(counts)}}"))
    _ = try store.set("/1/k", value: "v", lifetime: .init(expiration: 1_700_000_000_000_000_000))
    #expect(store.stats.setsSuccess == 0)
    _ = try store.create("/1/c", value: "v")
    _ = try? store.create("/1/c", value: "v")
    _ = try store.update("/1/c", value: "w")
    _ = try? store.update("/1/none", value: "w")
    _ = try store.get("/1/c")
    _ = try? store.get("/1/none")
    _ = try? store.set("/1", value: "v")
    _ = try store.delete("/1/c")
    _ = try? store.delete("/1/c")
    #expect(store.deleteExpiredKeys(now: .max).count == 1)
    #expect(store.stats.expireCount == 0 && store.stats.deleteSuccess == 0)
  }
}
