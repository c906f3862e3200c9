import Member
import Testing

@Suite struct TurnQueueTests {
  @Test func onlyTheFirstOfABatchCallsTheReceiver() {
    var queue = TurnQueue<Int>()
    var receipt = TurnReceipt()
    let calls = [queue.leave(1), queue.leave(2), queue.leave(3)]
    #expect(calls == [true, false, false])
    let first = receipt.take(queue.drain())
    #expect(first == [1, 2, 3])
    let callsAgain = queue.leave(4)
    #expect(callsAgain, "what comes after a batch was taken needs a call of its own")
    let second = receipt.take(queue.drain())
    #expect(second == [4])
  }

  @Test func aCallTooManyReceivesNothing() {
    var queue = TurnQueue<Int>()
    var receipt = TurnReceipt()
    _ = queue.leave(1)
    let first = receipt.take(queue.drain())
    let nothing = receipt.take(queue.drain())
    _ = queue.leave(2)
    let second = receipt.take(queue.drain())
    #expect(first == [1] && nothing.isEmpty && second == [2])
  }

  @Test func batchesThatOvertakeEachOtherTrap() async {
    await #expect(processExitsWith: .failure) {
      var queue = TurnQueue<Int>()
      var receipt = TurnReceipt()
      _ = queue.leave(1)
      let first = queue.drain()
      _ = queue.leave(2)
      _ = receipt.take(queue.drain())
      _ = receipt.take(first)
    }
  }
}
