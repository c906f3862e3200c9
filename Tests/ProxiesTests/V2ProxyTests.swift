import EtcdConfig
import EventLoops
import Glibc
import GoText
import TestSupport
import Testing

@testable import Proxies

/// A v2 proxy in front of members that do what a test wants.
@Suite(.serialized) struct V2ProxyTests {
  private static func settings(
    _ change: (inout ServerConfig.Proxy) -> Void
  ) -> ServerConfig.Proxy {
    var settings = ServerConfig.Proxy()
    settings.mode = .on
    change(&settings)
    return settings
  }

  /// A proxy that knows members at these ports.
  private static func with(
    _ ports: [Int], _ settings: ServerConfig.Proxy = settings { _ in },
    _ body: (_ ask: (String) -> RawSocket) throws -> Void
  ) async throws {
    let scratch = Scratch()
    let peer = FakePeer(ports)
    var config = ServerConfig()
    config.dataDirectory = scratch.path
    config.proxy = settings
    let port = RawSocket.listening().port
    config.listenClientURLs = [ListenURL(scheme: .http, host: "127.0.0.1", port: port)]
    let proxy = try V2ProxyStart(config, logger: .disabled).run { _, _ in [peer.url] }
    let result = Result {
      try body { text in
        let client = RawSocket.connected(to: port)
        client.send(text.replacing("\n", with: "\r\n"))
        return client
      }
    }
    await proxy.stop()
    peer.close()
    try result.get()
  }

  private static let get = "GET /v2/keys/k HTTP/1.1\nHost: etcd\n\n"

  /// The whole answer, once the connection closes or all of it is there.
  private static func answer(_ client: RawSocket) -> String {
    client.endOutput()
    return String(decoding: client.receiveAll().bytes, as: UTF8.self)
  }

  /// The answer as far as it comes, until it has some text.
  private static func read(_ client: RawSocket, until text: String) -> String {
    var all = ""
    while !all.contains(text), let more = client.receive().text { all += more }
    return all
  }

  private static func deadPort() -> Int { RawSocket.listening().port }

  /// A member that answers every request.
  private static func answering(_ listener: RawSocket, _ count: Int = 1, _ body: String = "ok") {
    TestThread {
      for _ in 0..<count {
        guard let client = listener.acceptedInTime() else { return }
        guard case .bytes = client.receive() else { continue }
        client.send(
          "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
            + body)
      }
    }.start()
  }

  @Test func theNextIsAskedAndTheDeadOneIsLeftOut() async throws {
    let (listener, dead) = (RawSocket.listening(), Self.deadPort())
    Self.answering(listener, 20)
    try await Self.with([dead, listener.port], Self.settings { $0.failureWait = .seconds(60) }) {
      ask in
      let configuration = "GET /v2/config/local/proxy HTTP/1.1\nHost: e\n\n"
      let alone = #"{"endpoints":["http://127.0.0.1:\#(listener.port)"]}"#
      // The order is by chance of each start: until the dead one was first.
      for _ in 0..<3 {
        #expect(Self.read(ask(Self.get), until: "ok").hasPrefix("HTTP/1.1 200 OK\r\n"))
      }
      let text = Self.read(ask(configuration), until: "]}")
      #expect(text.contains(alone) || text.contains("\(dead)"))
    }
  }

  @Test func noMembersAndDeadOnesAreTold() async throws {
    try await Self.with([]) { ask in
      let text = Self.read(ask(Self.get), until: "}")
      #expect(text.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
      #expect(text.contains("Content-Type: application/json\r\n"))
      #expect(text.hasSuffix(#"{"message":"httpproxy: zero endpoints currently available"}"#))
    }
    try await Self.with(
      [Self.deadPort(), Self.deadPort()], Self.settings { $0.failureWait = .milliseconds(200) }
    ) { ask in
      let text = Self.read(ask(Self.get), until: "}")
      #expect(text.hasPrefix("HTTP/1.1 502 Bad Gateway\r\n"))
      #expect(
        text.hasSuffix(#"{"message":"httpproxy: unable to get response from 2 endpoint(s)"}"#))
      #expect(Self.read(ask(Self.get), until: "}").contains("zero endpoints"))
      // Nobody asks during the wait: whoever is asked alone is left out anew, and the two come back by turns.
      let late = ContinuousClock.now + .seconds(10)
      var again = ""
      repeat {
        usleep(250_000)
        again = Self.read(ask(Self.get), until: "}")
      } while !again.contains("from 2 endpoint(s)") && ContinuousClock.now < late
      #expect(again.contains("from 2 endpoint(s)"), "both come back after the wait")
    }
  }

  @Test(arguments: ["garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ""])
  func whatIsNoAnswerCountsAsNone(_ garbage: String) async throws {
    let listener = RawSocket.listening()
    TestThread {
      let client = listener.acceptedInTime()
      _ = client?.receive()
      client?.send(garbage)
    }.start()
    try await Self.with([listener.port]) { ask in
      #expect(Self.read(ask(Self.get), until: "}").hasPrefix("HTTP/1.1 502 "))
    }
  }

  /// What comes is handed on as it comes, and one that breaks off is seen to.
  @Test func streamsAreNotHeldBackAndBreakWhereTheMemberBreaks() async throws {
    let listener = RawSocket.listening()
    try await Self.with([listener.port]) { ask in
      let client = ask("GET /v2/keys/k?wait=true HTTP/1.1\nHost: e\n\n")
      var member: RawSocket? = listener.accepted()
      _ = member?.receive()
      member?.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      #expect(Self.read(client, until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
      member?.send("5\r\nfirst\r\n")
      #expect(Self.read(client, until: "first\r\n") == "5\r\nfirst\r\n")
      member?.send("6\r\nsec")
      #expect(Self.read(client, until: "sec").contains("sec"))
      member?.breakAtEnd()
      member = nil
      let rest = client.receiveAll()
      #expect(!String(decoding: rest.bytes, as: UTF8.self).contains("0\r\n\r\n"))
    }
  }

  @Test func whoeverLeavesTakesTheRequestAlong() async throws {
    let listener = RawSocket.listening()
    try await Self.with([listener.port]) { ask in
      var client: RawSocket? = ask("GET /v2/keys/k?wait=true HTTP/1.1\nHost: e\n\n")
      let member = listener.accepted()
      #expect(member.receive().text?.hasPrefix("GET /v2/keys/k?wait=true HTTP/1.1\r\n") == true)
      client?.endOutput()
      client = nil
      #expect(member.receive() != .silence)
    }
  }

  @Test func aMemberHasItsTime() async throws {
    let listener = RawSocket.listening()
    try await Self.with([listener.port], Self.settings { $0.readTimeout = .milliseconds(200) }) {
      ask in
      let client = ask(Self.get)
      let member = listener.accepted()
      #expect(Self.read(client, until: "}").hasPrefix("HTTP/1.1 502 "))
      _ = member
    }
    try await Self.with([listener.port], Self.settings { $0.writeTimeout = .milliseconds(200) }) {
      ask in
      let client = ask("PUT /v2/keys/k HTTP/1.1\nHost: e\nContent-Length: 16000000\n\n")
      #expect(client.send([UInt8](repeating: 97, count: 16_000_000)))
      let member = listener.accepted()
      #expect(Self.read(client, until: "}").hasPrefix("HTTP/1.1 502 "))
      _ = member
    }
  }

  @Test func bodiesAreBounded() async throws {
    let listener = RawSocket.listening()
    try await Self.with([listener.port]) { ask in
      let client = ask(
        "PUT /v2/keys/k HTTP/1.1\nHost: e\nContent-Length: \(V2Proxy.bodyBytesMax + 1)\n\n")
      let text = Self.read(client, until: "}")
      #expect(text.hasPrefix("HTTP/1.1 413 "))
      #expect(
        text.hasSuffix(
          #"{"message":"httpproxy: failed to read request body: http: request body too large"}"#))
    }
  }

  @Test func membersSeeWhoAsks() async throws {
    let listener = RawSocket.listening()
    try await Self.with([listener.port]) { ask in
      let client = ask(
        "PUT /v2/keys/k HTTP/1.1\nHost: etcd.example.com\nX-Forwarded-For: 1.2.3.4\n"
          + "Connection: close\nContent-Length: 7\n\nvalue=1")
      let member = listener.accepted()
      let text = Self.read(member, until: "value=1")
      #expect(text.hasPrefix("PUT /v2/keys/k HTTP/1.1\r\nHost: etcd.example.com\r\n"))
      #expect(text.contains("X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n"))
      #expect(!text.contains("Connection:") && text.hasSuffix("\r\n\r\nvalue=1"))
      member.send("HTTP/1.1 204 No Content\r\nKeep-Alive: 5\r\nX-Etcd-Index: 7\r\n\r\n")
      let answer = Self.answer(client)
      #expect(answer.contains("X-Etcd-Index: 7\r\n") && !answer.contains("Keep-Alive"))
    }
  }

  @Test func aReadonlyProxyHandsOnlyGETsOn() async throws {
    let listener = RawSocket.listening()
    Self.answering(listener)
    try await Self.with([listener.port], Self.settings { $0.mode = .readonly }) { ask in
      for method in ["PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
        let text = Self.answer(ask("\(method) /v2/keys/k HTTP/1.1\nHost: e\n\n"))
        #expect(text.hasPrefix("HTTP/1.1 501 Not Implemented\r\n"), "\(method)")
      }
      #expect(Self.read(ask(Self.get), until: "ok").hasSuffix("ok"))
      #expect(
        Self.answer(ask("HEAD /metrics HTTP/1.1\nHost: e\n\n")).hasPrefix("HTTP/1.1 200 OK\r\n"))
    }
  }

  @Test func metricsHaveEtcdsNames() async throws {
    let listener = RawSocket.listening()
    Self.answering(listener)
    try await Self.with([listener.port]) { ask in
      #expect(Self.read(ask(Self.get), until: "ok").hasSuffix("ok"))
      let brewing = ask("BREW /x HTTP/1.1\nHost: e\n\n")
      _ = listener.accepted()
      #expect(Self.read(brewing, until: "}").hasPrefix("HTTP/1.1 502 "))
      let page = Self.answer(ask("GET /metrics HTTP/1.1\nHost: e\nConnection: close\n\n"))
      #expect(page.contains("\netcd_proxy_requests_total{method=\"GET\"} 1\n"))
      #expect(page.contains("\netcd_proxy_requests_total{method=\"other\"} 1\n"))
      #expect(page.contains("\netcd_proxy_handled_total{code=\"200\",method=\"GET\"} 1\n"))
      #expect(
        page.contains(
          "\netcd_proxy_handling_duration_seconds_bucket{method=\"GET\",le=\"2.048\"} 1\n"))
      #expect(page.contains("\nprocess_open_fds "))
    }
  }
}
