import Bytes
import EventLoops
import HTTP
import Synchronization
import TestSupport
import Testing

/// Counts what it reads, when it reads.
private final class Counting: ByteChannelHandler, @unchecked Sendable {
  // @unchecked: confined to the loop of its connection.
  var count = 0
  var isClosed = false
  var onChange: () -> Void = {}
  func channelRead(_ bytes: Bytes) {
    count += bytes.count
    onChange()
  }
  func channelReadEnded() {}
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) {
    isClosed = true
    onChange()
  }
}

@Suite struct FloodTests {
  private static let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

  /// A client that asks without pause and never reads: what is answered is what fits, others are served, and
  /// when it reads at last it gets everything.
  @Test func aClientThatNeverReadsIsNotServedOn() async throws {
    let page = Bytes(repeatElement(UInt8(ascii: "x"), count: 100_000))
    let (stopped, peak, got) = try await withLoop { loop in
      let served = Mutex(0)
      let peak = Mutex(0)
      let port = try serve(loop) { exchange in
        exchange.respond(status: 200, body: page)
        served.withLock { $0 += 1 }
        peak.withLock { $0 = max($0, exchange.channel?.pendingWriteBytes ?? $0) }
      }
      let client = try await connect(loop, port)
      let counting = Counting()
      client.handler = counting
      client.pauseReading()
      client.start()
      for _ in 0..<1_000 { client.write(Bytes(Self.get)) }
      // Until nothing more is served for a while; other connections are meanwhile.
      var last = -1
      while served.withLock({ $0 }) != last || last == 0 {
        last = served.withLock { $0 }
        _ = try await exchange(
          loop, port, ["GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
        served.withLock { $0 -= 1 }
        await withCheckedContinuation { done in
          loop.schedule(after: .milliseconds(60)) { done.resume() }
        }
      }
      let got: Int = await withCheckedContinuation { done in
        nonisolated(unsafe) var waiting: CheckedContinuation<Int, Never>? = done
        counting.onChange = {
          guard counting.count >= 1_000 * page.count else { return }
          waiting?.resume(returning: counting.count)
          waiting = nil
        }
        client.resumeReading()
      }
      client.abort()
      return (last, peak.withLock { $0 }, got)
    }
    #expect(stopped < 300, "\(stopped)")
    #expect(peak <= 262_144 + 200_000)
    #expect(got >= 1_000 * page.count)
  }

  /// Requests that came in one piece are begun a few at a time.
  @Test func pipelinedRequestsShareTheLoop() async throws {
    let most = try await withLoop { loop in
      let served = Mutex(0)
      nonisolated(unsafe) var before = 0
      nonisolated(unsafe) var most = 0
      loop.onTurnEnd {
        let now = served.withLock { $0 }
        most = max(most, now - before)
        before = now
      }
      let port = try serve(loop) { exchange in
        exchange.respond(status: 200)
        served.withLock { $0 += 1 }
      }
      let all = String(repeating: Self.get, count: 200)
      let text = try await exchange(
        loop, port, [all + "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
      #expect(text.components("HTTP/1.1 200 OK").count == 202)
      return most
    }
    #expect(most <= HTTPServerLimits().requestsPerTurn)
  }

  @Test func pipelinedRequestsAreServedAfterTheClientsEnd() async throws {
    let count = try await withLoop { loop in
      let port = try serve(loop) { exchange in exchange.respond(status: 200) }
      let client = try await connect(loop, port)
      return await withCheckedContinuation { done in
        client.handler = RawClient(client, done)
        client.start()
        for _ in 0..<30 { client.write(Bytes(Self.get)) }
        client.closeAfterFlush()
      }
    }
    // A connection that closes hears nothing more; what counts is that this ends.
    #expect(count == "")
  }

  @Test func emptyLinesWithoutEndAreRefused() async throws {
    let texts = try await withLoop { loop in
      let port = try serve(loop) { $0.respond(status: 200) }
      var texts: [String] = []
      for count in [0, 1, 2, 3, 20_000] {
        let lines = String(repeating: "\r\n", count: count)
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        texts.append(try await exchange(loop, port, [lines + (count > 2 ? "" : head)]))
      }
      // One after the other, each before its deadline.
      texts.append(try await exchange(loop, port, Array(repeating: "\r\n", count: 5)))
      return texts.map { String($0.prefix(12)) }
    }
    #expect(
      texts == ["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 200"]
        + Array(repeating: "HTTP/1.1 400", count: 3))
  }

  /// Bodies that together have more than the budget: they wait for each other, and all arrive.
  @Test func bodiesShareABudget() async throws {
    let (sizes, peak, left) = try await withLoop { loop in
      nonisolated(unsafe) let budget = HTTPBodyBudget(bytesMax: 2_000_000)
      let peak = Mutex(0)
      let port = try serve(loop) { exchange in
        exchange.collectBody(limit: 10_000_000, budget: budget) { result in
          peak.withLock { $0 = max($0, budget.heldBytes) }
          exchange.respond(status: 200, body: Bytes("\((try? result.get())?.count ?? -1)"))
        }
      }
      let sizes = try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<6 {
          group.addTask {
            let client = HTTPClient(loop: loop)
            let body = Bytes(repeatElement(1, count: 1_500_000))
            return try await client.get(
              .init("POST", .tcp(host: "127.0.0.1", port: port), "/", body: .bytes(body))
            ).1
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      return (sizes, peak.withLock { $0 }, budget.heldBytes)
    }
    // The youngest may have been given up for the oldest; nobody hangs, and the first got through.
    #expect(sizes.contains("1500000"))
    #expect(sizes.allSatisfy { $0 == "1500000" || $0 == "-1" }, "\(sizes)")
    #expect(peak <= 2_000_000 + 6 * 65_536)
    #expect(left == 0)
  }

  @Test func aBodyLargerThanTheBudgetIsRefused() async throws {
    let text = try await withLoop { loop in
      nonisolated(unsafe) let budget = HTTPBodyBudget(bytesMax: 100_000)
      let port = try serve(loop) { exchange in
        exchange.collectBody(limit: 10_000_000, budget: budget) { result in
          exchange.respond(status: 503, body: Bytes("\(result) \(budget.heldBytes)"))
        }
      }
      let client = HTTPClient(loop: loop)
      let body = Bytes(repeatElement(1, count: 300_000))
      return try await client.get(
        .init("POST", .tcp(host: "127.0.0.1", port: port), "/", body: .bytes(body))
      ).1
    }
    #expect(text == "failure(http: request bodies take more than 100000 bytes together) 0")
  }

  /// Who holds nearly all there is and then brings a byte now and then gives way to who waits.
  @Test func aBodyThatOthersWaitForMustComeOn() async throws {
    let (slow, quick, took) = try await withLoop { loop in
      nonisolated(unsafe) let budget = HTTPBodyBudget(bytesMax: 1_000_000)
      let port = try serve(loop) { exchange in
        exchange.collectBody(limit: 10_000_000, budget: budget) { result in
          exchange.respond(status: 200, body: Bytes("\(result.map(\.count))"))
        }
      }
      let held = try await connect(loop, port)
      let counting = Counting()
      held.handler = counting
      held.start()
      held.write(Bytes("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 950000\r\n\r\n"))
      held.write(Bytes(repeatElement(1, count: 900_000)))
      let drip = loop.schedule(after: .milliseconds(50), repeating: .milliseconds(50)) {
        held.write("x")
      }
      while budget.heldBytes < 900_000 {
        await withCheckedContinuation { done in
          loop.schedule(after: .milliseconds(5)) { done.resume() }
        }
      }
      let start = ContinuousClock.now
      let client = HTTPClient(loop: loop)
      let body = Bytes(repeatElement(1, count: 500_000))
      let quick = try await client.get(
        .init("POST", .tcp(host: "127.0.0.1", port: port), "/", body: .bytes(body))
      ).1
      drip.cancel()
      return (counting.count, quick, ContinuousClock.now - start)
    }
    #expect(quick == "success(500000)")
    #expect(slow > 0, "the slow one was not answered")
    #expect(took < .seconds(10))
  }

  /// After 413 the rest is not read for ever.
  @Test func aBodyThatWasRefusedIsNotReadToItsEnd() async throws {
    let (closed, sent) = try await withLoop { loop in
      let port = try serve(loop, .init(), echo)
      let client = try await connect(loop, port)
      let counting = Counting()
      client.handler = counting
      client.start()
      client.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
      let chunk = Bytes("1000\r\n" + String(repeating: "x", count: 4_096) + "\r\n")
      var sent = 0
      while !counting.isClosed && sent < 3_000 {
        client.write(chunk)
        sent += 1
        await withCheckedContinuation { done in
          loop.schedule(after: .milliseconds(1)) { done.resume() }
        }
      }
      return (counting.isClosed, sent)
    }
    #expect(closed)
    #expect(sent < 3_000)
  }

  /// Whoever asks for a body that was cut off meanwhile must not be given an empty one.
  @Test func aBodyThatWasCutOffIsNotEmpty() async throws {
    let result = try await withLoop { loop in
      let (results, note) = AsyncStream.makeStream(of: String.self)
      let port = try serve(loop) { exchange in
        exchange.onDisconnect = {
          exchange.collectBody(limit: 100) { note.yield("\($0)") }
        }
      }
      let client = try await connect(loop, port)
      client.start()
      client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
      await withCheckedContinuation { done in
        loop.schedule(after: .milliseconds(20)) { done.resume() }
      }
      client.closeAfterFlush()
      var iterator = results.makeAsyncIterator()
      return await iterator.next()
    }
    #expect(result == "failure(unexpected EOF)")
  }
}
