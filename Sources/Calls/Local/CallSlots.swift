/// Calls of clients that may run at a time; others wait until one ends, in the order in which they came.
/// Confined to a loop.
///
/// - Source: etcd, whose gateway is one client with one connection: `--max-concurrent-streams` bounds what all
///   its callers have under way.
final class CallSlots {
  private let limit: Int
  private var running = 0
  private var waiting: [(call: LocalOrigin, begin: () -> Void)] = []
  private var first = 0

  /// - Parameter limit: the most; at least one.
  init(limit: Int) { self.limit = Swift.max(limit, 1) }

  /// Begins a call now, or when there is room; not at all when it has ended by then.
  func enter(_ call: LocalOrigin, _ begin: @escaping () -> Void) {
    guard running < limit else { return waiting.append((call, begin)) }
    start(call, begin)
  }

  private func start(_ call: LocalOrigin, _ begin: () -> Void) {
    running += 1
    call.onEnd = { self.leave() }
    begin()
  }

  private func leave() {
    running -= 1
    while running < limit, first < waiting.count {
      let (call, begin) = waiting[first]
      first += 1
      if call.isOpen { start(call, begin) }
    }
    guard first * 2 > waiting.count else { return }
    waiting.removeFirst(first)
    first = 0
  }
}
