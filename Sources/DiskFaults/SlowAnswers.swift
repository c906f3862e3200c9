/// Calls whose answers have to wait. Pure.
///
/// - Units: nanoseconds of one clock.
struct SlowAnswers {
  struct Entry: Equatable {
    let listener: Int32
    let id: UInt64
    var due: UInt64
  }

  /// A process has at most one for each of its threads.
  private(set) var entries: [Entry] = []

  mutating func add(_ entry: Entry) { entries.append(entry) }

  /// Nanoseconds until the next is due; `nil` when none waits.
  func wait(_ now: UInt64) -> UInt64? {
    entries.map(\.due).min().map { $0 > now ? $0 - now : 0 }
  }

  /// Those that are due, the oldest first.
  mutating func take(_ now: UInt64) -> [Entry] {
    let due = entries.filter { $0.due <= now }
    if !due.isEmpty { entries.removeAll { $0.due <= now } }
    return due.sorted { $0.due < $1.due }
  }

  /// Another rule holds: nobody waits for longer than it says.
  mutating func hurry(_ listener: Int32, atMost delay: UInt64, _ now: UInt64) {
    for index in entries.indices where entries[index].listener == listener {
      entries[index].due = min(entries[index].due, now &+ delay)
    }
  }

  /// Its process is gone.
  mutating func forget(_ listener: Int32) { entries.removeAll { $0.listener == listener } }
}
