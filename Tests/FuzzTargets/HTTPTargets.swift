import Bytes

@testable import HTTP

extension FuzzTarget {
  static let http: [FuzzTarget] = [
    FuzzTarget("http-request", seeds: ["\u{7}GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"]) { bytes in
      heads(bytes) { head, rest in
        guard let request = try? HeadParser.request(head, .init()),
          let decoder = try? HTTPBodyDecoder(request: request)
        else { return }
        body(decoder, rest)
      }
    },
    FuzzTarget(
      "http-response",
      seeds: ["\u{7}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"]
    ) {
      heads($0) { head, rest in
        guard let response = try? HeadParser.response(head, .init()),
          let decoder = try? HTTPBodyDecoder(response: response, method: "GET")
        else { return }
        body(decoder, rest)
      }
    },
    FuzzTarget("http-fields", seeds: ["text/html; charset=utf-8", "a=b&c=%20"]) { bytes in
      _ = try? HTTPMediaType(bytes.string)
      _ = try? HTTPForm(form: bytes, query: bytes.string)
      _ = URLCoding.decode(bytes.string)
      _ = URLCoding.decode(bytes.string, plusIsSpace: true)
    },
  ]

  /// A head that comes in pieces, and what follows it.
  private static func heads(_ bytes: Bytes, _ then: (Bytes, [Bytes]) -> Void) {
    var accumulator = HeadAccumulator(.init())
    var left = pieces(bytes)[...]
    while var input = left.popFirst() {
      guard let head = try? accumulator.take(&input) else { continue }
      return then(head, [input] + left)
    }
  }

  private static func body(_ decoder: HTTPBodyDecoder, _ pieces: [Bytes]) {
    var decoder = decoder
    for piece in pieces {
      var input = piece
      do {
        while let event = try decoder.next(&input), event != .end {}
      } catch { return }
    }
    _ = try? decoder.inputEnded()
  }
}
