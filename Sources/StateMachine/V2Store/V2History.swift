/// The last events of a v2 store, for those who begin to watch late.
///
/// - Source: etcd `v2store/event_history.go`, `event_queue.go`.
public struct V2History: Sendable {
  /// Events that are remembered, as by Go's store.
  static let eventsMax = 1_000
  /// Bytes of keys and values in them: raft snapshots hold all events, and go over the network as one message. Go has
  /// no such bound.
  static let bytesMax = 64 << 20

  /// Oldest first. What is in front of the last `count` is forgotten, and goes when it has become much.
  private var kept: [V2Event] = []
  private(set) var count = 0
  /// Place of the next event in Go's ring.
  private(set) var back = 0
  private var bytes = 0
  /// Index of the first event that may be asked for.
  private(set) var start: UInt64

  /// Nothing is remembered of a store that has come to `index`.
  init(emptyAt index: UInt64 = 0) { start = index == 0 ? 0 : index &+ 1 }

  /// - Parameters:
  ///   - events: with indexes that follow each other.
  ///   - back: the place behind the last one.
  init(_ events: some Sequence<V2Event>, back: Int) {
    self.init()
    for event in events { append(event) }
    self.back = back % Self.eventsMax
  }

  var events: ArraySlice<V2Event> { kept.suffix(count) }

  mutating func append(_ event: V2Event) {
    kept.append(event.withoutRemoved)
    count += 1
    bytes += event.size
    back = (back + 1) % Self.eventsMax
    while count > Self.eventsMax || (bytes > Self.bytesMax && count > 1) {
      bytes -= kept[kept.count - count].size
      count -= 1
    }
    if kept.count > 2 * count + 64 { kept.removeFirst(kept.count - count) }
    start = kept[kept.count - count].index
  }

  /// The first event from an index on that somebody waits for.
  func first(since index: UInt64, where isWanted: (V2Event) -> Bool) -> V2Event? {
    guard let first = events.first?.index, index >= first, index &- first < UInt64(count) else {
      return nil
    }
    // checked: less than the events that there are
    return events.dropFirst(Int(index &- first)).first(where: isWanted)
  }
}

extension V2History: Hashable {
  public static func == (a: V2History, b: V2History) -> Bool {
    a.back == b.back && a.start == b.start && a.events == b.events
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(start) }
}

extension V2Event {
  fileprivate var withoutRemoved: V2Event {
    var event = self
    event.removed = nil
    return event
  }

  /// Bytes that it holds, about.
  fileprivate var size: Int {
    256 + node.key.utf8.count + (node.value?.utf8.count ?? 0) + (previous?.value?.utf8.count ?? 0)
  }
}
