import TestSupport
import Testing

@testable import Discovery

/// Servers that lie, loop, answer garbage or nothing.
@Suite struct V2RegistryTests {
  private static func answer(
    _ body: String, _ status: String = "200 OK", _ headers: String = "X-Etcd-Index: 7\r\n"
  ) -> [UInt8] {
    Array(
      "HTTP/1.1 \(status)\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
  }

  private static func size(_ value: String) -> [UInt8] {
    answer(#"{"action":"get","node":{"key":"/t/_config/size","value":"\#(value)"}}"#)
  }

  private static func roll(
    _ body: @escaping @Sendable (String) -> [UInt8]?
  ) throws(DiscoveryFailure) -> Result<Roll, RegistryProblem> {
    let server = RawServer(body)
    defer { server.close() }
    let registry = try V2Registry(url: "http://127.0.0.1:\(server.port)/t", proxy: "")
    do throws(RegistryProblem) { return .success(try registry.roll()) } catch {
      return .failure(error)
    }
  }

  @Test func aRollIsRead() throws {
    let found = try Self.roll { request in
      if request.hasPrefix("GET /t/_config/size?") { return Self.size("3") }
      guard request.hasPrefix("GET /t?") else { return nil }
      return Self.answer(
        #"{"action":"get","node":{"key":"/t","dir":true,"nodes":["#
          + #"{"key":"/t/_config","dir":true},"#
          + #"{"key":"/t/ab","value":"m=http://h:1","createdIndex":5}]}}"#)
    }
    #expect(
      try found.get()
        == Roll(
          size: "3", entries: [RegistryEntry(id: "ab", value: "m=http://h:1", index: 5)], index: 7))
  }

  @Test func answersThatAreNone() throws {
    for body in [
      "<html>welcome</html>", "", "[]", "{}", "null", #"{"node":5}"#,
      #"{"node":{"key":7,"nodes":"x"}}"#, String(repeating: "[", count: 100_000),
      String(repeating: #"{"node":"#, count: 10_000),
    ] {
      let found = try Self.roll { _ in Self.answer(body) }
      guard case .failure(.final) = found else {
        Issue.record("\(body.prefix(30)): \(found)")
        continue
      }
    }
  }

  @Test func refusalsKeepTheirWords() throws {
    let found = try Self.roll { _ in
      Self.answer(
        #"{"errorCode":100,"message":"Key not found","cause":"/t","index":9}"#, "404 Not Found")
    }
    #expect(found == .failure(.final(.other("100: Key not found (/t) [9]"))))
  }

  /// What may be better the next time.
  @Test func failuresOfTheServerAreTriedAgain() throws {
    let answers: [@Sendable (RawServer?) -> [UInt8]] = [
      { _ in Self.answer("no leader", "503 Service Unavailable") },
      { _ in Self.answer("", "307 Temporary Redirect", "Location: /t/_config/size\r\n") },
      { _ in Array("garbage\r\n\r\n".utf8) },
      { _ in [] },
      { _ in Array("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".utf8) },
      // Larger than any cluster.
      { _ in
        Array("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n".utf8)
          + [UInt8](repeating: 0x20, count: 5 << 20)
      },
    ]
    for (number, make) in answers.enumerated() {
      let found = try Self.roll { _ in make(nil) }
      guard case .failure(.away) = found else {
        Issue.record("\(number): \(found)")
        continue
      }
    }
  }

  /// One that takes the request and never answers has five seconds.
  @Test func aSilentServerIsGivenUp() throws {
    let start = ContinuousClock.now
    let found = try Self.roll { _ in nil }
    guard case .failure(.away) = found else {
      Issue.record("\(found)")
      return
    }
    #expect(start.duration(to: .now) < .seconds(15))
  }

  /// Waits that are answered at once with nothing, garbage or nobody new end, and say nobody.
  @Test func waitsThatAreAnsweredWithNothing() throws {
    for body in [
      "", #"{"action":"get","node":{"key":"/t/ab","value":"m=http://h:1","modifiedIndex":9}}"#,
      #"{"action":"create","node":{"key":"/t/_config","modifiedIndex":8}}"#,
      #"{"action":"delete","node":{"key":"/t/ab","modifiedIndex":18446744073709551615}}"#,
    ] {
      let server = RawServer { _ in Self.answer(body) }
      defer { server.close() }
      let registry = try V2Registry(url: "http://127.0.0.1:\(server.port)/t", proxy: "")
      let news = try registry.next(after: 7)
      #expect(news.entry == nil && news.index >= 7, "\(body): \(news)")
      // Whatever the index is, the next question can be asked.
      _ = try? registry.next(after: news.index)
    }
    let server = RawServer { _ in Self.answer("<html>") }
    defer { server.close() }
    let registry = try V2Registry(url: "http://127.0.0.1:\(server.port)/t", proxy: "")
    #expect(throws: RegistryProblem.self) { try registry.next(after: 7) }
  }

  @Test func redirectsDoNotLoop() throws {
    let own = LockedPort()
    let server = RawServer { _ in
      Self.answer(
        "", "307 Temporary Redirect",
        "Location: http://127.0.0.1:\(own.value)/t/_config/size\r\n")
    }
    own.value = server.port
    defer { server.close() }
    let registry = try V2Registry(url: "http://127.0.0.1:\(server.port)/t", proxy: "")
    let problem = #expect(throws: RegistryProblem.self) { try registry.roll() }
    guard case .away(_, let error, _)? = problem else {
      Issue.record("\(String(describing: problem))")
      return
    }
    #expect(error.contains("client: too many redirects"), "\(error)")
    #expect(server.asked.count == 11)
  }

  @Test func aPlainRequestGoesThroughTheProxyWhole() throws {
    let server = RawServer { _ in Self.answer("", "502 Bad Gateway") }
    defer { server.close() }
    let registry = try V2Registry(
      url: "http://discovery.test/token", proxy: "127.0.0.1:\(server.port)")
    _ = try? registry.roll()
    let request = try #require(server.asked.first)
    #expect(request.hasPrefix("GET http://discovery.test/token/_config/size?"), "\(request)")
    #expect(request.contains("Host: discovery.test\r\n"), "\(request)")
  }

  /// A secure one is reached through a tunnel, which the proxy of this test refuses in several ways.
  @Test func aSecureRequestAsksForATunnel() throws {
    for (answer, words) in [
      ("HTTP/1.1 403 Forbidden\r\n\r\n", "Forbidden"), ("nonsense\r\n\r\n", "nonsense"),
      ("HTTP/1.1 200 OK\r\n\r\nextra", "more than the head"),
      (String(repeating: "x", count: 20_000), "16384 bytes"), ("HTTP/1.1 200 OK\r\n", "EOF"),
    ] {
      let server = RawServer { _ in Array(answer.utf8) }
      defer { server.close() }
      let registry = try V2Registry(
        url: "https://discovery.test/token", proxy: "http://127.0.0.1:\(server.port)")
      let problem = #expect(throws: RegistryProblem.self) { try registry.roll() }
      guard case .away(_, let error, _)? = problem else {
        Issue.record("\(String(describing: problem))")
        continue
      }
      #expect(error.contains(words), "\(error)")
      #expect(server.asked.first?.hasPrefix("CONNECT discovery.test:443 HTTP/1.1\r\n") == true)
    }
  }

  @Test(arguments: ["", "x", "ftp://h/t", "http://", "http://[::1/t", "http:///t", "%zz"])
  func urlsThatAreNone(_ url: String) {
    #expect(throws: DiscoveryFailure.self) { try V2Registry(url: url, proxy: "") }
  }

  @Test(arguments: ["http://[::1", "ftp://h:1 2"])
  func proxiesThatAreNone(_ proxy: String) {
    #expect(throws: DiscoveryFailure.self) { try V2Registry(url: "http://h/t", proxy: proxy) }
  }
}

/// The port that a server tells of itself.
private final class LockedPort: @unchecked Sendable {
  // @unchecked: written before the server is asked.
  var value = 0
}
