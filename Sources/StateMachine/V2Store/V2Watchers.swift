/// Who is told of events of the v2 store, and the last thousand of them for those who come late: as a value, apart from
/// the store, which only says what happened.
///
/// - Source: etcd `v2store/watcher_hub.go`, `event_history.go`.
public struct V2Watchers<Event: Sendable>: Sendable {
  /// What somebody waits for.
  public struct Interest: Sendable {
    let path: V2Path
    /// Everything below, too, but for hidden nodes.
    let isRecursive: Bool
    /// One event after the other instead of one.
    let isStream: Bool
    /// Index of the first event that counts.
    let since: UInt64

    public init(_ path: String, isRecursive: Bool, isStream: Bool, since: UInt64) {
      self.path = V2Path(path)
      self.isRecursive = isRecursive
      self.isStream = isStream
      self.since = since
    }
  }

  private var history: [(event: V2Event, shown: Event)] = []
  /// Index of the first event that may be remembered.
  private var start: UInt64 = 0
  /// The store's index.
  public private(set) var index: UInt64 = 0
  private var interests: [UInt64: Interest] = [:]
  private var byPath: [V2Path: [UInt64]] = [:]

  public init() {}

  public func isWatching(_ id: UInt64) -> Bool { interests[id] != nil }

  /// Watchers that wait.
  public var count: Int { interests.count }

  // MARK: Watching

  /// What becomes of a new watcher.
  public enum Answer {
    /// It is told at once of what happened already.
    case event(Event)
    case waits
  }

  /// Begins to watch.
  /// - Parameter id: never used before.
  /// - Throws: `eventCleared` when what was asked for is not remembered any more.
  public mutating func watch(_ id: UInt64, _ interest: Interest) throws(V2Error) -> Answer {
    let since = interest.since == 0 ? index &+ 1 : interest.since
    if since < start {
      throw V2Error(
        .eventCleared, "the requested history has been cleared [\(start)/\(since)]", index: index)
    }
    if let known = remembered(interest, since: since) { return .event(known) }
    interests[id] = Interest(interest, since: since)
    byPath[interest.path, default: []].append(id)
    return .waits
  }

  private func remembered(_ interest: Interest, since: UInt64) -> Event? {
    guard since <= index, let first = history.first?.event.index, since >= first else { return nil }
    // checked: an offset within the history, whose indexes follow each other
    return history.dropFirst(Int(since &- first)).first { interest.finds($0.event) }?.shown
  }

  /// Ends a watcher.
  public mutating func remove(_ id: UInt64) {
    guard let interest = interests.removeValue(forKey: id) else { return }
    byPath[interest.path]?.removeAll { $0 == id }
    if byPath[interest.path]?.isEmpty == true { byPath[interest.path] = nil }
  }

  // MARK: Events

  /// Takes an event of the store. Watchers that wanted one alone are gone then.
  /// - Parameter shown: what is remembered and handed out.
  /// - Returns: who is told.
  public mutating func take(_ event: V2Event, _ shown: Event) -> [UInt64] {
    index = event.index
    if history.count >= 2 * V2Store.historyMax { history.removeFirst(V2Store.historyMax) }
    history.append((event.forHistory, shown))
    start = history[Swift.max(history.count - V2Store.historyMax, 0)].event.index
    guard !event.isRefresh, !interests.isEmpty else { return [] }
    var told = below(event)
    for id in told where interests[id]?.isStream == false { remove(id) }
    let names = V2Path(event.node.key).names
    for depth in 0...names.count {
      let path = V2Path(names: Array(names[..<depth]))
      // Who watches a hidden node itself, or something in it, sees what happens there.
      let isHidden = names[depth...].contains { $0.isHidden }
      for id in byPath[path] ?? [] {
        guard let interest = interests[id], event.index >= interest.since,
          depth == names.count || (interest.isRecursive && !isHidden)
        else { continue }
        told.append(id)
        if !interest.isStream { remove(id) }
      }
    }
    return told
  }

  /// Those who watch what an event took out.
  private func below(_ event: V2Event) -> [UInt64] {
    guard let removed = event.removed else { return [] }
    guard removed.isDirectory else {
      return (byPath[V2Path(event.node.key)] ?? []).filter {
        event.index >= interests[$0]?.since ?? .max
      }
    }
    return interests.filter { event.index >= $0.value.since && event.tookOut($0.value.path) }
      .keys.sorted()
  }

  /// The store was replaced: nothing before is remembered.
  /// - Returns: everybody who watched; they would miss what happened in between.
  public mutating func reset(to index: UInt64) -> [UInt64] {
    defer { (history, interests, byPath) = ([], [:], [:]) }
    self.index = index
    start = index &+ 1
    return interests.keys.sorted()
  }
}

extension V2Watchers.Interest {
  fileprivate init(_ other: Self, since: UInt64) {
    path = other.path
    isRecursive = other.isRecursive
    isStream = other.isStream
    self.since = since
  }

  /// Whether a remembered event is one that was waited for.
  /// - Source: etcd `EventHistory.scan`, which shows hidden nodes to those who come late.
  fileprivate func finds(_ event: V2Event) -> Bool {
    guard !event.isRefresh else { return false }
    let names = V2Path(event.node.key).names
    if names == path.names || (isRecursive && names.starts(with: path.names)) { return true }
    guard event.action == .delete || event.action == .expire, let previous = event.previous,
      previous.isDirectory
    else { return false }
    return path.text.utf8.starts(with: previous.key.utf8)
  }
}

extension V2Event {
  /// Without what was taken out.
  fileprivate var forHistory: V2Event {
    V2Event(action, node, previous: previous, index: index, isRefresh: isRefresh)
  }
}
