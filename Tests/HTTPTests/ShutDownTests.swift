import Bytes
import EventLoops
import HTTP
import TestSupport
import Testing

/// A server that ends gracefully.
@Suite struct ShutDownTests {
  private func listen(
    _ loop: EventLoop, _ connections: HTTPConnections,
    _ handler: @escaping @Sendable (HTTPExchange) -> Void
  ) throws -> Int {
    let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
      connection in
      connections.serve(connection, handler: handler)
      connection.start()
    }
    return listener.address.port ?? 0
  }

  private func until(_ loop: EventLoop, _ holds: @escaping @Sendable () -> Bool) async {
    while !holds() {
      await withCheckedContinuation { done in
        loop.execute { loop.schedule(after: .milliseconds(2)) { done.resume() } }
      }
    }
  }

  /// Who waits for nothing is let go; who waits for an answer gets it, and then the end.
  @Test func answersUnderWayAreFinished() async throws {
    let rest = " HTTP/1.1\r\nHost: a\r\n\r\n"
    let (idle, busy) = try await withLoop { loop in
      let connections = HTTPConnections()
      let port = try listen(loop, connections) { exchange in
        let time = exchange.request.path == "/slow" ? Duration.milliseconds(150) : .zero
        exchange.loop.schedule(after: time) { exchange.respond(status: 200, body: "whole") }
      }
      async let idle = exchange(loop, port, ["GET /fast" + rest])
      async let busy = exchange(loop, port, ["GET /slow" + rest, "GET /never" + rest])
      await until(loop) { connections.count == 2 }
      // The fast one is answered, the slow one asked.
      await withCheckedContinuation { done in
        loop.execute { loop.schedule(after: .milliseconds(60)) { done.resume() } }
      }
      await connections.shutDown(grace: .seconds(10))
      #expect(connections.count == 0)
      return try await (idle, busy)
    }
    #expect(idle.hasSuffix("whole") && !idle.contains("Connection: close"))
    #expect(busy.hasSuffix("whole") && busy.contains("Connection: close"))
    #expect(busy.split(separator: "HTTP/1.1 200").count == 1, "one answer: \(busy)")
  }

  @Test func whatDoesNotEndIsAborted() async throws {
    let answer = try await withLoop { loop in
      let connections = HTTPConnections()
      let port = try listen(loop, connections) { exchange in
        exchange.startResponse(status: 200)
        exchange.write("part")
      }
      async let answer = exchange(loop, port, ["GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
      await until(loop) { connections.count == 1 }
      await connections.shutDown(grace: .milliseconds(50))
      return try await answer
    }
    #expect(!answer.hasSuffix("0\r\n\r\n"))
  }
}
