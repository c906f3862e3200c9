import Bytes
import EtcdAPI
import MVCC

/// Keys that a user may read, or write: what its roles grant, as intervals.
///
/// A bound without bytes is behind every key.
/// - Source: etcd `server/auth/range_perm_cache.go`, `pkg/adt` `BytesAffineComparable`.
struct RangePermissions: Sendable {
  struct Interval: Sendable {
    var begin: Bytes
    var end: Bytes
  }

  /// As granted, for ranges without keys.
  private let tree: GrantTree
  /// Without empty ones, overlapping and adjacent ones joined.
  private let merged: [Interval]

  /// - Parameter intervals: in the order of the user's roles and their grants.
  init(_ intervals: [Interval] = []) {
    tree = GrantTree(intervals)
    var merged: [Interval] = []
    let sorted = intervals.sorted { Self.compare($0.begin, $1.begin) < 0 }
    for interval in sorted where Self.compare(interval.begin, interval.end) < 0 {
      if let last = merged.last, Self.compare(interval.begin, last.end) <= 0 {
        if Self.compare(interval.end, last.end) > 0 { merged[merged.count - 1].end = interval.end }
      } else {
        merged.append(interval)
      }
    }
    self.merged = merged
  }

  /// The interval that a permission names.
  static func interval(_ permission: Authpb.Permission) -> Interval {
    let keys = KeyInterval(key: permission.key, rangeEnd: permission.rangeEnd)
    // Memory of its own: the message may be a slice of a whole page.
    let begin = keys.start.detached()
    if keys.isSingle { return Interval(begin: begin, end: Self.next(begin)) }
    return Interval(begin: begin, end: (keys.end ?? Bytes()).detached())
  }

  /// Whether every key of an interval is granted.
  func covers(_ keys: KeyInterval) -> Bool {
    if keys.isSingle {
      guard let found = lastBeginning(notAfter: keys.start) else { return false }
      return Self.compare(found.end, keys.start) > 0
    }
    let end = keys.end ?? Bytes()
    guard Self.compare(keys.start, end) < 0 else { return tree.meets(begin: keys.start, end: end) }
    guard let found = lastBeginning(notAfter: keys.start) else { return false }
    return Self.compare(found.end, end) >= 0
  }

  private func lastBeginning(notAfter key: Bytes) -> Interval? {
    var low = 0
    var high = merged.count
    while low < high {
      let middle = (low + high) / 2
      if Self.compare(merged[middle].begin, key) <= 0 { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : merged[low - 1]
  }

  /// Whether a grant names any key.
  static func isValid(_ permission: Authpb.Permission) -> Bool {
    if permission.key.isEmpty { return false }
    if permission.rangeEnd.isEmpty { return true }
    return compare(permission.key, permission.rangeEnd) < 0
      || permission.rangeEnd == Bytes([0])
  }

  private static func next(_ key: Bytes) -> Bytes {
    var writer = ByteWriter(capacity: key.count + 1)
    writer.append(key)
    writer.append(0)
    return writer.finish()
  }

  /// Order of bounds.
  static func compare(_ a: Bytes, _ b: Bytes) -> Int {
    if a.isEmpty { return b.isEmpty ? 0 : 1 }
    return b.isEmpty ? -1 : a.compare(b)
  }
}
