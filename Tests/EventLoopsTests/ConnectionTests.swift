import Bytes
import EventLoops
import TestSupport
import Testing

/// Collects what a channel tells it; confined to the loop.
final class Recorder: ByteChannelHandler, @unchecked Sendable {
  // @unchecked: confined to the loop of its channel.
  var received: [UInt8] = []
  var count = 0
  var keepsBytes = true
  var ended = false
  var writable = 0
  var closed: ChannelError??
  var onEvent: (Recorder) -> Void = { _ in }
  var echo: (any ByteChannel)?
  var keep: [Bytes] = []

  func channelRead(_ bytes: Bytes) {
    count += bytes.count
    if keepsBytes {
      received.append(contentsOf: bytes)
      keep.append(bytes)
    }
    echo?.write(bytes)
    onEvent(self)
  }
  func channelReadEnded() {
    ended = true
    echo?.closeAfterFlush()
    onEvent(self)
  }
  func channelWritable() {
    writable += 1
    onEvent(self)
  }
  func channelClosed(_ error: ChannelError?) {
    closed = .some(error)
    echo = nil
    onEvent(self)
  }
}

@Suite struct ConnectionTests {
  @Test(arguments: ["127.0.0.1", "::1", "localhost", ""])
  func echoOverTCP(_ host: String) async throws {
    let text = try await withLoop { loop in try await roundTrip(loop, .tcp(host: host, port: 0)) }
    #expect(text == "hello, world")
  }

  @Test func echoOverUnixSocket() async throws {
    let path = "/tmp/runtime-test-\(UInt64.random(in: 0...UInt64.max)).sock"
    let text = try await withLoop { loop in try await roundTrip(loop, .unix(path: path)) }
    #expect(text == "hello, world")
  }

  @Test func connectionsMoveToOtherLoops() async throws {
    let other = EventLoop(name: "other")
    other.start()
    let text = try await withLoop { loop in
      try await roundTrip(loop, .tcp(host: "127.0.0.1", port: 0), targets: [other])
    }
    #expect(text == "hello, world")
    await offLoop { other.stop() }
  }

  @Test func takenPortIsAClearError() async throws {
    let error = try await withLoop { loop in
      let first = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) { _ in }
      do throws(ChannelError) {
        _ = try Listener(
          loop: loop, endpoint: .tcp(host: "127.0.0.1", port: first.address.port!)
        ) { _ in }
        return "no error"
      } catch { return error.description }
    }
    #expect(error.hasSuffix("bind: address already in use"))
  }

  @Test func refusedConnectionIsAnError() async throws {
    let error = try await withLoop { loop in
      let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) { _ in }
      let port = listener.address.port!
      listener.close()
      let result = await withCheckedContinuation { done in
        Connection.connect(
          to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
        ) { done.resume(returning: $0.map { _ in () }) }
      }
      guard case .failure(let error) = result else { return "connected" }
      return error.description
    }
    #expect(error.contains("connection refused"))
  }

  /// A reader that stops makes the writer's queue grow to its limit and no further; when it reads
  /// again the writer is told.
  @Test func watermarksStopAndRestartTheWriter() async throws {
    let (peak, total) = try await withLoop { loop in
      try await withCheckedThrowingContinuation {
        (done: CheckedContinuation<(Int, Int), any Error>) in
        loop.execute { writeUntilBlocked(loop, done) }
      }
    }
    #expect(total >= 20_000_000)
    #expect(peak <= Watermarks.standard.high + 65_536)
  }
}

/// Writes 20 MB to a reader that sleeps at first; reports the peak queue and what was read.
private func writeUntilBlocked(
  _ loop: EventLoop, _ done: CheckedContinuation<(Int, Int), any Error>
) {
  let block = Bytes(repeatElement(7, count: 65_536))
  nonisolated(unsafe) var peak = 0
  nonisolated(unsafe) var sent = 0
  nonisolated(unsafe) var read = 0
  let listener = try? Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) { server in
    let recorder = Recorder()
    server.handler = recorder
    let pump: (Recorder) -> Void = { _ in
      while server.isWritable && sent < 20_000_000 {
        server.write(block)
        sent += block.count
        peak = max(peak, server.pendingWriteBytes)
      }
      if sent >= 20_000_000 { server.closeAfterFlush() }
    }
    recorder.onEvent = pump
    server.start()
    pump(recorder)
  }
  guard let port = listener?.address.port else { return }
  Connection.connect(
    to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
  ) { result in
    guard let client = try? result.get() else { return }
    let recorder = Recorder()
    recorder.keepsBytes = false
    recorder.onEvent = { recorder in
      read = recorder.count
      if recorder.ended && !client.isClosed {
        client.abort()
        done.resume(returning: (peak, read))
      }
    }
    client.handler = recorder
    client.pauseReading()
    client.start()
    loop.schedule(after: .milliseconds(50)) { client.resumeReading() }
  }
}

/// Sends "hello, " and "world" to an echo server and returns what came back until the end.
private func roundTrip(
  _ loop: EventLoop, _ endpoint: Listener.Endpoint, targets: [EventLoop] = []
) async throws -> String {
  let listener = try Listener(loop: loop, endpoint: endpoint, targets: targets) { connection in
    let recorder = Recorder()
    recorder.echo = connection
    connection.handler = recorder
    connection.start()
  }
  var target = endpoint
  if case .tcp(let host, _) = endpoint { target = .tcp(host: host, port: listener.address.port!) }
  let client = try await withCheckedThrowingContinuation { done in
    Connection.connect(to: target, loop: loop, timeout: .seconds(5)) { done.resume(with: $0) }
  }
  return await withCheckedContinuation { done in
    let recorder = Recorder()
    recorder.onEvent = { recorder in
      if recorder.received.count == 12 && !client.isClosed {
        client.closeAfterFlush()
      }
      if recorder.closed != nil {
        done.resume(returning: String(decoding: recorder.received, as: UTF8.self))
      }
    }
    client.handler = recorder
    client.start()
    client.write("hello, ")
    client.write(["wor", "ld"])
  }
}
