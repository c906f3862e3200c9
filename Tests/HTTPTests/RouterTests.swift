import Bytes
import EventLoops
import HTTP
import TestSupport
import Testing

@Suite struct RouterTests {
  private static func router() -> HTTPRouter {
    var router = HTTPRouter()
    router.get("/health") { exchange, path in exchange.respond(status: 200, body: Bytes(path)) }
    router.post("/health/x") { exchange, _ in exchange.respond(status: 200) }
    router.add(nil, "/v2/keys/") { exchange, path in
      exchange.respond(status: 200, body: Bytes(path))
    }
    router.get("/v2/") { exchange, _ in exchange.respond(status: 200, body: "below v2") }
    router.get("/both") { exchange, _ in exchange.respond(status: 200, body: "get") }
    router.post("/both") { exchange, _ in exchange.respond(status: 200, body: "post") }
    return router
  }

  private func decide(_ method: String, _ target: String) -> String {
    switch Self.router().decide(HTTPRequestHead(method: method, target: target)) {
    case .serve(_, let path): "serve \(path)"
    case .redirect(let target): "301 \(target)"
    case .notFound: "404"
    case .notAllowed(let methods): "405 \(methods)"
    case .malformed: "400"
    }
  }

  @Test(arguments: [
    ("GET", "/health", "serve /health"), ("HEAD", "/health", "serve /health"),
    ("GET", "/%68ealth", "serve /health"), ("GET", "/health?a=//b", "serve /health"),
    ("GET", "http://x/health", "serve /health"), ("GET", "//health", "301 /health"),
    ("GET", "///health//?q=%2f&r", "301 /health/?q=%2f&r"), ("GET", "/health/", "404"),
    ("GET", "/a/../health", "301 /health"), ("GET", "/./health", "301 /health"),
    ("GET", "/../../..", "301 /"), ("GET", "/livez/", "404"), ("GET", "/", "404"),
    ("POST", "/health", "405 [\"GET\", \"HEAD\"]"), ("GET", "/health/x", "405 [\"POST\"]"),
    ("POST", "/both", "serve /both"), ("PUT", "/both", "405 [\"GET\", \"HEAD\", \"POST\"]"),
    ("GET", "/v2/keys", "serve /v2/keys"), ("DELETE", "/v2/keys/a/b", "serve /v2/keys/a/b"),
    ("PUT", "/v2/keys/toto%2ftiti", "serve /v2/keys/toto/titi"), ("GET", "/v2", "301 /v2/"),
    ("GET", "/v2/x", "serve /v2/x"), ("GET", "/v2/keys/a+b%20c", "serve /v2/keys/a+b c"),
    ("GET", "/v2//x y%3f", "301 /v2/x%20y%3F"), ("GET", "/%zz", "400"), ("GET", "/%4", "400"),
    ("GET", "/v2/keys/%ff%fe", "serve /v2/keys/\u{fffd}\u{fffd}"), ("OPTIONS", "*", "301 /%2A"),
  ])
  func everyTargetHasItsDecision(_ method: String, _ target: String, _ decision: String) {
    #expect(decide(method, target) == decision)
  }

  /// No target traps, and what the router redirects to is not redirected again.
  @Test func anyTargetIsDecidedAndRedirectsEnd() {
    var random = SeededGenerator.printed("RouterTests.anyTargetIsDecidedAndRedirectsEnd")
    let pieces = ["/", "//", ".", "..", "%2f", "%2e", "v2", "keys", "health", "%", "%6", "?", "é"]
    var redirects = 0
    for _ in 0..<5_000 {
      let target = (0..<Int.random(in: 0...6, using: &random)).map { _ in
        pieces.randomElement(using: &random)!
      }.joined()
      let first = decide("GET", target)
      guard first.hasPrefix("301 ") else { continue }
      redirects += 1
      let second = decide("GET", String(first.dropFirst(4)))
      // To the clean path, then perhaps to the folder.
      let third = second.hasPrefix("301 ") ? decide("GET", String(second.dropFirst(4))) : second
      #expect(!third.hasPrefix("301 "), "\(target) -> \(first) -> \(second) -> \(third)")
    }
    #expect(redirects > 500)
  }

  @Test func answersAreGos() async throws {
    let texts = try await withLoop { loop in
      let router = Self.router()
      let port = try serve(loop) { router.handle($0) }
      var texts: [String] = []
      for line in [
        "HEAD /health", "GET /nothing", "DELETE /health", "GET //health?<b>", "GET /%zz",
      ] {
        let text = "\(line) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        texts.append(try await exchange(loop, port, [text]))
      }
      return texts
    }
    #expect(texts[0].hasPrefix("HTTP/1.1 200 OK\r\n") && texts[0].hasSuffix("\r\n\r\n"))
    #expect(texts[0].contains("Content-Length: 7\r\n"))
    #expect(texts[1].hasPrefix("HTTP/1.1 404 Not Found\r\n"))
    #expect(texts[1].hasSuffix("\r\n\r\n404 page not found\n"))
    #expect(texts[1].contains("X-Content-Type-Options: nosniff\r\n"))
    #expect(texts[2].contains("Allow: GET, HEAD\r\n") && texts[2].hasSuffix("Method Not Allowed\n"))
    #expect(texts[3].contains("Location: /health?<b>\r\n"))
    #expect(texts[3].hasSuffix("<a href=\"/health?&lt;b&gt;\">Moved Permanently</a>.\n\n"))
    #expect(texts[4].hasPrefix("HTTP/1.1 400 "))
  }

  @Test(arguments: [
    ("gzip", true), ("deflate, GZIP;q=0.5", true), ("gzip;q=0", false), ("gzip; q=0.000", false),
    ("*", true), ("*;q=0", false), ("*, gzip;q=0", false), ("identity", false), ("", false),
    (";,;", false), ("xgzip", false),
  ])
  func gzipIsUsedWhereItIsAskedFor(_ accepted: String, _ isUsed: Bool) async throws {
    let text = try await withLoop { loop in
      let body = Bytes(repeatElement(UInt8(ascii: "a"), count: 10_000))
      let port = try serve(loop) { $0.respondCompressed(status: 200, body: body) }
      let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      return try await exchange(loop, port, [head + "Accept-Encoding: \(accepted)\r\n\r\n"])
    }
    #expect(text.contains("Content-Encoding: gzip\r\n") == isUsed)
    #expect((text.utf8.count < 1_000) == isUsed)
  }

  @Test func targetsAreDecoded() {
    #expect(URLCoding.decode("a%2Bb+c%00") == Bytes(Array("a+b+c\0".utf8)))
    #expect(URLCoding.decode("a%2Bb+c", plusIsSpace: true) == "a+b c")
    #expect(URLCoding.decode("%f") == nil && URLCoding.decode("%") == nil)
    #expect(URLCoding.encodePath("/a b/%?#é") == "/a%20b/%25%3F%23%C3%A9")
  }
}
