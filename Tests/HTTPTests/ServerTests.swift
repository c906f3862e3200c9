import Bytes
import EventLoops
import HTTP
import TestSupport
import Testing

/// Starts a server for `handler` on a free port.
func serve(
  _ loop: EventLoop, _ limits: HTTPServerLimits = .init(),
  _ handler: @escaping @Sendable (HTTPExchange) -> Void
) throws -> Int {
  let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
    connection in
    ProtocolSniffer.begin(on: connection, deadline: limits.headTimeout) { isHTTP2, initial in
      guard !isHTTP2 else { return connection.abort() }
      _ = HTTP1ServerConnection(
        channel: connection, limits: limits, initial: initial, handler: handler)
    }
    connection.start()
  }
  return listener.address.port!
}

/// A raw client that sends text and gathers everything until the connection ends.
final class RawClient: ByteChannelHandler, @unchecked Sendable {
  // @unchecked: confined to the loop of its connection.
  private var received: [UInt8] = []
  private let done: CheckedContinuation<String, Never>
  private let connection: any ByteChannel

  init(_ connection: any ByteChannel, _ done: CheckedContinuation<String, Never>) {
    self.connection = connection
    self.done = done
  }
  func channelRead(_ bytes: Bytes) { received += Array(bytes) }
  func channelReadEnded() { connection.closeAfterFlush() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) {
    done.resume(returning: String(decoding: received, as: UTF8.self))
  }
}

func connect(_ loop: EventLoop, _ port: Int) async throws -> any ByteChannel {
  try await withCheckedThrowingContinuation { done in
    Connection.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)) {
      done.resume(with: $0)
    }
  }
}

/// What the server answers to raw text until it closes the connection.
func exchange(_ loop: EventLoop, _ port: Int, _ parts: [String]) async throws -> String {
  let connection = try await connect(loop, port)
  return await withCheckedContinuation { done in
    connection.handler = RawClient(connection, done)
    connection.start()
    for (index, part) in parts.enumerated() {
      loop.schedule(after: .milliseconds(2 * index)) { connection.write(Bytes(part)) }
    }
  }
}

/// Answers with method, path and collected body.
@Sendable func echo(_ exchange: HTTPExchange) {
  exchange.collectBody(limit: 1000) { result in
    switch result {
    case .success(let body):
      exchange.respond(
        status: 200,
        body: Bytes("\(exchange.request.method) \(exchange.request.path) \(body.string)"))
    case .failure(let error): exchange.respond(status: 413, body: Bytes("\(error)"))
    }
  }
}

@Suite struct ServerTests {
  @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
    let text = try await withLoop { loop in
      let port = try serve(loop, .init(), echo)
      return try await exchange(
        loop, port,
        [
          "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
          "cHEAD /3 HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ])
    }
    let bodies = text.components("\r\n\r\n")
    #expect(bodies.count == 5, "\(text)")
    #expect(bodies[1].hasPrefix("GET /1 HTTP/1.1 200 OK\r\n"), "\(text)")
    #expect(bodies[2].hasPrefix("POST /2 abcHTTP/1.1 200 OK\r\n"))
    #expect(bodies[3].hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(bodies[4] == "GET /4 ")
    #expect(text.contains("Content-Length: 8\r\n") && text.contains("Connection: close\r\n"))
  }

  @Test func continueIsSentOnlyWhenTheBodyIsWanted() async throws {
    let (wanted, refused) = try await withLoop { loop in
      let port = try serve(loop) { exchange in
        if exchange.request.path == "/no" { exchange.respond(status: 403) } else { echo(exchange) }
      }
      let head = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
      return (
        try await HTTPTests.exchange(
          loop, port, ["PUT /yes \(head)Connection: close\r\n\r\n", "", "", "", "hi"]),
        try await HTTPTests.exchange(loop, port, ["PUT /no \(head)\r\n"])
      )
    }
    #expect(wanted.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"))
    #expect(wanted.hasSuffix("PUT /yes hi"))
    #expect(refused.hasPrefix("HTTP/1.1 403"))
  }

  @Test func bodyLimitIsEnforced() async throws {
    let text = try await withLoop { loop in
      let port = try serve(loop, .init(), echo)
      return try await exchange(
        loop, port,
        [
          "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "3e9\r\n" + String(repeating: "x", count: 1001) + "\r\n0\r\n\r\n"
        ])
    }
    #expect(text.hasPrefix("HTTP/1.1 413") && text.hasSuffix("request body too large"))
  }

  @Test func slowHeadIsCutOff() async throws {
    var limits = HTTPServerLimits()
    limits.headTimeout = .milliseconds(300)
    let (slow, silent) = try await withLoop { [limits] loop in
      let port = try serve(loop, limits, echo)
      return (
        try await exchange(loop, port, ["GET / HTTP/1.1\r\n"] + (0..<1000).map { "A\($0): b\r\n" }),
        try await exchange(loop, port, [])
      )
    }
    #expect(slow.hasPrefix("HTTP/1.1 408") || slow.hasPrefix("HTTP/1.1 431"))
    #expect(silent == "")
  }

  @Test func malformedRequestGets400() async throws {
    let text = try await withLoop { loop in
      try await exchange(loop, try serve(loop, .init(), echo), ["nonsense\r\n\r\n"])
    }
    #expect(text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
  }

  @Test func disconnectIsReportedToAWaitingHandler() async throws {
    let seen = try await withLoop { loop in
      let (stream, continuation) = AsyncStream.makeStream(of: Bool.self)
      let port = try serve(loop) { exchange in
        exchange.onDisconnect = { continuation.yield(true) }
        exchange.startResponse(status: 200)
        exchange.write("first")
      }
      let connection = try await connect(loop, port)
      connection.start()
      connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      loop.schedule(after: .milliseconds(10)) { connection.abort() }
      var iterator = stream.makeAsyncIterator()
      return await iterator.next()
    }
    #expect(seen == true)
  }
}

extension String {
  func components(_ separator: String) -> [String] {
    var parts: [String] = [""]
    var rest = Array(utf8)[...]
    let mark = Array(separator.utf8)
    var current: [UInt8] = []
    parts = []
    while !rest.isEmpty {
      if rest.starts(with: mark) {
        parts.append(String(decoding: current, as: UTF8.self))
        current = []
        rest = rest.dropFirst(mark.count)
      } else {
        current.append(rest.removeFirst())
      }
    }
    parts.append(String(decoding: current, as: UTF8.self))
    return parts
  }
}
