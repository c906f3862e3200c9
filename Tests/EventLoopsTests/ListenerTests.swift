import EventLoops
import TestSupport
import Testing

@Suite struct ListenerTests {
  /// Several processes may share a port when all of them say so.
  @Test(arguments: ["127.0.0.1", "::1"]) func portsMayBeShared(_ host: String) async throws {
    let outcome = try await withLoop { loop in
      func listen(_ port: Int, shared: Bool) throws(ChannelError) -> Listener {
        try Listener(
          loop: loop, endpoint: .tcp(host: host, port: port), reusesPort: shared
        ) { _ in }
      }
      let first = try listen(0, shared: true)
      let port = try #require(first.address.port)
      let second = try listen(port, shared: true)
      let third: String
      do throws(ChannelError) {
        _ = try listen(port, shared: false)
        third = "no error"
      } catch { third = error.description }
      return (port > 0 && second.address.port == port, third)
    }
    #expect(outcome.0)
    #expect(outcome.1.hasSuffix("bind: address already in use"))
  }

  /// Connections to a paused listener are made by the kernel, and served in order once it starts.
  @Test func aPausedListenerLetsThemWait() async throws {
    let counts = try await withLoop { loop in
      nonisolated(unsafe) var accepted = 0
      let listener = try Listener(
        loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0), isPaused: true
      ) { connection in
        accepted += 1
        connection.abort()
      }
      let port = try #require(listener.address.port)
      var clients: [any ByteChannel] = []
      for _ in 0..<3 {
        let connected: Result<any ByteChannel, ChannelError> = await withCheckedContinuation {
          done in
          Connection.connect(
            to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
          ) { done.resume(returning: $0) }
        }
        clients.append(try connected.get())
      }
      let before = accepted
      listener.start()
      let deadline = loop.now + Duration.seconds(10).nanoseconds
      while accepted < 3, loop.now < deadline { try await Task.sleep(for: .milliseconds(1)) }
      for client in clients { client.abort() }
      return (before, accepted)
    }
    #expect(counts.0 == 0)
    #expect(counts.1 == 3)
  }
}
