import Bytes
import Protobuf

/// The keys that hang on a lease. A copy costs next to nothing and may be read elsewhere for as long as
/// that takes: a change behind it copies one part of a few hundred keys, not all.
public struct LeaseKeys: Sendable, Sequence {
  /// A power of two of them; a key's part follows from its hash.
  private(set) var parts: [Set<Bytes>] = [[]]
  public private(set) var count = 0
  /// Bytes that the keys take as a repeated field with a number below 16.
  public private(set) var fieldBytes = 0

  /// Keys a part, on average, at which the parts are doubled.
  private static let keysPerPart = 512

  public init() {}

  public init(_ keys: some Sequence<Bytes>) { for key in keys { insert(key) } }

  public var isEmpty: Bool { count == 0 }

  private func part(of key: Bytes) -> Int {
    parts.count == 1 ? 0 : Int(truncatingIfNeeded: key.hashValue >> 8) & (parts.count - 1)
  }

  public func contains(_ key: Bytes) -> Bool { parts[part(of: key)].contains(key) }

  mutating func insert(_ key: Bytes) {
    if count >= parts.count * Self.keysPerPart { grow() }
    guard parts[part(of: key)].insert(key).inserted else { return }
    count += 1
    fieldBytes += 1 + WireSize.delimited(key.count)
  }

  mutating func remove(_ key: Bytes) {
    guard parts[part(of: key)].remove(key) != nil else { return }
    count -= 1
    fieldBytes -= 1 + WireSize.delimited(key.count)
  }

  private mutating func grow() {
    let old = parts
    parts = Array(repeating: [], count: old.count * 2)
    for keys in old {
      for key in keys { parts[part(of: key)].insert(key) }
    }
  }

  /// In no particular order.
  public func makeIterator() -> FlattenSequence<[Set<Bytes>]>.Iterator {
    parts.joined().makeIterator()
  }
}
