/// A timer of an `EventLoop`; confined to that loop.
public final class LoopTimer: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `cancel()` and `EventLoop.schedule`.
  unowned let loop: EventLoop
  /// Monotonic nanoseconds at which it is due next.
  public internal(set) var deadline: UInt64
  let interval: UInt64?
  var body: (() -> Void)?
  /// Whether the heap holds it.
  var isQueued = false

  init(loop: EventLoop, deadline: UInt64, interval: UInt64?, body: @escaping () -> Void) {
    self.loop = loop
    self.deadline = deadline
    self.interval = interval
    self.body = body
  }

  /// Whether it may still fire.
  public var isActive: Bool { body != nil }

  /// Makes sure that it never fires again; releases the body. Harmless when repeated.
  public func cancel() {
    guard body != nil else { return }
    loop.preconditionCurrent()
    body = nil
    if isQueued { loop.timers.noteCancelled() }
  }
}

/// Timers ordered by deadline, then by order of insertion: a binary heap.
///
/// A cancelled timer stays as an empty entry until it comes up or until half of the heap is empty
/// entries, so cancelling is O(1) amortised and a million short calls with long deadlines stay small.
///
/// - Complexity: insertion and removal O(log n).
struct TimerHeap {
  private struct Entry {
    let deadline: UInt64
    let order: UInt64
    let timer: LoopTimer
    func isBefore(_ other: Entry) -> Bool {
      deadline != other.deadline ? deadline < other.deadline : order < other.order
    }
  }

  private var entries: [Entry] = []
  private var nextOrder: UInt64 = 0
  private var cancelled = 0

  var count: Int { entries.count }

  /// Deadline of the earliest timer that was not cancelled.
  mutating func earliest() -> UInt64? {
    while let first = entries.first {
      if first.timer.isActive { return first.deadline }
      removeFirst()
      cancelled -= 1
    }
    return nil
  }

  mutating func insert(_ timer: LoopTimer) {
    timer.isQueued = true
    entries.append(Entry(deadline: timer.deadline, order: nextOrder, timer: timer))
    nextOrder += 1
    siftUp(entries.count - 1)
  }

  /// The earliest timer due at `now`, removed from the heap.
  mutating func popDue(_ now: UInt64) -> LoopTimer? {
    guard let deadline = earliest(), deadline <= now else { return nil }
    return removeFirst().timer
  }

  mutating func noteCancelled() {
    cancelled += 1
    guard cancelled > 64, cancelled > entries.count / 2 else { return }
    entries.removeAll { !$0.timer.isActive }
    // What is left is active; the dropped timers never come back.
    cancelled = 0
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  mutating func removeAll() {
    entries.removeAll()
    cancelled = 0
  }

  @discardableResult
  private mutating func removeFirst() -> Entry {
    let first = entries[0]
    first.timer.isQueued = false
    let last = entries.removeLast()
    if !entries.isEmpty {
      entries[0] = last
      siftDown(0)
    }
    return first
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 2
      guard entries[index].isBefore(entries[parent]) else { return }
      entries.swapAt(index, parent)
      index = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var smallest = index
      for child in (2 * index + 1)...(2 * index + 2)
      where child < entries.count && entries[child].isBefore(entries[smallest]) {
        smallest = child
      }
      guard smallest != index else { return }
      entries.swapAt(index, smallest)
      index = smallest
    }
  }
}
