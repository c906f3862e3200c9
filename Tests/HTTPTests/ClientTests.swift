import Bytes
import EventLoops
import HTTP
import TestSupport
import Testing

extension HTTPClient {
  func get(_ request: HTTPClientRequest) async throws -> (HTTPResponseHead, String) {
    try await withCheckedThrowingContinuation { done in
      send(request, limit: 100_000) { result in
        done.resume(with: result.map { ($0.head, $0.body.string) })
      }
    }
  }
}

/// Sends a large upload in pieces as the connection takes them and reports the answer.
private final class Uploader: HTTPResponseHandler {
  var left: Int
  var peak = 0
  let block = Bytes(repeatElement(1, count: 65_536))
  var call: HTTPClientCall?
  var answer: [UInt8] = []
  let done: CheckedContinuation<(String, Int), any Error>
  init(_ total: Int, _ done: CheckedContinuation<(String, Int), any Error>) {
    left = total
    self.done = done
  }
  func requestWritable() {
    guard let call else { return }
    while left > 0 && call.isWritable {
      call.write(block)
      left -= block.count
      peak = max(peak, call.channel?.pendingWriteBytes ?? 0)
    }
    if left <= 0 { call.finishBody() }
  }
  func responseHead(_ head: HTTPResponseHead) {}
  func responseData(_ bytes: Bytes) { answer += Array(bytes) }
  func responseEnded() {
    call = nil
    done.resume(returning: (String(decoding: answer, as: UTF8.self), peak))
  }
  func responseFailed(_ error: HTTPClientError) { done.resume(throwing: error) }
}

/// Counts a streamed body, pausing after each piece for a moment.
private final class SlowCounter: HTTPBodyConsumer {
  var count = 0
  let exchange: HTTPExchange
  init(_ exchange: HTTPExchange) { self.exchange = exchange }
  func bodyData(_ bytes: Bytes) {
    count += bytes.count
    guard count % 7 == 0 else { return }
    exchange.pauseBody()
    exchange.loop.schedule(after: .milliseconds(1)) { self.exchange.resumeBody() }
  }
  func bodyEnded() { exchange.respond(status: 200, body: Bytes("\(count)")) }
  func bodyFailed(_ error: HTTPBodyError) {}
}

/// What a client has dialled; confined to its loop.
private final class Dials {
  var origins: [HTTPOrigin] = []
}

@Suite struct ClientTests {
  @Test func connectionsAreKeptAndReplacedWhenStale() async throws {
    let texts = try await withLoop { loop in
      var limits = HTTPServerLimits()
      limits.idleTimeout = .milliseconds(600)
      let port = try serve(loop, limits) { exchange in
        exchange.respond(status: 200, body: Bytes("\(exchange.remoteAddress!.port!)"))
      }
      let client = HTTPClient(loop: loop)
      let request = HTTPClientRequest("GET", .tcp(host: "127.0.0.1", port: port), "/")
      var texts: [String] = []
      texts.append(try await client.get(request).1)
      texts.append(try await client.get(request).1)
      await withCheckedContinuation { done in
        loop.schedule(after: .milliseconds(1_200)) { done.resume() }
      }
      texts.append(try await client.get(request).1)
      client.close()
      return texts
    }
    #expect(texts[0] == texts[1])
    #expect(texts[0] != texts[2])
  }

  /// What was dialled without TLS must not carry a request that asked for it.
  @Test func originsWithAndWithoutTLSShareNothing() async throws {
    let dialled = try await withLoop { loop in
      let port = try serve(loop) { exchange in exchange.respond(status: 200, body: Bytes("x")) }
      let dialled = LoopConfined(Dials())
      let client = HTTPClient(loop: loop) { origin, loop, timeout, done in
        dialled.value.origins.append(origin)
        HTTPClient.dial(.plain)(HTTPOrigin(origin.endpoint), loop, timeout, done)
      }
      let endpoint = Connection.Endpoint.tcp(host: "127.0.0.1", port: port)
      for scheme in [HTTPOrigin.Scheme.http, .https, .http, .https] {
        let request = HTTPClientRequest("GET", HTTPOrigin(endpoint, scheme: scheme), "/")
        #expect(try await client.get(request).1 == "x")
      }
      client.close()
      return dialled.value.origins.map(\.description)
    }
    #expect(dialled.count == 2)
    #expect(dialled[0].replacing("http:", with: "https:") == dialled[1])
  }

  @Test func aPlainDialRefusesTLS() async throws {
    let text = try await withLoop { loop in
      let client = HTTPClient(loop: loop)
      let origin = HTTPOrigin(.tcp(host: "::1", port: 7), scheme: .https)
      let error = await #expect(throws: HTTPClientError.self) {
        try await client.get(HTTPClientRequest("GET", origin, "/"))
      }
      return error.map { "\($0)" }
    }
    #expect(text == "dial https://[::1]:7: no TLS policy was given for it")
  }

  @Test func largeUploadIsStreamedBothWays() async throws {
    let (answer, peak) = try await withLoop { loop in
      let port = try serve(loop) { exchange in exchange.streamBody(SlowCounter(exchange)) }
      let client = HTTPClient(loop: loop)
      defer { client.close() }
      return try await withCheckedThrowingContinuation { done in
        let uploader = Uploader(20 * 65_536 * 16, done)
        uploader.call = client.start(
          HTTPClientRequest(
            "POST", .tcp(host: "127.0.0.1", port: port), "/", body: .stream(length: nil)), uploader)
      }
    }
    #expect(answer == "\(20 * 65_536 * 16)")
    #expect(peak < 600_000)
  }

  @Test func streamedResponseArrivesPieceByPiece() async throws {
    let (head, text) = try await withLoop { loop in
      let port = try serve(loop) { exchange in
        exchange.startResponse(status: 200, headers: ["X-A": "b\r\nEvil: 1"])
        for index in 0..<5 {
          loop.schedule(after: .milliseconds(2 * index)) { exchange.write(Bytes("\(index)")) }
        }
        loop.schedule(after: .milliseconds(20)) { exchange.finish() }
      }
      let client = HTTPClient(loop: loop)
      defer { client.close() }
      return try await client.get(.init("GET", .tcp(host: "localhost", port: port), "/"))
    }
    #expect(text == "01234")
    #expect(head.headers["x-a"] == "b  Evil: 1" && head.headers["transfer-encoding"] == "chunked")
  }

  @Test func silentServerTimesOut() async throws {
    let text = try await withLoop { loop in
      let port = try serve(loop) { exchange in exchange.onDisconnect = { _ = exchange } }
      let client = HTTPClient(loop: loop)
      var request = HTTPClientRequest("GET", .tcp(host: "127.0.0.1", port: port), "/")
      request.headTimeout = .milliseconds(30)
      do { return try await client.get(request).1 } catch { return "\(error)" }
    }
    #expect(text.hasSuffix("awaiting response headers: i/o timeout"))
  }

  @Test func cutOffResponseIsAnError() async throws {
    let text = try await withLoop { loop in
      let port = try serve(loop) { exchange in
        exchange.startResponse(status: 200, headers: ["Content-Length": "10"])
        exchange.write("123")
        loop.schedule(after: .milliseconds(10)) { exchange.abort() }
      }
      let client = HTTPClient(loop: loop)
      do {
        return try await client.get(.init("GET", .tcp(host: "127.0.0.1", port: port), "/")).1
      } catch { return "error" }
    }
    #expect(text == "error")
  }
}
