import Bytes
import EventLoops
import Protobuf
import TestSupport
import Testing

@testable import Calls

/// Calls from within the process.
@Suite(.timeLimit(.minutes(5))) struct LocalCallsTests {
  private static let nobody = LocalContext(caller: Caller(metadata: [:]))

  private func calls(_ loop: EventLoop, _ fill: (inout CallRouter) -> Void) -> LocalCalls {
    var router = CallRouter { $0["refuse"] == nil ? nil : GRPCStatus(.unavailable, "refused") }
    fill(&router)
    return LocalCalls(router, on: loop)
  }

  @Test func answersOfAllFormsArriveWhole() async throws {
    let big = Bytes((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) })
    try await withLoop { loop in
      let calls = calls(loop) { router in
        router.unary("/s/Bytes") { call, request in call.respond(.bytes(request)) }
        router.unary("/s/Framed") { call, request in
          call.respond(.framed(request.count) { $0.append(request) })
        }
        router.unary("/s/Chunks") { call, request in
          call.respond(.chunks([request[0..<1], request[1..<request.count]]))
        }
        router.unary("/s/Pull") { call, _ in
          call.respond(.pieces(length: big.count, first: big[0..<7]) { big[7..<big.count] })
        }
      }
      for name in ["Bytes", "Framed", "Chunks"] {
        let answer = try await calls.unary("/s/\(name)", "abc", for: Caller(metadata: [:]))
        #expect(answer == "abc")
      }
      #expect(try await calls.unary("/s/Pull", "", for: Caller(metadata: [:])) == big)
    }
  }

  /// Calls of clients wait for each other beyond a limit, in their order; inner ones never do.
  @Test func onlySoManyCallsOfClientsRun() async throws {
    try await withLoop { loop in
      var router = CallRouter { _ in nil }
      let running = Running()
      router.unary("/s/Hang") { call, request in running.calls.append((request.string, call)) }
      router.streaming("/s/Stream") { stream in
        for try await request in stream.requests { try await stream.send(request) }
        return .ok
      }
      let calls = LocalCalls(router, on: loop, clientCallsMax: 2)
      let client = LocalContext(caller: Caller(metadata: [:]), isCounted: true)
      func start(_ name: String, _ context: LocalContext) -> LocalCall? {
        calls.start("/s/Hang", Bytes(name), context) { _ in running.ended.append(name) }
      }
      let stream = try calls.stream("/s/Stream", client)
      _ = start("first", client)
      let given = start("given up", client)
      _ = start("second", client)
      _ = start("inner", Self.nobody)
      #expect(running.names == ["first", "inner"])
      stream.send("hello")
      #expect(try await stream.next() == "hello")
      given?.cancel()
      #expect(running.ended == ["given up"])
      running.end("first")
      // One that was given up gives nobody room; its turn passes to the next.
      while running.names.count < 3 { await Task.yield() }
      #expect(running.names == ["first", "inner", "second"])
      // A stream that waits takes requests, and answers them once there is room.
      let late = try calls.stream("/s/Stream", client)
      late.send("late")
      stream.endRequests()
      #expect(try await stream.next() == nil)
      #expect(try await late.next() == "late")
      late.cancel()
      running.end("second")
      running.end("inner")
      #expect(running.ended == ["given up", "first", "second", "inner"])
    }
  }

  /// Calls that a service has begun, and what ended. Confined to the loop of a test.
  private final class Running: @unchecked Sendable {
    var calls: [(name: String, call: UnaryCall)] = []
    var ended: [String] = []
    var names: [String] { calls.map(\.name) }
    func end(_ name: String) { calls.first { $0.name == name }?.call.respond(.bytes("done")) }
  }

  @Test func whatIsNotServedOrRefusedFails() async throws {
    try await withLoop { loop in
      let calls = calls(loop) { router in
        router.unary("/s/A") { call, _ in call.respond(.bytes("a")) }
        router.streaming("/s/S") { _ in .ok }
        router.unary("/s/Broken") { call, _ in call.respond(.pull(length: 9) { _ in nil }) }
      }
      for (path, code) in [
        ("/s/B", GRPCCode.unimplemented), ("/s/S", .unimplemented), ("/s/Broken", .internal),
      ] {
        let status = await #expect(throws: GRPCStatus.self) {
          try await calls.unary(path, "", for: Caller(metadata: [:]))
        }
        #expect(status?.code == code)
      }
      #expect(throws: GRPCStatus.self) { try calls.stream("/s/A", Self.nobody) }
      // Only what counts as a client's call is asked for what clients are asked for.
      let refused = Caller(metadata: ["refuse": "1"])
      let answer = try await calls.unary("/s/A", "", for: refused)
      #expect(answer == "a")
      var results: [Result<Bytes, GRPCStatus>] = []
      calls.start("/s/A", "", LocalContext(caller: refused, isCounted: true)) { results.append($0) }
      #expect(results == [.failure(GRPCStatus(.unavailable, "refused"))])
      #expect(throws: GRPCStatus(.unavailable, "refused")) {
        try calls.stream("/s/S", LocalContext(caller: refused, isCounted: true))
      }
    }
  }

  @Test func aCallerThatGivesUpIsNotAnswered() async throws {
    try await withLoop { loop in
      let cancelled = LoopConfined(Flags())
      let calls = calls(loop) { router in
        router.unary("/s/Never") { call, _ in call.onCancel { cancelled.value.count += 1 } }
      }
      var results: [Result<Bytes, GRPCStatus>] = []
      let call = calls.start("/s/Never", "", Self.nobody) { results.append($0) }
      call?.cancel()
      call?.cancel()
      #expect(results == [.failure(.cancelled)])
      #expect(cancelled.value.count == 1)
      // A deadline does the same.
      let late = await withCheckedContinuation { done in
        var context = Self.nobody
        context.deadline = loop.now + 1_000_000
        calls.start("/s/Never", "", context) { done.resume(returning: $0) }
      }
      #expect(late == .failure(.deadlineExceeded))
      #expect(cancelled.value.count == 2)
    }
  }

  /// Confined to a loop.
  private final class Flags { var count = 0 }

  @Test func streamsCarryMessagesBothWays() async throws {
    try await withLoop { loop in
      let calls = calls(loop) { router in
        router.streaming("/s/Echo") { stream in
          for try await message in stream.requests { try await stream.send(message) }
          return GRPCStatus(.notFound, "the end")
        }
      }
      let stream = try calls.stream("/s/Echo", Self.nobody)
      for text in ["a", "b", "c"] as [Bytes] { stream.send(text) }
      #expect(stream.unreadBytes == 3 * (1 + MessageBody.prefixBytes))
      stream.endRequests()
      for text in ["a", "b", "c"] as [Bytes] { #expect(try await stream.next() == text) }
      #expect(stream.unreadBytes == 0)
      await #expect(throws: GRPCStatus(.notFound, "the end")) { try await stream.next() }
      #expect(!stream.isOpen)
    }
  }

  /// Who does not read holds the service up, and who cancels ends it.
  @Test func streamsHaveBackPressure() async throws {
    try await withLoop { loop in
      let sent = LoopConfined(Flags())
      let calls = calls(loop) { router in
        router.streaming("/s/Flood") { stream in
          while true {
            try await stream.send(Bytes(repeatElement(1, count: 10_000)))
            sent.value.count += 1
          }
        }
      }
      let stream = try calls.stream("/s/Flood", Self.nobody)
      _ = try await stream.next()
      try await Task.sleep(for: .milliseconds(20))
      #expect(stream.queuedBytes <= SendGate.highBytes + 10_000)
      let before = sent.value.count
      for _ in 0..<100 { _ = try await stream.next() }
      #expect(sent.value.count > before)
      stream.cancel()
      await #expect(throws: GRPCStatus.cancelled) { try await stream.next() }
    }
  }
}
