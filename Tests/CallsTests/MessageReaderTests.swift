import Bytes
import Calls
import EventLoops
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct MessageReaderTests {
  /// A reader that begins to wait while a message or the end arrives gets it: between its first look and its
  /// waiting other work of the loop may run.
  @Test(arguments: 0..<6)
  func whatComesWhileAReaderBeginsToWaitIsNotLost(_ turns: Int) async throws {
    let (message, end) = try await withLoop { loop in
      let reader = MessageReader(loop: loop)
      let first = Task(executorPreference: loop) { try await reader.next() }
      for _ in 0..<turns { await Task.yield() }
      reader.deliver("m", wireBytes: 1)
      let message = try await first.value
      let second = Task(executorPreference: loop) { try await reader.next() }
      for _ in 0..<turns { await Task.yield() }
      reader.finish()
      return (message, try await second.value)
    }
    #expect(message == "m")
    #expect(end == nil)
  }

  /// Room is given back for what was read, and for nothing else.
  @Test func onlyWhatIsReadGivesRoom() async throws {
    final class Source: MessageSource, Sendable {
      let bytes = Mutex(0)
      func taken(_ wireBytes: Int) { bytes.withLock { $0 += wireBytes } }
    }
    let source = Source()
    let rooms = try await withLoop { loop in
      let reader = MessageReader(loop: loop)
      reader.source = source
      for size in [10, 20, 40] { reader.deliver("m", wireBytes: size) }
      var rooms = [source.bytes.withLock { $0 }]
      for _ in 0..<2 {
        _ = try await reader.next()
        rooms.append(source.bytes.withLock { $0 })
      }
      reader.fail(.cancelled)
      await #expect(throws: GRPCStatus.cancelled) { _ = try await reader.next() }
      return rooms
    }
    #expect(rooms == [0, 10, 30])
  }
}
