import Bytes
import MVCC

/// Names a watcher on one hub.
///
/// - Shape: the number of its place below, and how often places were given out above, so that a place that
///   is used again gives another name.
public struct WatcherID: Hashable, Comparable, Sendable {
  public let rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  var place: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
  var serial: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
  /// Names no watcher: those begin with 1.
  static let nobody = WatcherID(0)
  public static func < (a: WatcherID, b: WatcherID) -> Bool { a.rawValue < b.rawValue }
}

/// Watchers by what they watch: single keys by the key, others by a tree of intervals. Those of one interval
/// are a group, so that a key finds each interval once, however many watch it. A value with one owner.
///
/// - Source: etcd `mvcc/watcher_group.go`.
public struct WatcherIndex: Sendable {
  /// Names a group while it has members.
  public typealias GroupID = Int32

  /// An interval that is watched. Forty bytes: there may be a million.
  private struct Group: Sendable {
    private enum Shape: UInt8 {
      case single, from, between
    }

    /// Start and end, behind each other.
    private let keys: Bytes
    private let startCount: UInt32
    private let shape: Shape
    /// The one watcher; nobody when the group is a crowd.
    var only: WatcherID

    init(_ interval: KeyInterval, _ id: WatcherID) {
      // checked: keys came in one message, which is smaller than 4 GiB.
      startCount = UInt32(interval.start.count)
      only = id
      if let end = interval.end {
        keys = interval.start.followed(by: end)
        shape = .between
      } else {
        keys = interval.start
        shape = interval.isSingle ? .single : .from
      }
    }

    var start: Bytes { keys[0..<Int(startCount)] }

    var interval: KeyInterval {
      switch shape {
      case .single: KeyInterval(key: keys, rangeEnd: Bytes())
      case .from: KeyInterval(key: keys, rangeEnd: Group.noEnd)
      case .between: KeyInterval(key: start, rangeEnd: keys[Int(startCount)..<keys.count])
      }
    }

    private static let noEnd = Bytes([0])
  }

  private var groups = ChunkedArray<Group?>()
  /// The watchers of groups that have more than one.
  private var crowds: [GroupID: Set<WatcherID>] = [:]
  private var free: [GroupID] = []
  private var singles = KeyTable()
  private var intervals: IntervalTree<GroupID>

  /// Watchers in the index.
  public private(set) var count = 0

  /// Groups that keep their place when nobody watches.
  private static let groupsKept = 1_024

  /// - Parameter seed: unknown to clients, so that they cannot choose intervals that are slow to find.
  public init(seed: UInt64) { intervals = IntervalTree(seed: seed) }

  private func group(_ id: GroupID) -> Group { Self.group(groups, id) }

  private static func group(_ groups: ChunkedArray<Group?>, _ id: GroupID) -> Group {
    guard let group = groups[Int(id)] else { preconditionFailure("group \(id) has no watchers") }
    return group
  }

  private func find(_ interval: KeyInterval) -> GroupID? {
    interval.isSingle ? findSingle(interval.start) : intervals[interval]
  }

  private func findSingle(_ key: Bytes) -> GroupID? {
    singles.find(key) { group($0).start }
  }

  /// Makes a group known by its interval, which no other has.
  private mutating func enter(_ id: GroupID, _ interval: KeyInterval) {
    guard interval.isSingle else {
      intervals[interval] = id
      return
    }
    singles.insert(id, interval.start) { [groups] in Self.group(groups, $0).start }
  }

  /// The opposite, while the group still has its place.
  private mutating func leave(_ interval: KeyInterval) {
    guard interval.isSingle else {
      intervals[interval] = nil
      return
    }
    singles.remove(interval.start) { [groups] in Self.group(groups, $0).start }
  }

  /// Adds a watcher; it must not be there.
  /// - Returns: its group.
  @discardableResult
  public mutating func add(_ id: WatcherID, of interval: KeyInterval) -> GroupID {
    precondition(id != .nobody, "a watcher without a name")
    count += 1
    if let group = find(interval) {
      let only = self.group(group).only
      if only != .nobody {
        crowds[group] = [only, id]
        groups[Int(group)]?.only = .nobody
      } else {
        crowds[group]?.insert(id)
      }
      return group
    }
    let made = Group(interval, id)
    let group: GroupID
    if let reused = free.popLast() {
      group = reused
      groups[Int(group)] = made
    } else {
      precondition(groups.count < Int(GroupID.max), "2^31 intervals are watched")
      group = GroupID(truncatingIfNeeded: groups.count)
      groups.append(made)
    }
    enter(group, interval)
    return group
  }

  /// Removes a watcher, which must be in the group.
  public mutating func remove(_ id: WatcherID, from group: GroupID) {
    count -= 1
    let found = self.group(group)
    guard found.only == .nobody else {
      precondition(found.only == id, "another watcher is alone in the group")
      leave(found.interval)
      groups[Int(group)] = nil
      free.append(group)
      if count == 0, groups.count > Self.groupsKept {
        groups = ChunkedArray()
        free = []
      }
      return
    }
    let gone = crowds[group]?.remove(id)
    precondition(gone != nil, "the watcher is not in the group")
    if let left = crowds[group], left.count == 1, let last = left.first {
      crowds[group] = nil
      groups[Int(group)]?.only = last
    }
  }

  /// What the watchers of a group watch.
  public func interval(of group: GroupID) -> KeyInterval { self.group(group).interval }

  /// Calls `body` with every watcher of a group, in no order.
  public func members(of group: GroupID, _ body: (WatcherID) -> Void) {
    let only = self.group(group).only
    guard only == .nobody else { return body(only) }
    for id in crowds[group] ?? [] { body(id) }
  }

  /// Watchers of a group.
  public func count(of group: GroupID) -> Int {
    self.group(group).only == .nobody ? crowds[group]?.count ?? 0 : 1
  }

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
    for number in groups.indices {
      guard let group = groups[number] else { continue }
      guard let found = find(group.interval), Int(found) == number else {
        return "1: group \(number) is not found by its interval"
      }
      total += count(of: found)
    }
    guard total == count else { return "1: \(total) watchers in groups, \(count) counted" }
    return nil
  }
}
