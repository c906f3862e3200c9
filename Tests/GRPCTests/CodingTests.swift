import Bytes
import Calls
import EventLoops
import Testing

@testable import GRPC

@Suite struct CodingTests {
  @Test(arguments: ["", "plain", "etcdserver: 100% of \"space\"\n", "é🙂", "%41"])
  func percentCodingRoundTrips(_ text: String) {
    let coded = PercentCoding.encode(text)
    #expect(coded.allSatisfy { $0 >= 0x20 && $0 < 0x7f })
    #expect(PercentCoding.decode(coded) == text)
  }

  @Test func malformedPercentStays() {
    #expect(PercentCoding.decode("a%zz%4") == "a%zz%4")
  }

  @Test func base64RoundTrips() {
    for count in 0..<20 {
      let bytes = Bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 83 &+ 7) })
      #expect(Metadata.decodeBinary(Metadata.encodeBinary(bytes)) == bytes)
    }
    #expect(Metadata.decodeBinary("Zm8=") == "fo")
    #expect(Metadata.decodeBinary("Z") == nil)
    #expect(Metadata.decodeBinary("Zm8") == "fo")
    #expect(Metadata.decodeBinary("-_8=") == nil)
    #expect(Metadata.decodeBinary("Zm?v") == nil)
  }

  @Test(
    arguments: [
      ("1S", 1_000_000_000), ("99999999n", 99_999_999), ("5m", 5_000_000),
      ("2H", 7_200_000_000_000), ("2562047H", 9_223_369_200_000_000_000),
      ("2562048H", 9_223_372_036_854_775_807), ("99999999H", 9_223_372_036_854_775_807),
      ("99999999M", 5_999_999_940_000_000_000), ("99999999S", 99_999_999_000_000_000),
      ("123456789n", nil), ("S", nil), ("1x", nil), ("-1S", nil),
    ] as [(String, UInt64?)])
  func timeouts(_ text: String, _ nanoseconds: UInt64?) {
    let bytes = Array(text.utf8)
    #expect(bytes.withUnsafeBufferPointer { TimeoutCoding.decode($0) } == nanoseconds)
  }

  @Test func encodedTimeoutsAreNeverShorter() {
    for value in [1, 99_999_999, 100_000_001, 123_456_789_012, UInt64(1) << 55, 1 << 62] {
      let bytes = Array(TimeoutCoding.encode(nanoseconds: value).utf8)
      let back = bytes.withUnsafeBufferPointer { TimeoutCoding.decode($0) }
      #expect(back! >= value && Double(back!) < Double(value) * 1.001)
    }
  }

  /// The largest number of nanoseconds has more digits than fit, and no sum on the way may overflow.
  @Test func theLongestTimeoutIsEncoded() {
    #expect(TimeoutCoding.encode(nanoseconds: .max) == "5124095H")
    #expect(
      TimeoutCoding.encode(nanoseconds: Duration.seconds(Int64.max).nanoseconds) == "2562047H")
  }

  @Test func keepaliveTimesOfAnyLengthAreWaitedFor() {
    var keepalive = Keepalive(interval: .zero, timeout: .seconds(Int64.max))
    #expect(keepalive.check(now: 10, lastRead: 5) == .ping(.seconds(Int64.max)))
    #expect(keepalive.check(now: 20, lastRead: 5) == .wait(.nanoseconds(Int64.max - 10)))
  }

  /// Two messages cut at every place, and byte by byte.
  @Test func deframerTakesAnySplit() throws {
    var queue = OutboundQueue()
    queue.append(.bytes("hello"))
    queue.append(.chunks(["wor", "ld", Bytes()]))
    queue.append(.bytes(Bytes()))
    var joined = ByteWriter()
    let complete = queue.take(queue.available) { joined.append($0) }
    #expect(complete && queue.isEmpty && queue.queuedBytes == 0)
    let whole = joined.finish()
    for cut in 0...whole.count {
      #expect(try deframe([whole[0..<cut], whole[cut..<whole.count]]) == ["hello", "world", ""])
    }
    #expect(try deframe((0..<whole.count).map { whole[$0..<($0 + 1)] }) == ["hello", "world", ""])
  }

  private func deframe(_ parts: [Bytes]) throws -> [Bytes] {
    var deframer = MessageDeframer(limit: 100)
    var found: [Bytes] = []
    for part in parts {
      deframer.feed(part)
      while let message = try deframer.next() { found.append(message.bytes) }
    }
    let isAtBoundary = deframer.isAtBoundary
    #expect(isAtBoundary)
    return found
  }

  @Test(
    arguments: [
      ([0, 0, 0, 0, 101], "grpc: received message larger than max (101 vs. 100)"),
      ([1, 0, 0, 0, 1, 0], "grpc: compressed flag set with identity or empty encoding"),
      ([7, 0, 0, 0, 1, 0], "grpc: received unexpected payload format 7"),
    ] as [([UInt8], String)])
  func badPrefixesAreRefused(_ bytes: [UInt8], _ text: String) {
    do {
      _ = try deframe([Bytes(bytes)])
      Issue.record("accepted")
    } catch let status as GRPCStatus {
      #expect(status.message == text)
    } catch { Issue.record("\(error)") }
  }

  @Test func pulledMessagesComeInOrderAndAreFetchedLate() {
    var queue = OutboundQueue()
    var fetched = 0
    queue.append(
      .pull(length: 1_000) { most in
        let size = min(most, 7)
        fetched += size
        return Bytes(repeatElement(1, count: size))
      })
    #expect(queue.available == 1_005 && queue.queuedBytes == 5)
    var got = 0
    let first = queue.take(105) { got += $0.count }
    #expect(first && got == 105 && fetched == 100)
    queue.append(.pull(length: 10) { _ in nil })
    let rest = queue.take(900) { got += $0.count }
    #expect(rest && fetched == 1_000)
    let failed = queue.take(6) { got += $0.count }
    #expect(!failed)
  }

  @Test func gzipRoundTripsWithinItsLimit() throws {
    let bytes = Bytes(repeatElement(65, count: 100_000))
    let packed = try #require(Gzip.compress([bytes[0..<10], bytes[10..<100_000]]))
    #expect(packed.count < 1_000)
    #expect(try Gzip.decompress(packed, limit: 100_000) == bytes)
    #expect(throws: GRPCStatus.self) { try Gzip.decompress(packed, limit: 99_999) }
    #expect(throws: GRPCStatus.self) {
      try Gzip.decompress(packed[0..<(packed.count / 2)], limit: 1 << 20)
    }
    #expect(throws: GRPCStatus.self) { try Gzip.decompress("not gzip", limit: 1 << 20) }
  }

  @Test func theBudgetOfResetsIsRefilled() {
    var budget = ResetBudget()
    let second: UInt64 = 1_000_000_000
    let first = (0..<2_100).filter { _ in budget.take(now: second) }.count
    let next = (0..<2_100).filter { _ in budget.take(now: 2 * second) }.count
    let late = (0..<2_100).filter { _ in budget.take(now: 1_000_000 * second) }.count
    #expect([first, next, late] == [2_000, 500, 2_000])
  }

  @Test func keepalivePingsThenGivesUp() {
    var keepalive = Keepalive(interval: .seconds(10), timeout: .seconds(2))
    let second: UInt64 = 1_000_000_000
    let checks = [(4, 0), (10, 0), (11, 0), (12, 11), (21, 11), (23, 11)].map {
      keepalive.check(now: $0.0 * second, lastRead: $0.1 * second)
    }
    #expect(
      checks == [
        .wait(.seconds(6)), .ping(.seconds(2)), .wait(.seconds(1)), .wait(.seconds(9)),
        .ping(.seconds(2)), .dead,
      ])
  }

  /// The first call after a long rest is pinged for, and what was asked before a rest is not forgotten.
  @Test func keepaliveRestsWithoutCalls() {
    var keepalive = Keepalive(interval: .seconds(10), timeout: .seconds(2))
    let second: UInt64 = 1_000_000_000
    let checks = [(4, true), (10, true), (60, false), (61, true), (62, true)].map {
      keepalive.check(now: $0.0 * second, lastRead: 0, isIdle: $0.1)
    }
    #expect(
      checks == [.wait(.seconds(6)), .rest, .ping(.seconds(2)), .wait(.seconds(1)), .dead])
  }

  @Test func thirdStrikeEndsAndAnswersForgive() {
    var strikes = PingStrikes()
    let ends = [100, 110, 120, 130].map { strikes.ping(now: $0, minimum: 50) }
    strikes.reset()
    let later = [131, 500].map { strikes.ping(now: $0, minimum: 50) }
    #expect(ends == [false, false, false, true])
    #expect(later == [false, false])
  }
}
