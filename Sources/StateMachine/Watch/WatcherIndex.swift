import Bytes
import MVCC

/// Names a watcher on one hub.
///
/// - Shape: the number of its place below, and how often places were given out above, so that a place that
///   is used again gives another name.
public struct WatcherID: Hashable, Comparable, Sendable {
  public let rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (a: WatcherID, b: WatcherID) -> Bool { a.rawValue < b.rawValue }
}

/// Watchers by what they watch: single keys by the key, others by a tree of intervals. Those of one interval
/// are a group, so that a key finds each interval once, however many watch it. A value with one owner.
///
/// - Source: etcd `mvcc/watcher_group.go`.
public struct WatcherIndex: Sendable {
  /// Names a group while it has members.
  public typealias GroupID = Int32

  /// The watchers of a group: nearly always one.
  enum Members: Sendable {
    case one(WatcherID)
    case many(Set<WatcherID>)

    var count: Int {
      switch self {
      case .one: 1
      case .many(let ids): ids.count
      }
    }

    func forEach(_ body: (WatcherID) -> Void) {
      switch self {
      case .one(let id): body(id)
      case .many(let ids): for id in ids { body(id) }
      }
    }
  }

  private struct Group: Sendable {
    let interval: KeyInterval
    var members: Members
  }

  private var groups: ContiguousArray<Group?> = []
  private var free: [GroupID] = []
  private var singles = KeyTable()
  private var intervals: IntervalTree<GroupID>

  /// Watchers in the index.
  public private(set) var count = 0

  /// Groups that keep their place when nobody watches.
  private static let groupsKept = 1_024

  /// - Parameter seed: unknown to clients, so that they cannot choose intervals that are slow to find.
  public init(seed: UInt64) { intervals = IntervalTree(seed: seed) }

  private subscript(_ id: GroupID) -> Group {
    get {
      guard let group = groups[Int(id)] else { preconditionFailure("group \(id) has no watchers") }
      return group
    }
    set { groups[Int(id)] = newValue }
  }

  private func find(_ interval: KeyInterval) -> GroupID? {
    interval.isSingle ? findSingle(interval.start) : intervals[interval]
  }

  private func findSingle(_ key: Bytes) -> GroupID? {
    singles.find(key) { self[$0].interval.start }
  }

  /// Makes a group known by its interval, which no other has.
  private mutating func enter(_ id: GroupID, _ interval: KeyInterval) {
    guard interval.isSingle else {
      intervals[interval] = id
      return
    }
    singles.insert(id, interval.start) { [groups] in Self.key(groups, $0) }
  }

  /// The opposite, while the group still has its place.
  private mutating func leave(_ interval: KeyInterval) {
    guard interval.isSingle else {
      intervals[interval] = nil
      return
    }
    singles.remove(interval.start) { [groups] in Self.key(groups, $0) }
  }

  private static func key(_ groups: ContiguousArray<Group?>, _ id: GroupID) -> Bytes {
    guard let group = groups[Int(id)] else { preconditionFailure("group \(id) has no watchers") }
    return group.interval.start
  }

  /// Adds a watcher; it must not be there.
  /// - Returns: its group.
  @discardableResult
  public mutating func add(_ id: WatcherID, of interval: KeyInterval) -> GroupID {
    count += 1
    if let group = find(interval) {
      // The members are moved out meanwhile: a set that is shared would be copied for every one.
      guard var found = groups[Int(group)] else { preconditionFailure("group without watchers") }
      groups[Int(group)] = nil
      found.members = Self.insert(id, into: found.members)
      groups[Int(group)] = found
      return group
    }
    let made = Group(interval: interval, members: .one(id))
    let group: GroupID
    if let reused = free.popLast() {
      group = reused
      self[group] = made
    } else {
      precondition(groups.count < Int(GroupID.max), "2^31 intervals are watched")
      group = GroupID(truncatingIfNeeded: groups.count)
      groups.append(made)
    }
    enter(group, interval)
    return group
  }

  private static func insert(_ id: WatcherID, into members: consuming Members) -> Members {
    switch members {
    case .one(let first): return .many([first, id])
    case .many(var ids):
      ids.insert(id)
      return .many(ids)
    }
  }

  /// Removes a watcher, which must be in the group.
  public mutating func remove(_ id: WatcherID, from group: GroupID) {
    count -= 1
    guard let found = groups[Int(group)] else { preconditionFailure("group without watchers") }
    if case .one(let only) = found.members {
      precondition(only == id, "another watcher is alone in the group")
      leave(found.interval)
      groups[Int(group)] = nil
      free.append(group)
      if count == 0, groups.count > Self.groupsKept {
        groups = []
        free = []
      }
      return
    }
    // The members are moved out meanwhile, as above.
    groups[Int(group)] = nil
    groups[Int(group)] = Group(
      interval: found.interval, members: Self.take(id, from: found.members))
  }

  private static func take(_ id: WatcherID, from members: consuming Members) -> Members {
    guard case .many(var ids) = members else { preconditionFailure("one member is no group") }
    precondition(ids.remove(id) != nil, "the watcher is not in the group")
    if ids.count == 1, let last = ids.first { return .one(last) }
    return .many(ids)
  }

  /// What the watchers of a group watch.
  public func interval(of group: GroupID) -> KeyInterval { self[group].interval }

  /// Calls `body` with every watcher of a group, in no order.
  public func members(of group: GroupID, _ body: (WatcherID) -> Void) {
    self[group].members.forEach(body)
  }

  /// Watchers of a group.
  public func count(of group: GroupID) -> Int { self[group].members.count }

  /// Calls `body` with every group that a key concerns, once each, in no order.
  public func visit(_ key: Bytes, _ body: (GroupID) -> Void) {
    if let group = findSingle(key) { body(group) }
    if intervals.count > 0 { intervals.visit(holding: key, body) }
  }

  /// Guarantees: those of `IntervalTree`, and
  /// 1. every group has members, as many in all as `count` says, and is found by its interval.
  ///
  /// - Returns: the first one that does not hold.
  public func checkInvariants() -> String? {
    if let problem = intervals.checkInvariants() { return problem }
    var total = 0
    for (number, group) in groups.enumerated() {
      guard let group else { continue }
      total += group.members.count
      guard let found = find(group.interval), Int(found) == number else {
        return "1: group \(number) is not found by its interval"
      }
    }
    guard total == count else { return "1: \(total) watchers in groups, \(count) counted" }
    return nil
  }
}
