import Bytes

/// The keys that a request is about.
public struct KeyRange: Sendable, Hashable, ExpressibleByStringLiteral {
  /// The first key.
  public let key: Bytes
  /// The key behind the last one: empty for `key` alone, a zero byte for all keys that follow.
  public let end: Bytes

  private init(_ key: Bytes, _ end: Bytes) {
    self.key = key
    self.end = end
  }

  /// One key.
  public init(stringLiteral value: StaticString) { self = .key(Bytes(stringLiteral: value)) }

  /// One key.
  public static func key(_ key: Bytes) -> KeyRange { KeyRange(key, Bytes()) }

  /// From `first` up to `end`, which does not belong to it.
  public static func range(_ first: Bytes, _ end: Bytes) -> KeyRange { KeyRange(first, end) }

  /// `first` and all that follow.
  public static func from(_ first: Bytes) -> KeyRange {
    KeyRange(first.isEmpty ? Bytes([0]) : first, Bytes([0]))
  }

  /// All keys.
  public static let all = from(Bytes())

  /// The keys that begin with `prefix`.
  public static func prefix(_ prefix: Bytes) -> KeyRange {
    prefix.isEmpty ? .all : KeyRange(prefix, prefix.endOfPrefix)
  }
}
