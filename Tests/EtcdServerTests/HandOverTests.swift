import Auth
import Bytes
import EtcdAPI
import EventLoops
import Synchronization
import TestSupport
import Testing

@testable import EtcdServer

@Suite struct HandOverTests {
  private final class Received: Sendable {
    let pieces = Mutex<[Int]>([])
    let isOver = Gate()
    func take(_ piece: Int, of last: Int) {
      pieces.withLock { $0.append(piece) }
      if piece == last { isOver.open() }
    }
  }

  /// A turn on the log thread and then one on the loop itself, both before the loop drains anything:
  /// the loop's own work runs before work of other threads, and yet the first turn is seen first.
  @Test func aTurnOnTheLoopDoesNotOvertakeOneOfAnotherThread() {
    let loop = EventLoop(name: "hand-over")
    loop.start()
    let received = Received()
    let handOver = HandOver<Int>(to: loop) { received.take($0, of: 2) }
    let isLeft = Gate()
    loop.execute {
      let other = WorkerThread(name: "other")
      other.execute {
        handOver.leave(1)
        isLeft.open()
      }
      isLeft.wait()
      handOver.leave(2)
      other.stop()
    }
    received.isOver.wait()
    loop.stop()
    #expect(received.pieces.withLock { $0 } == [1, 2])
  }

  /// Turns by four threads and the loop, as many as they come: every piece once, in order.
  @Test func manyThreadsKeepTheOrderOfTheTurns() {
    let loop = EventLoop(name: "hand-over")
    loop.start()
    let received = Received()
    let last = 20_000
    let handOver = HandOver<Int>(to: loop) { received.take($0, of: last) }
    // Stands for the core: whoever holds it does the turn.
    let turn = Mutex(0)
    let threads = (0..<4).map { WorkerThread(name: "turns-\($0)") }
    for number in 0..<last {
      let work: @Sendable () -> Void = {
        turn.withLock { turn in
          turn += 1
          handOver.leave(turn)
        }
      }
      if number % 5 == 4 { loop.execute(work) } else { threads[number % 4].execute(work) }
    }
    received.isOver.wait()
    for thread in threads { thread.stop() }
    loop.stop()
    #expect(received.pieces.withLock { $0 } == Array(1...last))
  }
}
