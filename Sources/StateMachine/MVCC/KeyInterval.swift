import Bytes

/// The keys that a request names: built once from `key` and `range_end`, used by every check and read.
///
/// - Source: etcd `range_end`: empty = one key, a single zero byte = everything from `key` on.
public struct KeyInterval: Hashable, Sendable {
  public let start: Bytes
  /// First key behind the interval; `nil` = no end.
  public let end: Bytes?
  /// Whether exactly `start` is meant.
  public let isSingle: Bool

  public init(key: Bytes, rangeEnd: Bytes) {
    start = key
    isSingle = rangeEnd.isEmpty
    if rangeEnd.isEmpty {
      end = nil
    } else {
      end = rangeEnd.count == 1 && rangeEnd[0] == 0 ? nil : rangeEnd
    }
  }

  /// Whether a key lies inside.
  public func contains(_ key: Bytes) -> Bool {
    if isSingle { return key == start }
    guard key >= start else { return false }
    return end.map { key < $0 } ?? true
  }

  /// Whether no key can lie inside.
  public var isEmpty: Bool { !isSingle && (end.map { $0 <= start } ?? false) }
}
