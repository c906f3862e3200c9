import Bytes
import EtcdAPI
import Testing

@testable import Member

@Suite struct ReadQueueTests {
  private func isRepeated(_ queue: inout ReadQueue, _ tick: Int) -> Bool {
    queue.retry(tick: tick, after: 5)
  }

  /// An answer that takes longer than the retries still confirms the round: the network is slow, not
  /// dead. What came after the round was asked has to wait for the next.
  @Test func aLateAnswerConfirmsARoundThatWasAskedAgain() {
    var queue = ReadQueue()
    queue.add([1, 2], tick: 0)
    queue.begin(context: "first", tick: 0)
    queue.add([3], tick: 1)
    let repeats = [isRepeated(&queue, 4), isRepeated(&queue, 5), isRepeated(&queue, 6)]
    #expect(repeats == [false, true, false])
    #expect(queue.context == "first" && !queue.wantsRound)
    queue.confirm("first", index: 7)
    #expect(queue.checkInvariants(applied: 6) == nil)
    let early = queue.release(applied: 6).map(\.id)
    let released = queue.release(applied: 7).map(\.id)
    #expect(early.isEmpty && released == [1, 2])
    #expect(queue.wantsRound, "the third read has not been asked for")
  }

  /// The second answer to a round that was asked twice says nothing about the next one.
  @Test func aSecondAnswerConfirmsNoLaterRound() {
    var queue = ReadQueue()
    queue.add([1], tick: 0)
    queue.begin(context: "first", tick: 0)
    _ = isRepeated(&queue, 5)
    queue.confirm("first", index: 7)
    queue.add([2], tick: 6)
    queue.begin(context: "second", tick: 6)
    queue.confirm("first", index: 8)
    let released = queue.release(applied: 9).map(\.id)
    #expect(released == [1])
  }
}
