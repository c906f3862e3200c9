import Bytes
import Calls
import EventLoops
import GRPC
import HTTP
import Protobuf
import Synchronization
import TestSupport
import Testing

@Suite struct UnaryTests {
  @Test func echoWithMetadataBothWays() async throws {
    let (message, info, seen) = try await withLoop { loop in
      let seen = Mutex<[String]>([])
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in
        seen.withLock {
          $0 = [
            call.metadata["token"] ?? "", call.metadata.first("raw-bin")?.description ?? "",
            call.path, "\(call.deadline != nil)",
          ]
        }
        call.addMetadata("lead", "in")
        call.respond(.chunks([request, "!"]), trailers: ["trail": "out", "t-bin": "\u{0}\u{1}"])
      }
      let (_, client) = try await connect(loop, router)
      var metadata: Metadata = ["Token": "abc"]
      metadata.add("raw-bin", Bytes([0, 255]))
      let reply = try await client.unary(
        "/t.S/Echo", "hi", metadata: metadata, timeout: .seconds(5))
      return (reply.message, reply.info, seen.withLock { $0 })
    }
    #expect(message == "hi!")
    #expect(seen == ["abc", "\\x00\\xff", "/t.S/Echo", "true"])
    #expect(info.metadata["lead"] == "in" && info.trailers["trail"] == "out")
    #expect(info.trailers.first("t-bin") == Bytes([0, 1]))
  }

  @Test func statusesArriveWhole() async throws {
    let wanted = GRPCStatus(
      .failedPrecondition, "etcdserver: \"é\" 100%\n", details: Bytes([8, 9, 0]))
    let got = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Fail") { call, _ in call.fail(wanted) }
      let (_, client) = try await connect(loop, router)
      return await status { _ = try await client.unary("/t.S/Fail", "") }
    }
    #expect(got == wanted)
  }

  @Test(arguments: [
    ("/no.Such/Method", "unknown service no.Such"),
    ("/t.S/Other", "unknown method Other for service t.S"),
    ("/nonsense", "malformed method name: \"/nonsense\""),
  ])
  func unservedPaths(_ path: String, _ text: String) async throws {
    let got = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in call.respond(.bytes(request)) }
      let (_, client) = try await connect(loop, router)
      return await status { _ = try await client.unary(path, "x") }
    }
    #expect(got == GRPCStatus(.unimplemented, text))
  }

  @Test func deadlineEndsTheCallOnBothSides() async throws {
    let (got, cancelled) = try await withLoop { loop in
      let (stream, continuation) = AsyncStream.makeStream(of: Bool.self)
      var router = CallRouter()
      router.unary("/t.S/Never") { call, _ in
        call.onCancel {
          continuation.yield(true)
          call.respond(.bytes("too late"))
        }
      }
      let (_, client) = try await connect(loop, router)
      let got = await status {
        _ = try await client.unary("/t.S/Never", "", timeout: .milliseconds(30))
      }
      var iterator = stream.makeAsyncIterator()
      return (got, await iterator.next())
    }
    #expect(got == .deadlineExceeded)
    #expect(cancelled == true)
  }

  /// Any head, with values that no client would send: the server answers or refuses, and lives on.
  @Test(arguments: [
    ("grpc-timeout", "99999999H"), ("grpc-timeout", "18446744073709551615S"), ("grpc-timeout", ""),
    ("grpc-timeout", "H"), ("grpc-encoding", ""), ("", ""), ("te", ""), (":path", ""),
    ("x-bin", "A"), ("content-length", "99999999999999999999999"), (":method", ""),
    ("content-type", ""), ("content-type", "APPLICATION/GRPC"),
  ])
  func oddHeadersAreSurvived(_ name: String, _ value: String) async throws {
    let reply = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in call.respond(.bytes(request)) }
      let server = GRPCServer(router)
      let port = try listen(loop, server)
      let raw = try await RawClient(loop, port)
      raw.send(
        Frames.preface + Frames.settings
          + Frames.headers(
            1, end: false,
            [(":method", "POST"), (":path", "/t.S/Echo"), ("content-type", "application/grpc")]
              + [(name, value)])
          + Frames.message(1, "odd"))
      await raw.wait { $0.received.count > 40 }
      raw.connection.abort()
      let client = try await GRPCClient.connect(
        to: .tcp(host: "127.0.0.1", port: port), loop: loop)
      defer { client.close() }
      return try await client.unary("/t.S/Echo", "hi").message
    }
    #expect(reply == "hi")
  }

  /// As grpc-go: the first message is the request, whether or not the client sends more or ends.
  @Test(arguments: [
    Frames.data(1, "one", ends: false) + Frames.message(1, "two"),
    Frames.data(1, "one", ends: false),
    Frames.data(1, "one", ends: false) + Frames.frame(0, 1, 1, [9, 9, 9]),
  ])
  func theFirstMessageIsServed(_ frames: [UInt8]) async throws {
    let (seen, isAnswered) = try await withLoop { loop in
      let seen = Mutex<[Bytes]>([])
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in
        seen.withLock { $0.append(request) }
        call.respond(.bytes("the answer"))
      }
      let client = try await RawClient(loop, try listen(loop, GRPCServer(router)))
      client.send(Frames.preface + Frames.settings + Frames.request(1, "/t.S/Echo") + frames)
      await client.wait { $0.contains("the answer") }
      let isAnswered = client.contains("the answer")
      client.connection.abort()
      return (seen.withLock { $0 }, isAnswered)
    }
    #expect(seen == ["one"])
    #expect(isAnswered)
  }

  /// What is left of a deadline is looked at before a request is served, and a request of which a part came must
  /// not outlive it.
  @Test(arguments: [
    ("1n", Frames.message(1, "x"), 0), ("20m", Frames.frame(0, 0, 1, [0, 0, 0]), 0),
    ("99999999H", Frames.message(1, "x"), 1),
  ])
  func deadlinesThatHavePassed(_ timeout: String, _ frames: [UInt8], _ served: Int) async throws {
    let registry = MetricsRegistry()
    let counters = CallCounters(registry, type: "unary", service: "t.S", method: "Echo")
    let count = try await withLoop { loop in
      let served = Mutex(0)
      var router = CallRouter()
      router.unary("/t.S/Echo", counters: counters) { call, request in
        served.withLock { $0 += 1 }
        call.respond(.bytes(request))
      }
      let raw = try await RawClient(loop, try listen(loop, GRPCServer(router)))
      raw.send(
        Frames.preface + Frames.settings
          + Frames.headers(
            1, end: false,
            [
              (":method", "POST"), (":path", "/t.S/Echo"), ("content-type", "application/grpc"),
              ("grpc-timeout", timeout),
            ]) + frames)
      await raw.wait { _ in counters.handled.contains { $0.value > 0 } }
      raw.connection.abort()
      return served.withLock { $0 }
    }
    #expect(count == served)
    #expect(counters.handled[GRPCCode.deadlineExceeded.rawValue].value == 1 - UInt64(served))
  }

  @Test func noLimitOfStreamsMeansAnyNumber() async throws {
    let message = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in call.respond(.bytes(request)) }
      var configuration = GRPCServerConfiguration()
      configuration.maxConcurrentStreams = 0
      let (_, client) = try await connect(loop, router, configuration)
      return try await client.unary("/t.S/Echo", "hi", timeout: .seconds(5)).message
    }
    #expect(message == "hi")
  }

  @Test func cancellingTheTaskCancelsTheCall() async throws {
    let (got, cancelled) = try await withLoop { loop in
      let (stream, continuation) = AsyncStream.makeStream(of: Bool.self)
      var router = CallRouter()
      router.unary("/t.S/Never") { call, _ in
        call.onCancel { continuation.yield(true) }
        continuation.yield(false)
      }
      let (_, client) = try await connect(loop, router)
      let task = Task(executorPreference: loop) {
        await status { _ = try await client.unary("/t.S/Never", "") }
      }
      var iterator = stream.makeAsyncIterator()
      _ = await iterator.next()
      task.cancel()
      return (await task.value, await iterator.next())
    }
    #expect(got == .cancelled)
    #expect(cancelled == true)
  }

  /// A call that is given up before its head has left is closed by nghttp2 after it said that the head was
  /// not sent.
  @Test func callsGivenUpBeforeTheyLeftAreGone() async throws {
    try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in call.respond(.bytes(request)) }
      let (_, client) = try await connect(loop, router)
      for _ in 0..<300 {
        let call = Task { try await client.unary("/t.S/Echo", "x") }
        call.cancel()
        let ended = await call.result
        if case .success(let reply) = ended { #expect(reply.message == "x") }
        try await client.stream("/t.S/Echo").cancel()
      }
      #expect(try await client.unary("/t.S/Echo", "y").message == "y")
    }
  }

  @Test func answersMayComeFromOtherThreadsLater() async throws {
    let worker = WorkerThread(name: "later")
    let count = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Later") { call, request in
        worker.execute { call.loop.execute { call.respond(.bytes(request)) } }
      }
      let (_, client) = try await connect(loop, router)
      return try await withThrowingTaskGroup(of: Bool.self) { group in
        for index in 0..<200 {
          group.addTask {
            let text = Bytes("\(index)")
            return try await client.unary("/t.S/Later", text).message == text
          }
        }
        return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
    }
    worker.stop()
    #expect(count == 200)
  }

  @Test func messageLimitsHold() async throws {
    let (over, at, reply, own) = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Count") { call, request in
        call.respond(.bytes(Bytes(repeatElement(0, count: request.count))))
      }
      var configuration = GRPCServerConfiguration()
      configuration.receivedMessageBytesMax = 100_000
      var limits = GRPCClientConfiguration()
      limits.receivedMessageBytesMax = 99_999
      limits.sentMessageBytesMax = 200_000
      let (_, client) = try await connect(loop, router, configuration, limits)
      func send(_ count: Int) async -> GRPCStatus {
        await status {
          _ = try await client.unary("/t.S/Count", Bytes(repeatElement(1, count: count)))
        }
      }
      return (await send(100_001), await send(99_999), await send(100_000), await send(200_001))
    }
    #expect(
      over
        == GRPCStatus(
          .resourceExhausted, "grpc: received message larger than max (100001 vs. 100000)"))
    #expect(at == .ok)
    #expect(
      reply.message == "grpc: received message larger than max (100000 vs. 99999)")
    #expect(own.message == "trying to send message larger than max (200001 vs. 200000)")
  }

  @Test(arguments: [0, 1, 70_000, 3_000_000])
  func gzipAndPlainCarryAnySize(_ count: Int) async throws {
    let results = try await withLoop { loop in
      var router = CallRouter()
      router.unary("/t.S/Echo") { call, request in call.respond(.bytes(request)) }
      var limits = GRPCClientConfiguration()
      limits.sentMessageBytesMax = 4_000_000
      var results: [Bool] = []
      for gzip in [false, true] {
        limits.sendsGzip = gzip
        let (_, client) = try await connect(loop, router, .init(), limits)
        let text = Bytes((0..<count).lazy.map { UInt8(truncatingIfNeeded: $0 / 7) })
        results.append(try await client.unary("/t.S/Echo", text).message == text)
      }
      return results
    }
    #expect(results == [true, true])
  }

  @Test func countersCount() async throws {
    let registry = MetricsRegistry()
    try await withLoop { loop in
      var router = CallRouter()
      let counters = CallCounters(registry, type: "unary", service: "t.S", method: "Echo")
      router.unary("/t.S/Echo", counters: counters) { call, request in
        request.isEmpty ? call.fail(.init(.notFound)) : call.respond(.bytes(request))
      }
      let (_, client) = try await connect(loop, router)
      for text in ["a", "b"] as [Bytes] { _ = try await client.unary("/t.S/Echo", text) }
      _ = await status { _ = try await client.unary("/t.S/Echo", "") }
    }
    let text = registry.exposition().string
    let labels = "grpc_method=\"Echo\",grpc_service=\"t.S\",grpc_type=\"unary\"}"
    #expect(text.contains("grpc_server_started_total{\(labels) 3\n"))
    #expect(text.contains("grpc_server_handled_total{grpc_code=\"OK\",\(labels) 2\n"))
    #expect(text.contains("grpc_server_handled_total{grpc_code=\"NotFound\",\(labels) 1\n"))
    #expect(text.contains("grpc_server_msg_sent_total{\(labels) 2\n"))
  }
}
