import Synchronization

/// A turn of a loop that took long: everybody else on the loop has waited for its end.
public struct SlowTurn: Sendable {
  /// The loop's name.
  public let loop: String
  public let duration: Duration
  /// What the turn did, most telling first: `reads 3, work 120, timers 1`.
  public let work: String
}

/// Measures the turns of a loop, with one look at the clock more a turn.
struct TurnMeter {
  /// What gives a turn something to do.
  enum Cause: Int, CaseIterable { case reads, work, timers, accepts, continued }

  var onSlow: ((SlowTurn) -> Void)?
  /// Nanoseconds above which a turn is slow.
  static let slowNanoseconds: UInt64 = 50_000_000

  private var startedAt: UInt64 = 0
  /// How often each cause came in this turn; bounded by what fits.
  private var counts: (Int32, Int32, Int32, Int32, Int32) = (0, 0, 0, 0, 0)

  var isRunning: Bool { startedAt != 0 }

  /// Something is about to be done.
  /// - Parameter now: the turn's time, read with its first event.
  @inline(__always)
  mutating func begin(_ now: @autoclosure () -> UInt64, _ cause: Cause) {
    if startedAt == 0 { startedAt = now() }
    switch cause {
    case .reads: counts.0 &+= 1
    case .work: counts.1 &+= 1
    case .timers: counts.2 &+= 1
    case .accepts: counts.3 &+= 1
    case .continued: counts.4 &+= 1
    }
  }

  /// The turn is over.
  /// - Returns: nanoseconds since its first event.
  mutating func end(_ now: UInt64, loop: String) -> UInt64 {
    let time = now > startedAt ? now - startedAt : 0
    startedAt = 0
    let seen = counts
    counts = (0, 0, 0, 0, 0)
    guard time > Self.slowNanoseconds, let onSlow else { return time }
    let named = zip(
      ["reads", "work", "timers", "accepts", "continued"], [seen.0, seen.1, seen.2, seen.3, seen.4])
    let text = named.filter { $0.1 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    onSlow(SlowTurn(loop: loop, duration: .nanoseconds(Int64(clamping: time)), work: text))
    return time
  }
}

/// The longest turn of a loop, for other threads to read.
final class LongestTurn: Sendable {
  private let nanoseconds = Atomic<UInt64>(0)

  /// On the loop, the only writer of larger values.
  @inline(__always)
  func note(_ time: UInt64) {
    if time > nanoseconds.load(ordering: .relaxed) { nanoseconds.store(time, ordering: .relaxed) }
  }

  func take() -> UInt64 { nanoseconds.exchange(0, ordering: .relaxed) }
}

extension EventLoop {
  /// Nanoseconds of the longest turn since the last call: how long anybody on this loop had to wait. Any
  /// thread.
  public func takeLongestTurn() -> UInt64 { longestTurn.take() }

  /// Calls `body` on the loop after each turn of more than 50 ms. On the loop only.
  public func onSlowTurn(_ body: @escaping (SlowTurn) -> Void) {
    preconditionCurrent()
    meter.onSlow = body
  }
}
