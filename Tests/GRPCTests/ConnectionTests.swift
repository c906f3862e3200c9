import Bytes
import Calls
import EventLoops
import HTTP
import Protobuf
import Synchronization
import TestSupport
import Testing

@testable import GRPC

@Suite struct ConnectionTests {
  private static func echoRouter() -> CallRouter {
    var router = CallRouter()
    router.unary("/t.S/Echo") { call, request in call.respond(.bytes(request)) }
    return router
  }

  /// 100 MB pulled for a peer with open windows that stops reading: what is fetched is bounded by
  /// our queue and the system's buffers; when it reads again everything arrives.
  @Test func slowReaderNeverFillsMemory() async throws {
    let total = 100_000_000
    let (fetchedWhileStopped, peak, received) = try await withLoop { loop in
      let fetched = Mutex(0)
      let peak = Mutex(0)
      let block = Bytes(repeatElement(3, count: 65_536))
      var router = CallRouter()
      router.unary("/t.S/Huge") { call, _ in
        let channel = (call.origin as? ServerCall)?.connection?.channel
        call.respond(
          .pull(length: total) { most in
            let size = min(most, block.count)
            fetched.withLock { $0 += size }
            peak.withLock { $0 = max($0, channel?.pendingWriteBytes ?? 0) }
            return block[0..<size]
          })
      }
      let server = GRPCServer(router)
      let client = try await RawClient(loop, try listen(loop, server))
      client.keeps = false
      client.connection.pauseReading()
      client.send(
        Frames.preface + Frames.openWindows + Frames.request(1, "/t.S/Huge")
          + Frames.message(1, "x"))
      // Until nothing more is fetched for a while.
      var last = -1
      while fetched.withLock({ $0 }) != last || last == 0 {
        last = fetched.withLock { $0 }
        await pause(loop, .milliseconds(50))
      }
      client.connection.resumeReading()
      await client.wait { $0.count > total }
      client.connection.abort()
      return (last, peak.withLock { $0 }, client.count)
    }
    #expect(fetchedWhileStopped < 20_000_000)
    #expect(peak <= 400_000)
    #expect(received > total)
  }

  @Test func drainLetsRunningCallsEnd() async throws {
    let (reply, refused, count) = try await withLoop { loop in
      let (events, continuation) = AsyncStream.makeStream(of: Void.self)
      var router = CallRouter()
      router.unary("/t.S/Slow") { call, request in
        continuation.yield()
        call.loop.schedule(after: .milliseconds(100)) { call.respond(.bytes(request)) }
      }
      let (server, client) = try await connect(loop, router)
      async let reply = client.unary("/t.S/Slow", "x").message
      var iterator = events.makeAsyncIterator()
      await iterator.next()
      async let drained: Void = server.shutDown(grace: .seconds(10))
      await pause(loop, .milliseconds(30))
      let refused = await status { _ = try await client.unary("/t.S/Slow", "y") }
      let text = try await reply
      await drained
      return (text, refused, server.connectionCount)
    }
    #expect(reply == "x")
    #expect(refused.code == .unavailable)
    #expect(count == 0)
  }

  @Test func drainAbortsWhatDoesNotEnd() async throws {
    let got = try await withLoop { loop in
      let (events, continuation) = AsyncStream.makeStream(of: Void.self)
      var router = CallRouter()
      router.unary("/t.S/Never") { call, _ in
        continuation.yield()
        call.onCancel { continuation.yield() }
      }
      let (server, client) = try await connect(loop, router)
      async let got = status { _ = try await client.unary("/t.S/Never", "x") }
      var iterator = events.makeAsyncIterator()
      await iterator.next()
      await server.shutDown(grace: .milliseconds(50))
      await iterator.next()
      return await got
    }
    #expect(got.code == .unavailable)
  }

  @Test func pingFloodIsToldToCalmDown() async throws {
    let isTold = try await withLoop { loop in
      let client = try await RawClient(loop, try listen(loop, GRPCServer(Self.echoRouter())))
      client.send(Frames.preface + Frames.settings)
      for _ in 0..<5 { client.send(Frames.ping) }
      await client.waitForClose()
      return client.contains("too_many_pings")
    }
    #expect(isTold)
  }

  /// "MadeYouReset": the client never resets a stream, it makes the server do so, here by a window beyond 2^31.
  @Test func provokedResetsAreCounted() async throws {
    let (isClosed, isTold, served) = try await withLoop { loop in
      let served = Mutex(0)
      var router = CallRouter()
      router.unary("/t.S/Never") { _, _ in served.withLock { $0 += 1 } }
      let client = try await RawClient(loop, try listen(loop, GRPCServer(router)))
      client.send(Frames.preface + Frames.settings)
      for block in 0..<10 where !client.isClosed {
        var bytes: [UInt8] = []
        for index in 0..<1_000 {
          let id = UInt32(2 * (block * 1_000 + index) + 1)
          bytes +=
            Frames.request(id, "/t.S/Never") + Frames.message(id, "")
            + Frames.frame(8, 0, id, Frames.word(0x7fff_ffff))
        }
        client.send(bytes)
      }
      await client.waitForClose()
      return (client.isClosed, client.contains("too_many_resets"), served.withLock { $0 })
    }
    #expect(isClosed)
    #expect(isTold)
    #expect(served < 6_000)
  }

  /// Streams that end in a flood are noted for the keeper of memory: nine megabytes here.
  @Test func aFloodOfStreamsIsNotedWhenItEnds() async throws {
    let (before, after) = try await withLoop { loop in
      let server = GRPCServer(Self.echoRouter())
      let client = try await RawClient(loop, try listen(loop, server))
      client.send(Frames.preface + Frames.settings)
      for block in 0..<20 {
        var bytes: [UInt8] = []
        for index in 0..<500 {
          bytes += Frames.request(UInt32(2 * (block * 500 + index) + 1), "/t.S/Echo")
        }
        client.send(bytes)
      }
      // The ping's answer says that all was seen.
      client.send(Frames.ping)
      await client.wait { $0.received.suffix(8).elementsEqual(repeatElement(9, count: 8)) }
      let before = notedFreedMemory
      client.connection.abort()
      for _ in 0..<200 where server.connectionCount > 0 { await pause(loop, .milliseconds(10)) }
      return (before, notedFreedMemory)
    }
    #expect(after - before >= 2 * 4_096 * 900)
  }

  /// A connection that brings hundreds of calls at once shares the turn: a call of another one that came later
  /// is served before the last of them.
  @Test func oneConnectionDoesNotFillATurn() async throws {
    let (before, after) = try await withLoop { loop in
      let served = Mutex(0)
      let (others, note) = AsyncStream.makeStream(of: Int.self)
      let (all, end) = AsyncStream.makeStream(of: Int.self)
      var router = CallRouter()
      router.unary("/t.S/Slow") { call, request in
        let begin = ContinuousClock.now
        while ContinuousClock.now - begin < .microseconds(300) {}
        call.respond(.bytes(request))
        let count = served.withLock { served in
          served += 1
          return served
        }
        if count == 600 { end.yield(count) }
      }
      router.unary("/t.S/Other") { call, request in
        note.yield(served.withLock { $0 })
        call.respond(.bytes(request))
      }
      let server = GRPCServer(router)
      let port = try listen(loop, server)
      let greedy = try await RawClient(loop, port)
      greedy.keeps = false
      let modest = try await RawClient(loop, port)
      for client in [greedy, modest] { client.send(Frames.preface + Frames.settings) }
      await pause(loop, .milliseconds(20))
      var bytes: [UInt8] = []
      for index in 0..<600 {
        let id = UInt32(2 * index + 1)
        bytes +=
          Frames.headers(
            id, end: false,
            [(":method", "POST"), (":path", "/t.S/Slow"), ("content-type", "application/grpc")])
          + Frames.message(id, "x")
      }
      greedy.send(bytes)
      modest.send(Frames.request(1, "/t.S/Other") + Frames.message(1, "x"))
      var first = others.makeAsyncIterator()
      var last = all.makeAsyncIterator()
      let result = (await first.next()!, await last.next()!)
      greedy.connection.abort()
      modest.connection.abort()
      return result
    }
    #expect(before < 550)
    #expect(after == 600)
  }

  @Test(arguments: [true, false])
  func silentPeersAreDropped(_ finishesHandshake: Bool) async throws {
    var configuration = GRPCServerConfiguration()
    configuration.handshakeTimeout = .milliseconds(40)
    configuration.keepaliveInterval = .milliseconds(40)
    configuration.keepaliveTimeout = .milliseconds(40)
    let pinged = try await withLoop { [configuration] loop in
      let server = GRPCServer(Self.echoRouter(), configuration)
      let client = try await RawClient(loop, try listen(loop, server))
      client.send(Frames.preface + (finishesHandshake ? Frames.settings : []))
      await client.waitForClose()
      let ping = Frames.frame(6, 0, 0, [UInt8](repeating: 1, count: 8))
      return client.contains(String(decoding: ping, as: UTF8.self))
    }
    #expect(pinged == finishesHandshake)
  }

  @Test func clientNoticesADeadServer() async throws {
    let got = try await withLoop { loop in
      // Answers the handshake and nothing else.
      let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
        connection in
        connection.handler = Deaf()
        connection.start()
        connection.write(Bytes(Frames.settings))
      }
      var configuration = GRPCClientConfiguration()
      configuration.keepaliveInterval = .milliseconds(30)
      configuration.keepaliveTimeout = .milliseconds(30)
      let client = try await GRPCClient.connect(
        to: .tcp(host: "127.0.0.1", port: listener.address.port!), loop: loop,
        configuration: configuration)
      return await status { _ = try await client.unary("/t.S/Echo", "x") }
    }
    #expect(got.code == .unavailable && got.message.hasPrefix("keepalive ping failed"))
  }

  @Test func refusedConnectionIsUnavailable() async throws {
    let got = try await withLoop { loop in
      let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) { _ in }
      let port = listener.address.port!
      listener.close()
      return await status {
        _ = try await GRPCClient.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop)
      }
    }
    #expect(got.code == .unavailable && got.message.contains("connection refused"))
  }

  @Test func otherContentTypesGet415() async throws {
    let found = try await withLoop { loop in
      let client = try await RawClient(loop, try listen(loop, GRPCServer(Self.echoRouter())))
      client.send(
        Frames.preface + Frames.settings + Frames.request(1, "/t.S/Echo", type: "text/html")
          + Frames.message(1, "x"))
      // The value of `:status` is sent as a literal: 415 is not in HPACK's static table.
      await client.wait { $0.received.count > 60 }
      client.connection.abort()
      return client.received.count
    }
    #expect(found > 60)
  }

  /// Frames with random damage must neither crash the server nor disturb other connections.
  @Test func damagedFramesAreSurvived() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("ConnectionTests.damagedFramesAreSurvived seed \(seed)")
    let answers = try await withLoop { loop in
      var random = SeededGenerator(state: seed)
      let server = GRPCServer(Self.echoRouter())
      let port = try listen(loop, server)
      let client = try await GRPCClient.connect(
        to: .tcp(host: "127.0.0.1", port: port), loop: loop)
      var answers = 0
      for _ in 0..<150 {
        var bytes = Frames.settings
        for stream in [1, 3, 5] as [UInt32] {
          bytes += Frames.request(stream, "/t.S/Echo") + Frames.message(stream, "hello")
        }
        for _ in 0..<Int.random(in: 1...6, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(
            in: 0...255, using: &random)
        }
        let raw = try await RawClient(loop, port)
        let cut = Int.random(in: 0...bytes.count, using: &random)
        raw.send(Frames.preface + bytes[..<cut])
        await Task.yield()
        raw.send(Array(bytes[cut...]))
        if try await client.unary("/t.S/Echo", "ok").message == "ok" { answers += 1 }
        raw.connection.abort()
      }
      client.close()
      return answers
    }
    #expect(answers == 150)
  }

  /// A request cut off at every byte, then the connection closed.
  @Test func truncatedConnectionsLeaveNothingBehind() async throws {
    let left = try await withLoop { loop in
      let server = GRPCServer(Self.echoRouter())
      let port = try listen(loop, server)
      let bytes =
        Frames.preface + Frames.settings + Frames.request(1, "/t.S/Echo") + Frames.message(1, "x")
      for cut in stride(from: 0, through: bytes.count, by: 3) {
        let raw = try await RawClient(loop, port)
        raw.send(Array(bytes[..<cut]))
        raw.connection.closeAfterFlush()
        await raw.waitForClose()
      }
      for _ in 0..<100 where server.connectionCount > 0 { await pause(loop, .milliseconds(20)) }
      return server.connectionCount
    }
    #expect(left == 0)
  }
}

/// Reads and says nothing.
private final class Deaf: ByteChannelHandler {
  func channelRead(_ bytes: Bytes) {}
  func channelReadEnded() {}
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) {}
}
