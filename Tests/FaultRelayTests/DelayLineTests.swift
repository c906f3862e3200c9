import Bytes
import Testing

@testable import FaultRelay

/// One direction of a connection, without sockets and clocks.
@Suite struct DelayLineTests {
  private func rule(_ change: (inout LinkRule) -> Void = { _ in }) -> LinkRule {
    var rule = LinkRule()
    change(&rule)
    return rule
  }

  private func bytes(_ text: String) -> DelayLine.Release { .bytes(Bytes(text)) }

  @Test func clearLinksHandOnAtOnce() {
    var line = DelayLine()
    line.add(Bytes("a"), rule(), now: 5) { 0 }
    line.add(Bytes("b"), rule(), now: 5) { 0 }
    line.end(now: 6)
    #expect(line.take(rule(), now: 6) == [bytes("a"), bytes("b"), .end])
    #expect(line.isEmpty && line.bytesWaiting == 0 && line.nextDue(rule()) == nil)
  }

  @Test func slowLinksKeepTheOrder() {
    let slow = rule { ($0.delay, $0.jitter) = (100, 40) }
    var line = DelayLine()
    line.add(Bytes("a"), slow, now: 0) { 1 }
    // By chance earlier than what came before: a stream waits.
    line.add(Bytes("b"), slow, now: 1) { 0 }
    #expect(line.nextDue(slow) == 140)
    #expect(line.take(slow, now: 139) == [])
    #expect(line.take(slow, now: 140) == [bytes("a"), bytes("b")])
    line.add(Bytes("c"), slow, now: 200) { 0 }
    #expect(line.nextDue(slow) == 260)
  }

  @Test func heldBytesArriveLate() {
    let held = rule { $0.cut = .hold }
    var line = DelayLine()
    line.add(Bytes("a"), held, now: 0) { 0 }
    line.end(now: 1)
    #expect(line.take(held, now: 1_000) == [] && line.nextDue(held) == nil && !line.hasLost)
    #expect(line.take(rule(), now: 1_000) == [bytes("a"), .end])
  }

  @Test func swallowedBytesAreMissed() {
    let swallowing = rule { $0.cut = .swallow }
    var line = DelayLine()
    line.add(Bytes("a"), swallowing, now: 0) { 0 }
    #expect(line.isEmpty && line.hasLost)
    // What was on its way when the cut began, and the end that is sent again.
    var other = DelayLine()
    other.add(Bytes("a"), rule { $0.delay = 50 }, now: 0) { 0 }
    other.end(now: 1)
    #expect(!other.hasLost && other.take(swallowing, now: 10) == [] && other.hasLost)
    #expect(other.take(rule(), now: 60) == [.end])
  }

  @Test func limitedLinksTakeTheirTime() {
    let limited = rule { $0.rate = 1_000 }
    var line = DelayLine()
    line.add(Bytes("0123456789"), limited, now: 0) { 0 }
    line.add(Bytes("0123456789"), limited, now: 0) { 0 }
    #expect(line.nextDue(limited) == 10_000_000)
    #expect(line.take(limited, now: 10_000_000).count == 1)
    #expect(line.nextDue(limited) == 20_000_000)
  }

  @Test func lostSegmentsComeAgainLater() {
    let lossy = rule { $0.loss = 0.5 }
    var line = DelayLine()
    var chances = [0.1, 0.1, 0.9]
    line.add(Bytes("a"), lossy, now: 0) { chances.removeFirst() }
    #expect(line.nextDue(lossy) == 600_000_000 && !line.isDead)
    var other = DelayLine()
    other.add(Bytes("a"), lossy, now: 0) { 0 }
    #expect(other.isDead, "TCP gives up")
  }

  @Test func whatWaitsIsBounded() {
    let held = rule { $0.cut = .hold }
    var line = DelayLine()
    line.add(Bytes([UInt8](repeating: 0, count: DelayLine.bytesMax - 1)), held, now: 0) { 0 }
    #expect(!line.isFull)
    line.add(Bytes("a"), held, now: 0) { 0 }
    #expect(line.isFull)
  }
}
