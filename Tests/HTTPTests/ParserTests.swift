import Bytes
import TestSupport
import Testing

@testable import HTTP

@Suite struct ParserTests {
  /// Feeds parts through head and body parser; the body, or `nil` when more is needed.
  private func parse(_ parts: [Bytes]) throws -> (HTTPRequestHead, [UInt8])? {
    var accumulator = HeadAccumulator(HTTPHeadLimits())
    var head: HTTPRequestHead?
    var body: HTTPBodyDecoder?
    var content: [UInt8] = []
    for part in parts {
      var input = part
      if head == nil {
        guard let bytes = try accumulator.take(&input) else { continue }
        head = try HeadParser.request(bytes, HTTPHeadLimits())
        body = try HTTPBodyDecoder(request: head!)
      }
      while let event = try body!.next(&input) {
        guard case .data(let data) = event else { return (head!, content) }
        content += Array(data)
      }
    }
    return nil
  }

  private static let samples: [(String, String)] = [
    ("GET /v2/keys/a?wait=true HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n", ""),
    ("\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "hello"),
    (
      "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nT: v\r\n\r\n", "hello world"
    ),
  ]

  @Test(arguments: samples)
  func everySplitGivesTheSame(_ text: String, _ content: String) throws {
    let whole = Bytes(text)
    for cut in 0...whole.count {
      let result = try parse([whole[0..<cut], whole[cut..<whole.count]])
      #expect(result?.1 == Array(content.utf8))
    }
    let single = try parse((0..<whole.count).map { whole[$0..<($0 + 1)] })
    #expect(single?.1 == Array(content.utf8))
  }

  @Test(arguments: samples)
  func everyTruncationWaitsForMore(_ text: String, _ content: String) throws {
    let whole = Bytes(text)
    for cut in 0..<whole.count { #expect(try parse([whole[0..<cut]]) == nil) }
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\r\n\r\n", 400), ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505), ("GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
    ("G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: \u{1}\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
    (
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400
    ),
    ("GET /" + String(repeating: "a", count: 66_000) + " HTTP/1.1\r\n", 431),
    ("GET / HTTP/1.1\r\n" + String(repeating: "A: b\r\n", count: 101) + "\r\n", 431),
  ])
  func malformedRequestsAreRefused(_ text: String, _ status: Int) {
    #expect(throws: HTTPParseError.self) {
      do { _ = try parse([Bytes(text)]) } catch let error as HTTPParseError {
        #expect(error.status == status, "\(error)")
        throw error
      }
    }
  }

  /// No input may trap or loop; valid messages with random damage, cut at random places.
  @Test func fuzz() {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("ParserTests.fuzz seed \(seed)")
    var random = SeededGenerator(state: seed)
    var outcomes = [0, 0, 0]
    for _ in 0..<20_000 {
      var bytes = Array(Self.samples.randomElement(using: &random)!.0.utf8)
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] =
          [0x0d, 0x0a, 0x20, 0x3a, 0x30, 0xff, 0].randomElement(using: &random)!
      }
      let whole = Bytes(bytes)
      let cut = Int.random(in: 0...whole.count, using: &random)
      do {
        let result = try parse([whole[0..<cut], whole[cut..<whole.count]])
        outcomes[result == nil ? 0 : 1] += 1
      } catch { outcomes[2] += 1 }
    }
    #expect(outcomes.allSatisfy { $0 > 0 })
  }

  @Test func datesAreHTTPDates() {
    #expect(HTTPDate.format(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HTTPDate.format(-1) == "Thu, 01 Jan 1970 00:00:00 GMT")
  }
}
