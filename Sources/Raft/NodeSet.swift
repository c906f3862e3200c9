/// A set of member ids, kept sorted: groups are small, and everything about them runs in id order.
public struct NodeSet: Sendable, Hashable, RandomAccessCollection, CustomStringConvertible {
  private var ids: [UInt64] = []

  /// The empty set.
  public init() {}

  /// The ids of a sequence, each once.
  public init(_ ids: some Sequence<UInt64>) {
    for id in ids { insert(id) }
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { ids.count }
  public subscript(position: Int) -> UInt64 { ids[position] }

  /// The ids in ascending order.
  public var sorted: [UInt64] { ids }

  /// Whether the id is in the set.
  public func contains(_ id: UInt64) -> Bool { ids.contains(id) }

  /// Adds an id; nothing happens when it is there.
  public mutating func insert(_ id: UInt64) {
    let at = ids.firstIndex { $0 >= id } ?? ids.count
    if at < ids.count && ids[at] == id { return }
    ids.insert(id, at: at)
  }

  /// Removes an id; nothing happens when it is not there.
  public mutating func remove(_ id: UInt64) {
    if let at = ids.firstIndex(of: id) { ids.remove(at: at) }
  }

  /// The ids in either set.
  public func union(_ other: NodeSet) -> NodeSet {
    var result = self
    for id in other { result.insert(id) }
    return result
  }

  /// Ids in parentheses, hexadecimal.
  public var description: String { "(" + ids.map(hex).joined(separator: " ") + ")" }
}
