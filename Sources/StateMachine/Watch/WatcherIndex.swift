import Bytes
import MVCC

/// Names a watcher on this member.
///
/// - Shape: counts up from 1.
public struct WatcherID: Hashable, Comparable, Sendable {
  public let rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (a: WatcherID, b: WatcherID) -> Bool { a.rawValue < b.rawValue }
}

/// Which watchers a key concerns: single keys by the key, others by a tree of intervals. A value with one
/// owner.
///
/// - Source: etcd `mvcc/watcher_group.go`.
public struct WatcherIndex: Sendable {
  /// Watchers of one interval: nearly always one.
  private enum Group: Sendable {
    case one(WatcherID)
    case many(Set<WatcherID>)

    func adding(_ id: WatcherID) -> Group {
      switch self {
      case .one(let first): .many([first, id])
      case .many(let ids): .many(ids.union([id]))
      }
    }

    /// - Returns: `nil` when nobody is left.
    func removing(_ id: WatcherID) -> Group? {
      switch self {
      case .one(let only): return only == id ? nil : self
      case .many(var ids):
        ids.remove(id)
        if ids.count == 1, let last = ids.first { return .one(last) }
        return .many(ids)
      }
    }

    func forEach(_ body: (WatcherID) -> Void) {
      switch self {
      case .one(let id): body(id)
      case .many(let ids): for id in ids { body(id) }
      }
    }
  }

  private var singles: [Bytes: Group] = [:]
  private var intervals = IntervalTree<Group>()

  /// Watchers in the index.
  public private(set) var count = 0

  public init() {}

  /// Adds a watcher; it must not be there.
  public mutating func add(_ id: WatcherID, of interval: KeyInterval) {
    count += 1
    if interval.isSingle {
      singles[interval.start] = singles[interval.start]?.adding(id) ?? .one(id)
    } else {
      intervals[interval] = intervals[interval]?.adding(id) ?? .one(id)
    }
  }

  /// Removes a watcher, which must be there with this interval.
  public mutating func remove(_ id: WatcherID, of interval: KeyInterval) {
    count -= 1
    if interval.isSingle {
      singles[interval.start] = singles[interval.start]?.removing(id)
    } else {
      intervals[interval] = intervals[interval]?.removing(id)
    }
  }

  /// Calls `body` with every watcher that a key concerns, once each, in no order.
  public func visit(_ key: Bytes, _ body: (WatcherID) -> Void) {
    singles[key]?.forEach(body)
    intervals.visit(holding: key) { $0.forEach(body) }
  }

  /// Guarantees: those of `IntervalTree`.
  /// - Returns: the first one that does not hold.
  public func checkInvariants() -> String? { intervals.checkInvariants() }
}
