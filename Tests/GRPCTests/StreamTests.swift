import Bytes
import Calls
import EventLoops
import GRPC
import Protobuf
import Synchronization
import TestSupport
import Testing

@Suite struct StreamTests {
  private static func echoRouter() -> CallRouter {
    var router = CallRouter()
    router.streaming("/t.S/Echo") { stream in
      stream.addTrailer("end", "yes")
      for try await message in stream.requests { try await stream.send(message) }
      return .ok
    }
    return router
  }

  @Test(arguments: [(1_000, 10), (40, 200_000)])
  func bidirectionalEcho(_ count: Int, _ size: Int) async throws {
    let (total, trailer) = try await withLoop { loop in
      let (_, client) = try await connect(loop, Self.echoRouter())
      let stream = try await client.stream("/t.S/Echo")
      async let sent: Void = {
        for index in 0..<count {
          try await stream.send(Bytes(repeatElement(UInt8(index & 255), count: size)))
        }
        stream.finish()
      }()
      var total = 0
      var index = 0
      while let message = try await stream.next() {
        #expect(message.first == UInt8(index & 255))
        total += message.count
        index += 1
      }
      try await sent
      return (total, try await stream.info().trailers["end"])
    }
    #expect(total == count * size)
    #expect(trailer == "yes")
  }

  /// From tasks that do not run on the loop.
  @Test func streamsWorkFromOtherExecutors() async throws {
    let loop = EventLoop(name: "test")
    loop.start()
    let (server, client) = try await withTaskExecutorPreference(loop) {
      try await connect(loop, Self.echoRouter())
    }
    let stream = try await client.stream("/t.S/Echo")
    try await stream.send("one")
    #expect(try await stream.next() == "one")
    stream.finish()
    #expect(try await stream.next() == nil)
    client.close()
    await server.shutDown(grace: .seconds(5))
    loop.stop()
  }

  @Test func thrownErrorsBecomeStatuses() async throws {
    let (first, second) = try await withLoop { loop in
      var router = CallRouter()
      router.streaming("/t.S/Throw") { stream in
        stream.addMetadata("k", "v")
        try await stream.send("one")
        throw GRPCStatus(.aborted, "why")
      }
      let (_, client) = try await connect(loop, router)
      let stream = try await client.stream("/t.S/Throw")
      let first = try await stream.next()
      return (first, await status { _ = try await stream.next() })
    }
    #expect(first == "one")
    #expect(second == GRPCStatus(.aborted, "why"))
  }

  @Test(arguments: ["cancel", "abort", "deadline"])
  func handlerTaskEndsWhenTheClientGoes(_ how: String) async throws {
    let ended = try await withLoop { loop in
      let (events, continuation) = AsyncStream.makeStream(of: String.self)
      var router = CallRouter()
      router.streaming("/t.S/Wait") { stream in
        continuation.yield("started")
        do {
          for try await _ in stream.requests {}
          continuation.yield("end of requests")
        } catch { continuation.yield("ended \(Task.isCancelled)") }
        return .ok
      }
      let (_, client) = try await connect(loop, router)
      let stream = try await client.stream(
        "/t.S/Wait", timeout: how == "deadline" ? .milliseconds(30) : nil)
      var iterator = events.makeAsyncIterator()
      _ = await iterator.next()
      if how == "cancel" { stream.cancel() }
      if how == "abort" { client.abort() }
      let event = await iterator.next()
      let got = await status { _ = try await stream.next() }
      #expect(got.code != .ok)
      return event
    }
    #expect(ended == "ended true")
  }

  /// The reader takes nothing: the sender is stopped by flow control, with bounded queues.
  @Test func unreadRequestsStopTheClient() async throws {
    let (sentWhileBlocked, received) = try await withLoop { loop in
      let (gate, open) = AsyncStream.makeStream(of: Void.self)
      let received = Mutex(0)
      var router = CallRouter()
      router.streaming("/t.S/Slow") { stream in
        var iterator = gate.makeAsyncIterator()
        await iterator.next()
        for try await message in stream.requests { received.withLock { $0 += message.count } }
        return .ok
      }
      let (_, client) = try await connect(loop, router)
      let stream = try await client.stream("/t.S/Slow")
      let sent = Mutex(0)
      let block = Bytes(repeatElement(1, count: 10_000))
      async let sending: Void = {
        for _ in 0..<1_000 {
          try await stream.send(block)
          sent.withLock { $0 += block.count }
        }
        stream.finish()
      }()
      await pause(loop, .milliseconds(200))
      let blocked = sent.withLock { $0 }
      open.yield()
      try await sending
      _ = try await stream.next()
      return (blocked, received.withLock { $0 })
    }
    #expect(sentWhileBlocked < 1_000_000)
    #expect(received == 10_000_000)
  }
}
