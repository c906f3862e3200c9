import Bytes
import Synchronization
import TestSupport
import Testing

@testable import EventLoops

/// Goes on turn after turn until told to stop.
private final class Busy: NextTurnHandler {
  let loop: EventLoop
  var left: Int
  var onEnd: () -> Void = {}
  init(_ loop: EventLoop, _ left: Int) {
    self.loop = loop
    self.left = left
  }
  func nextTurn() {
    left -= 1
    if left > 0 { loop.atNextTurn(self) } else { onEnd() }
  }
}

private func spin(_ time: Duration) {
  let begin = ContinuousClock.now
  while ContinuousClock.now - begin < time {}
}

@Suite struct TurnTests {
  @Test func theLongestTurnIsKnownAndASlowOneTold() async throws {
    let (longest, again, told) = try await withLoop { loop in
      let told = Mutex<[SlowTurn]>([])
      loop.onSlowTurn { turn in told.withLock { $0.append(turn) } }
      await offLoop { loop.execute { spin(.milliseconds(60)) } }
      await withCheckedContinuation { done in
        loop.schedule(after: .milliseconds(5)) { done.resume() }
      }
      let longest = loop.takeLongestTurn()
      await withCheckedContinuation { done in
        loop.schedule(after: .milliseconds(5)) { done.resume() }
      }
      return (longest, loop.takeLongestTurn(), told.withLock { $0 })
    }
    #expect(longest >= 60_000_000)
    // Taken once.
    #expect(again < longest)
    let slow = try #require(told.first)
    #expect(slow.duration >= .milliseconds(60) && slow.loop == "test")
    #expect(slow.work.contains("work "), "\(slow.work)")
  }

  /// Work that goes on for 200 turns lets what other threads bring in between, and ends.
  @Test func continuedWorkLetsOthersIn() async throws {
    let (left, ended) = try await withLoop { loop in
      let busy = Busy(loop, 200)
      let seen = Mutex<[Int]>([])
      return await withCheckedContinuation { done in
        busy.onEnd = { done.resume(returning: (seen.withLock { $0 }, busy.left)) }
        loop.atNextTurn(busy)
        // A zero timer is an event of a later turn.
        loop.schedule(after: .zero) { seen.withLock { $0.append(busy.left) } }
      }
    }
    #expect(left.count == 1 && left[0] > 100)
    #expect(ended == 0)
  }

  /// One connection that brings all it can does not fill a turn: without a limit libuv reads 2 MiB.
  @Test func oneConnectionBringsLittleInATurn() async throws {
    let most = try await withLoop { loop in
      let recorder = Recorder()
      recorder.keepsBytes = false
      let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
        $0.handler = recorder
        // Enough gathers in the socket's buffer first.
        $0.pauseReading()
        $0.start()
        let connection = $0
        loop.schedule(after: .milliseconds(50)) { connection.resumeReading() }
      }
      let client = try await connected(loop, listener.address.port!)
      client.start()
      let block = Bytes(repeatElement(7, count: 1 << 20))
      for _ in 0..<16 { client.write(block) }
      nonisolated(unsafe) var before = 0
      nonisolated(unsafe) var most = 0
      loop.onTurnEnd {
        most = max(most, recorder.count - before)
        before = recorder.count
      }
      await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
        nonisolated(unsafe) var waiting: CheckedContinuation<Void, Never>? = done
        recorder.onEvent = { recorder in
          guard recorder.count == 16 << 20 else { return }
          waiting?.resume()
          waiting = nil
        }
      }
      client.abort()
      return most
    }
    #expect(most > 0 && most <= 262_144 + 65_536)
  }

  @Test func connectionsBeyondTheLimitWaitForOthersToClose() async throws {
    let (atLimit, reports, open, after) = try await withLoop { loop in
      let reports = Mutex(0)
      let admission = ConnectionAdmission(limit: 2) { _ in reports.withLock { $0 += 1 } }
      let (served, accepts) = AsyncStream.makeStream(of: Int.self)
      var ports: [Int] = []
      // Two that are counted together, and one for peers.
      for number in 0..<3 {
        let listener = try Listener(
          loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0),
          admission: number < 2 ? admission : nil
        ) { connection in
          let recorder = Recorder()
          recorder.echo = connection
          connection.handler = recorder
          connection.start()
          accepts.yield(number)
        }
        ports.append(listener.address.port!)
      }
      var order = served.makeAsyncIterator()
      var clients: [any ByteChannel] = []
      for port in [ports[0], ports[1], ports[0], ports[1], ports[2]] {
        clients.append(try await connected(loop, port))
        clients.last?.start()
      }
      var atLimit: [Int] = []
      for _ in 0..<3 { atLimit.append(await order.next()!) }
      let open = admission.openCount
      clients[0].abort()
      var after = [await order.next()!]
      clients[1].abort()
      after.append(await order.next()!)
      for client in clients { client.abort() }
      return (atLimit.sorted(), reports.withLock { $0 }, open, after.sorted())
    }
    #expect(atLimit == [0, 1, 2])
    #expect(open == 2)
    #expect(reports == 1)
    #expect(after == [0, 1])
  }

  @Test func memoryIsGivenBackWhenItGrewAndRests() {
    let mib = 1 << 20
    var policy = FreeMemoryPolicy()
    let sizes = [100, 110, 150, 400, 900, 900, 890, 300]
    #expect(
      sizes.map { policy.sample($0 * mib) } == [
        false, false, false, false, false, true, true, true,
      ])
    policy.released(120 * mib)
    #expect(
      [120, 130, 140, 140, 200, 201].map { policy.sample($0 * mib) } == [
        false, false, false, false, false, true,
      ])
    // It was in use: nothing more to find.
    policy.released(201 * mib)
    #expect([201, 201, 210].map { policy.sample($0 * mib) } == [false, false, false])
    // What is freed after a rest at its height does not show in the size.
    policy.released(201 * mib)
    #expect(policy.sample(201 * mib, freed: 30 * mib) == false)
    #expect(policy.sample(201 * mib, freed: 10 * mib) == true)
  }

  /// Small blocks below one that lives: the C library keeps them all.
  @Test func aFloodsMemoryIsGivenBack() throws {
    let before = try #require(residentHeapBytes())
    let keeper = FreeMemoryKeeper()
    keeper.check()
    let pattern = [UInt8](repeating: 7, count: 8_192)
    var blocks = (0..<40_000).map { _ in pattern.withUnsafeBytes { Bytes(copying: $0) } }
    let last = blocks[blocks.count - 1]
    let full = try #require(residentHeapBytes())
    keeper.check()
    blocks = []
    keeper.check()
    keeper.check()
    let after = try #require(residentHeapBytes())
    // 312 MiB, less what the heap had free or other tests gave back meanwhile.
    #expect(full - before > 200 << 20)
    // Other tests run at the same time.
    #expect(after - before < 150 << 20, "\(before) \(full) \(after)")
    #expect(last.count == 8_192)
  }
}

/// A connection to a port of this machine.
func connected(_ loop: EventLoop, _ port: Int) async throws -> any ByteChannel {
  try await withCheckedThrowingContinuation { done in
    Connection.connect(
      to: .tcp(host: "127.0.0.1", port: port), loop: loop, timeout: .seconds(5)
    ) { done.resume(with: $0) }
  }
}
