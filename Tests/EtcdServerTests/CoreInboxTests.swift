import Bytes
import EtcdAPI
import EventLoops
import Member
import Synchronization
import Testing

@testable import EtcdServer

@Suite struct CoreInboxTests {
  private static func idle() -> CoreInbox {
    var inbox = CoreInbox()
    _ = inbox.finish(pending: 0, turns: 0)
    return inbox
  }

  /// `#expect` takes no mutating calls.
  private func expect<T: Equatable>(
    _ got: T, _ wanted: T, _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(got == wanted, sourceLocation: location)
  }

  private static func proposals(_ count: Int) -> MemberEvent {
    .propose((0..<count).map { Proposal(id: RequestID(UInt64($0)), data: Bytes()) })
  }

  @Test func nobodyWorksBeforeTheStartIsOver() {
    var inbox = CoreInbox()
    expect(inbox.leave([.tick]), .nothing)
    expect(inbox.finish(pending: 0, turns: 0), .work)
    expect(inbox.take().count, 1)
  }

  @Test func fewEventsAreTheCallersWork() {
    var inbox = Self.idle()
    expect(inbox.leave([Self.proposals(CoreInbox.lightWeight)]), .work)
    // Who comes meanwhile leaves the events to the one that works.
    expect(inbox.leave([.tick]), .nothing)
    expect(inbox.take().count, 2)
    expect(inbox.finish(pending: 0, turns: 1), .nothing)
  }

  @Test func manyEventsAreTheCoresWork() {
    var inbox = Self.idle()
    expect(inbox.leave([Self.proposals(CoreInbox.lightWeight + 1)]), .wake)
    expect(inbox.leave([.tick]), .nothing)
    expect(inbox.arrive(), true)
    expect(inbox.arrive(), false)
    expect(inbox.take().count, 2)
    expect(inbox.finish(pending: 0, turns: 1), .nothing)
    expect(inbox.leave([.snapshotSaved(7)]), .wake)
  }

  @Test func readsWeighLittle() {
    var inbox = Self.idle()
    expect(inbox.leave([.read((0..<900).map { RequestID($0) })]), .work)
    expect(inbox.take().count, 1)
    expect(inbox.finish(pending: 0, turns: 1), .nothing)
    expect(inbox.leave([.read((0..<5_000).map { RequestID($0) })]), .wake)
  }

  @Test func aBusyMemberLeavesTheTurnToTheCore() {
    var inbox = Self.idle()
    expect(inbox.leave([.tick]), .work)
    _ = inbox.take()
    expect(inbox.finish(pending: CoreInbox.lightWeight + 1, turns: 1), .nothing)
    expect(inbox.leave([.tick]), .wake)
    expect(inbox.arrive(), true)
    _ = inbox.take()
    expect(inbox.finish(pending: 0, turns: 1), .nothing)
    expect(inbox.leave([.tick]), .work)
  }

  @Test func aThreadWorksNoMoreThanAFewTurns() {
    var inbox = Self.idle()
    expect(inbox.leave([.tick]), .work)
    for turn in 1...CoreInbox.turnsMax {
      _ = inbox.take()
      expect(inbox.leave([.tick]), .nothing)
      let duty = inbox.finish(pending: 0, turns: turn)
      #expect(duty == (turn < CoreInbox.turnsMax ? .work : .wake))
    }
  }

  @Test func aClosedInboxGivesNoWork() {
    var inbox = Self.idle()
    expect(inbox.leave([.tick]), .work)
    expect(inbox.close(), true)
    expect(inbox.isClosed, true)
    expect(inbox.take().isEmpty, true)
    expect(inbox.finish(pending: 0, turns: 1), .nothing)
    expect(inbox.leave([.tick]), .nothing)
    expect(inbox.arrive(), false)
    inbox = Self.idle()
    #expect(inbox.close() == false, "nobody is at a turn")
  }

  /// Threads that leave events at the same time, as the host does it: one works at a time, and every
  /// event is taken.
  @Test(.timeLimit(.minutes(5))) func threadsNeverWorkAtTheSameTime() {
    let each = 20_000
    let host = Host(expected: 4 * each)
    let posters = (0..<4).map { _ in WorkerThread(name: "poster") }
    for (number, poster) in posters.enumerated() {
      poster.execute {
        for event in 0..<each {
          host.post([event % 50 == number ? Self.proposals(CoreInbox.lightWeight + 1) : .tick])
        }
      }
    }
    for poster in posters { poster.stop() }
    host.done.wait()
    host.core.stop()
    #expect(host.handled == 4 * each)
  }

  private final class Host: @unchecked Sendable {
    // @unchecked: `handled` belongs to the thread that works, which is what the test is about.
    let inbox = Mutex(CoreInboxTests.idle())
    let core = WorkerThread(name: "core")
    /// Opened when everything was handled.
    let done = Gate()
    private let expected: Int
    private let working = Atomic<Int>(0)
    private(set) var handled = 0

    init(expected: Int) { self.expected = expected }

    func post(_ events: [MemberEvent]) { attend(inbox.withLock { $0.leave(events) }) }

    private func attend(_ duty: CoreInbox.Duty) {
      switch duty {
      case .nothing: break
      case .work: work()
      case .wake: core.execute { if self.inbox.withLock({ $0.arrive() }) { self.work() } }
      }
    }

    private func work() {
      var turns = 0
      var duty = CoreInbox.Duty.work
      while duty == .work {
        #expect(working.add(1, ordering: .relaxed).newValue == 1)
        handled += inbox.withLock { $0.take() }.count
        if handled == expected { done.open() }
        #expect(working.subtract(1, ordering: .relaxed).newValue == 0)
        turns += 1
        duty = inbox.withLock { $0.finish(pending: 0, turns: turns) }
      }
      attend(duty)
    }
  }
}
