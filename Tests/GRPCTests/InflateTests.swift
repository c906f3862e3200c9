import Bytes
import Calls
import EventLoops
import HTTP
import Synchronization
import TestSupport
import Testing

@testable import GRPC

@Suite struct InflateTests {
  /// A message of two megabytes in two kilobytes.
  static let bomb = Gzip.compress([Bytes(repeatElement(0, count: 2_000_000))])!
  static let small = Gzip.compress(["small"])!

  static func request(_ stream: UInt32, _ path: String) -> [UInt8] {
    Frames.headers(
      stream, end: false,
      [
        (":method", "POST"), (":path", path), ("content-type", "application/grpc"),
        ("grpc-encoding", "gzip"),
      ])
  }

  static func message(_ stream: UInt32, _ packed: Bytes, ends: Bool = true) -> [UInt8] {
    Frames.frame(
      0, ends ? 1 : 0, stream, [1] + Frames.word(UInt32(packed.count)) + Array(packed))
  }

  /// What takes long is not done on the loop: a small call that comes behind it is served before it.
  @Test func largeMessagesDoNotHoldOthersUp() async throws {
    let sizes = try await withLoop { loop in
      let (served, note) = AsyncStream.makeStream(of: Int.self)
      var router = CallRouter()
      router.unary("/t.S/Size") { call, request in
        note.yield(request.count)
        call.respond(.bytes(Bytes("\(request.count)")))
      }
      let client = try await RawClient(loop, try listen(loop, GRPCServer(router)))
      client.send(
        Frames.preface + Frames.settings + Self.request(1, "/t.S/Size") + Self.message(1, Self.bomb)
          + Self.request(3, "/t.S/Size") + Self.message(3, Self.small))
      var sizes: [Int] = []
      for await size in served {
        sizes.append(size)
        if sizes.count == 2 { break }
      }
      client.connection.abort()
      return sizes
    }
    #expect(sizes == [5, 2_000_000])
  }

  /// Large and small messages of one stream come in order, with its end behind them.
  @Test func aStreamKeepsItsOrder() async throws {
    let sizes = try await withLoop { loop in
      let (ended, done) = AsyncStream.makeStream(of: [Int].self)
      var router = CallRouter()
      router.streaming("/t.S/Sizes") { stream in
        var sizes: [Int] = []
        for try await message in stream.requests { sizes.append(message.count) }
        done.yield(sizes)
        return .ok
      }
      let client = try await RawClient(loop, try listen(loop, GRPCServer(router)))
      var bytes = Frames.preface + Frames.settings + Self.request(1, "/t.S/Sizes")
      for index in 0..<6 {
        bytes += Self.message(1, index % 2 == 0 ? Self.bomb : Self.small, ends: index == 5)
      }
      client.send(bytes)
      var iterator = ended.makeAsyncIterator()
      let sizes = await iterator.next()
      client.connection.abort()
      return sizes
    }
    #expect(sizes == [2_000_000, 5, 2_000_000, 5, 2_000_000, 5])
  }

  /// Many at once: reading stops meanwhile and goes on, so that all are served, and nothing stays reserved.
  @Test func manyAtOnceAreAllServed() async throws {
    let (count, reserved) = try await withLoop { loop in
      let (served, note) = AsyncStream.makeStream(of: Int.self)
      var router = CallRouter()
      router.unary("/t.S/Size") { call, request in
        note.yield(request.count)
        call.respond(.bytes(""))
      }
      let client = try await RawClient(loop, try listen(loop, GRPCServer(router)))
      client.send(Frames.preface + Frames.settings)
      for index in 0..<60 {
        let id = UInt32(2 * index + 1)
        client.send(Self.request(id, "/t.S/Size") + Self.message(id, Self.bomb))
      }
      var count = 0
      for await size in served where size == 2_000_000 {
        count += 1
        if count == 60 { break }
      }
      client.connection.abort()
      // What was served is released right behind.
      await withCheckedContinuation { done in loop.execute { done.resume() } }
      return (count, InflatePool.shared.reservedBytes)
    }
    #expect(count == 60)
    // Other tests use the pool too.
    #expect(reserved <= 33_554_432)
  }

  /// Streams that are reset and connections that go take their messages along.
  @Test func whatNobodyWaitsForIsNotInflated() async throws {
    let pool = InflatePool(bytesMax: 4_000_000)
    let delivered = Mutex(0)
    let first = Gate()
    let owner = InflateTests.self as AnyObject
    var jobs: [InflateJob] = []
    for index in 0..<20 {
      jobs.append(
        InflateJob(
          owner: ObjectIdentifier(owner), cost: 2_000_000,
          try Inflater(Self.bomb, limit: 2_000_000)
        ) { job, result in
          delivered.withLock { $0 += 1 }
          if index == 0 { first.open() }
        })
    }
    for job in jobs[1...] { job.cancel() }
    for job in jobs { pool.submit(job) }
    first.wait()
    // Not released: the budget holds what its loop has not taken.
    #expect(pool.reservedBytes == 2_000_000)
    pool.release(jobs[0])
    pool.stop()
    #expect(delivered.withLock { $0 } == 1)
    #expect(pool.reservedBytes == 0)
  }

  @Test func thePoolWaitsUntilWhatItMadeIsTaken() async throws {
    let pool = InflatePool(bytesMax: 4_000_000)
    let made = Mutex<[InflateJob]>([])
    let jobs = try (0..<3).map { number in
      InflateJob(
        owner: ObjectIdentifier(pool), cost: 2_000_000, try Inflater(Self.bomb, limit: 2_000_000)
      ) { job, _ in made.withLock { $0.append(job) } }
    }
    for job in jobs { pool.submit(job) }
    #expect(pool.reservedBytes == 4_000_000)
    pool.release(jobs[0])
    #expect(pool.reservedBytes == 4_000_000)
    pool.stop()
    #expect(made.withLock { $0.count } == 3)
  }

  @Test func ownersTakeTurns() {
    var queue = FairQueue<Int, String>()
    for item in ["a1", "a2", "a3", "a4"] { queue.append(item, of: 1) }
    queue.append("b1", of: 2)
    queue.append("b2", of: 2)
    queue.append("c1", of: 3)
    var order: [String] = []
    while let item = queue.first {
      queue.removeFirst()
      order.append(item)
      if item == "a2" { queue.append("b3", of: 2) }
    }
    #expect(order == ["a1", "b1", "c1", "a2", "b2", "a3", "b3", "a4"])
    #expect(queue.isEmpty)
  }

  /// However messages are cut, every byte is given back once.
  @Test func theWindowIsGivenBackExactly() {
    var random = SeededGenerator.printed("InflateTests.theWindowIsGivenBackExactly")
    for _ in 0..<500 {
      let messages = (0..<Int.random(in: 0...6, using: &random)).map { _ in
        (size: Int.random(in: 5...50, using: &random), late: Bool.random(using: &random))
      }
      var ends: [Int] = []
      for message in messages { ends.append((ends.last ?? 0) + message.size) }
      var credit = WindowCredit()
      var (position, next, given, owed) = (0, 0, 0, 0)
      var unread: [Int] = []
      let total = (ends.last ?? 0)
      while position < total {
        let step = min(Int.random(in: 1...40, using: &random), total - position)
        position += step
        credit.add(step)
        while next < ends.count, ends[next] <= position {
          let left = credit.finishMessage(messages[next].size, readLater: messages[next].late)
          if messages[next].late {
            owed += left
            unread.append(left)
          }
          next += 1
        }
        var now = credit.settle()
        #expect(now >= 0)
        given += now
        // Whoever has nothing to read in front of it gets what there is of the next message.
        if unread.isEmpty { #expect(given + owed == position) }
        while !unread.isEmpty, Bool.random(using: &random) {
          now = credit.taken()
          #expect(now >= 0 && (now == 0 || unread.count == 1))
          given += unread.removeFirst() + now
          owed = unread.reduce(0, +)
        }
        #expect(given + owed <= position)
      }
      for left in unread { given += left + credit.taken() }
      #expect(given == total)
    }
  }
}
