import EtcdAPI

/// When news of a watch is told: at once, unless very many were told just now. Pure: the time comes from outside.
///
/// To tell ten thousand watchers takes time, of the proxy and still more of whoever they belong to; what happens
/// meanwhile is told together then. Those who share a watch with few hear of everything at once.
struct WatchPace {
  enum Step: Equatable {
    case tell
    /// Nothing is to be told before some time has passed.
    case tellLater(Duration)
    /// That is known already.
    case wait
  }

  private var events: [Mvccpb.Event] = []
  private var header = Etcdserverpb.ResponseHeader()
  /// Before that nothing is told but with much else.
  private var next: UInt64 = 0
  private var interval: UInt64 = 0
  private var isDue = false

  /// Between news, for each watcher, in nanoseconds.
  static let pause: UInt64 = 2_500
  /// Events that are held.
  static let heldMax = 1_000
  /// Pauses that are worth a timer, in nanoseconds.
  private static let least: UInt64 = 1_000_000

  /// Takes news; all that is held is told when the step says so.
  mutating func take(
    _ header: Etcdserverpb.ResponseHeader, _ events: [Mvccpb.Event], watchers: Int, now: UInt64
  ) -> Step {
    self.header = header
    self.events += events
    interval = UInt64(watchers) &* Self.pause
    if self.events.count >= Self.heldMax || next <= now || interval < Self.least { return .tell }
    if isDue { return .wait }
    isDue = true
    return .tellLater(.nanoseconds(Int64(clamping: next &- now)))
  }

  /// The time of `tellLater` is over.
  mutating func due() { isDue = false }

  /// What is held, which is told now; `nil` for nothing.
  mutating func release(
    now: UInt64
  ) -> (header: Etcdserverpb.ResponseHeader, events: [Mvccpb.Event])? {
    guard !events.isEmpty else { return nil }
    next = now &+ interval
    defer { events = [] }
    return (header, events)
  }
}
