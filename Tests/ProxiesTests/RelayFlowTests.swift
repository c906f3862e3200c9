import TestSupport
import Testing

@testable import Proxies

/// One direction of a connection, without sockets.
@Suite struct RelayFlowTests {
  @Test func bytesAreTakenWhenThoseBeforeHaveGone() {
    var flow = RelayFlow()
    #expect(flow.next == .fill)
    flow.filled(.bytes(10))
    #expect(flow.next == .drain && flow.held == 10)
    flow.drained(.bytes(4))
    flow.drained(.blocked)
    #expect(flow.next == .wait && flow.held == 6)
    // More input changes nothing as long as the sink takes nothing.
    flow.sourceIsReadable()
    #expect(flow.next == .wait)
    flow.sinkIsWritable()
    #expect(flow.next == .drain)
    flow.drained(.bytes(6))
    #expect(flow.next == .fill && flow.held == 0)
    flow.filled(.blocked)
    #expect(flow.next == .wait)
  }

  @Test func theEndComesBehindTheBytes() {
    var flow = RelayFlow()
    flow.filled(.bytes(1))
    flow.drained(.blocked)
    #expect(flow.next == .wait)
    flow.sinkIsWritable()
    flow.drained(.bytes(1))
    flow.filled(.end)
    #expect(flow.next == .end && !flow.isDone)
    flow.ended()
    #expect(flow.next == .done && flow.isDone)
  }

  @Test func aBrokenConnectionEndsIt() {
    var flow = RelayFlow()
    flow.filled(.broken)
    #expect(flow.next == .done)
    var other = RelayFlow()
    other.filled(.bytes(5))
    other.drained(.broken)
    #expect(other.next == .done)
  }

  /// Whatever the sockets do, in whatever order: what came goes, once and in order, and nothing stands still while it
  /// could move.
  @Test(arguments: 1...200 as ClosedRange<UInt64>) func nothingIsLostOrStandsStill(_ seed: UInt64) {
    var random = SeededGenerator(state: seed)
    var flow = RelayFlow()
    // Bytes that the source has, whether it ends behind them, and the room of the sink.
    var (input, room, ended) = (0, 0, false)
    var (taken, given, sent) = (0, 0, 0)
    for _ in 0..<300 {
      switch Int.random(in: 0..<4, using: &random) {
      case 0 where !ended:
        let more = Int.random(in: 1...100, using: &random)
        (input, sent) = (input + more, sent + more)
        flow.sourceIsReadable()
      case 1:
        room += Int.random(in: 1...100, using: &random)
        flow.sinkIsWritable()
      case 2 where !ended && sent > 3_000:
        ended = true
        flow.sourceIsReadable()
      default: break
      }
      loop: while true {
        switch flow.next {
        case .fill:
          let count = min(input, 64)
          (input, taken) = (input - count, taken + count)
          flow.filled(count > 0 ? .bytes(count) : ended ? .end : .blocked)
        case .drain:
          let count = min(room, flow.held)
          (room, given) = (room - count, given + count)
          flow.drained(count > 0 ? .bytes(count) : .blocked)
        case .end: flow.ended()
        case .wait, .done: break loop
        }
      }
      #expect(taken - given == flow.held)
      #expect(flow.held == 0 || room == 0, "held although the sink takes it")
      #expect(flow.held > 0 || input == 0, "left with the source although there is room")
    }
    flow.sinkIsWritable()
    #expect(flow.isDone == (ended && given == sent))
  }
}
