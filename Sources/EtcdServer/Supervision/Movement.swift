import EventLoops
import Synchronization

/// Signs of life of a member's threads. Any thread.
public final class Movement: Sendable {
  /// Turns of the core that ended, and ticks of its clock.
  let turns = Atomic<UInt64>(0)
  let ticks = Atomic<UInt64>(0)
  /// Questions to the log thread, and those it came to.
  private let asked = Atomic<UInt64>(0)
  private let answered = Atomic<UInt64>(0)

  /// What was seen at one time.
  struct Sight: Equatable {
    var turns: UInt64 = 0
    var ticks: UInt64 = 0
    var logAnswers: UInt64 = 0
  }

  var sight: Sight {
    Sight(
      turns: turns.load(ordering: .relaxed), ticks: ticks.load(ordering: .relaxed),
      logAnswers: answered.load(ordering: .relaxed))
  }

  /// Asks the log thread for a sign, unless it owes one.
  func ask(_ log: LogWorker) {
    guard asked.load(ordering: .relaxed) == answered.load(ordering: .relaxed) else { return }
    asked.add(1, ordering: .relaxed)
    log.whenReached { self.answered.add(1, ordering: .relaxed) }
  }
}

/// Decides from sights whether everything moves.
struct MovementGate {
  /// Nanoseconds that a part may be still.
  let patience: UInt64
  private var last = Movement.Sight()
  private var movedAt: (turns: UInt64, ticks: UInt64, log: UInt64)

  init(patience: Duration, now: UInt64) {
    self.patience = patience.nanoseconds
    movedAt = (now, now, now)
  }

  /// - Parameter now: nanoseconds of a clock that does not go back.
  /// - Returns: parts that have been still for too long; none when all move.
  mutating func stuck(_ sight: Movement.Sight, now: UInt64) -> [String] {
    if sight.turns != last.turns { movedAt.turns = now }
    if sight.ticks != last.ticks { movedAt.ticks = now }
    if sight.logAnswers != last.logAnswers { movedAt.log = now }
    last = sight
    var parts: [String] = []
    if now &- movedAt.turns > patience || now &- movedAt.ticks > patience { parts.append("core") }
    if now &- movedAt.log > patience { parts.append("log") }
    return parts
  }
}
