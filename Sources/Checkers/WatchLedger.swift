/// What watchers were told: in order, each revision once and whole, and all the same.
public struct WatchLedger<Event: Equatable & Sendable>: Sendable {
  /// Events of a response with their revisions.
  public typealias Told = [(revision: Int64, event: Event)]

  /// What each revision changed, as the first who saw all of it was told.
  public private(set) var changes: [Int64: [Event]] = [:]

  public init() {}

  /// A watcher is told events.
  /// - Parameters:
  ///   - next: the first revision that it has not seen.
  ///   - seesAll: whether it is told all that a revision changes.
  ///   - isDense: whether every revision has something for it.
  ///   - name: who it is, for messages.
  /// - Returns: the events by revision, and what is wrong with them.
  public mutating func tell(
    _ events: Told, next: Int64, seesAll: Bool, isDense: Bool,
    _ name: (watcher: String, place: String)
  ) -> (found: [Int64: [Event]], problems: [String]) {
    var problems: [String] = []
    var found: [Int64: [Event]] = [:]
    var last = next &- 1
    for (revision, event) in events {
      if revision < last || revision < next || isDense && revision > last &+ 1 {
        problems.append("\(name.watcher) at \(name.place) saw \(revision) after \(last)")
      }
      last = revision
      found[revision, default: []].append(event)
    }
    guard seesAll else { return (found, problems) }
    for (revision, events) in found.sorted(by: { $0.key < $1.key }) {
      if let known = changes[revision], known != events {
        problems.append("revision \(revision) is \(known), and at \(name.place) \(events)")
      }
      changes[revision] = events
    }
    return (found, problems)
  }

  /// What a watcher should have been told and was not, or otherwise.
  /// - Parameters:
  ///   - told: what it was told, by revision.
  ///   - last: the last revision that it must have seen.
  ///   - wants: which events it is to be told of.
  ///   - isExcused: whether it need not know a revision that it was told nothing of.
  public func missing(
    _ told: [Int64: [Event]], upTo last: Int64, wants: (Event) -> Bool,
    isExcused: (Int64) -> Bool
  ) -> [(revision: Int64, told: [Event], wanted: [Event])] {
    changes.keys.sorted().compactMap { revision in
      guard revision <= last else { return nil }
      let wanted = changes[revision, default: []].filter(wants)
      let told = told[revision] ?? []
      guard told != wanted, !(told.isEmpty && isExcused(revision)) else { return nil }
      return (revision, told, wanted)
    }
  }
}
