/// Who is told of events of the v2 store, with the store's history for those who come late: as a value, apart from the
/// store, which only says what happened.
///
/// - Source: etcd `v2store/watcher_hub.go`, `event_history.go`.
public struct V2Watchers: Sendable {
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

  private var history = V2History()
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
    case event(V2Event)
    case waits
  }

  /// Begins to watch.
  /// - Parameter id: never used before.
  /// - Throws: `eventCleared` when what was asked for is not remembered any more.
  public mutating func watch(_ id: UInt64, _ interest: Interest) throws(V2Error) -> Answer {
    let since = interest.since == 0 ? index &+ 1 : interest.since
    if since < history.start {
      throw V2Error(
        .eventCleared, "the requested history has been cleared [\(history.start)/\(since)]",
        index: index)
    }
    if let known = history.first(since: since, where: { interest.finds($0) }) {
      return .event(known)
    }
    interests[id] = Interest(interest, since: since)
    byPath[interest.path, default: []].append(id)
    return .waits
  }

  /// Ends a watcher.
  public mutating func remove(_ id: UInt64) {
    guard let interest = interests.removeValue(forKey: id) else { return }
    byPath[interest.path]?.removeAll { $0 == id }
    if byPath[interest.path]?.isEmpty == true { byPath[interest.path] = nil }
  }

  // MARK: Events

  /// Takes an event of the store. Watchers that wanted one alone are gone then.
  /// - Returns: who is told.
  public mutating func take(_ event: V2Event) -> [UInt64] {
    index = event.index
    history.append(event)
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

  /// The store was replaced by another, with its history.
  /// - Returns: everybody who watched; they would miss what happened in between.
  public mutating func reset(to index: UInt64, _ history: V2History) -> [UInt64] {
    defer { (interests, byPath) = ([:], [:]) }
    self.index = index
    self.history = history
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
