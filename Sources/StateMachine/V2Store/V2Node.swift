/// A file or directory of the v2 store. Its path is where it lies.
struct V2Node: Hashable, Sendable {
  var createdIndex: UInt64
  var modifiedIndex: UInt64
  /// Nanoseconds since 1970; `nil` for a node that stays.
  var expiration: Int64?
  var value: String
  /// `nil` for a file.
  var children: [V2Name: V2Node]?

  static func file(_ value: String, index: UInt64, expiration: Int64? = nil) -> V2Node {
    V2Node(
      createdIndex: index, modifiedIndex: index, expiration: expiration, value: value,
      children: nil)
  }

  static func directory(index: UInt64, expiration: Int64? = nil) -> V2Node {
    V2Node(
      createdIndex: index, modifiedIndex: index, expiration: expiration, value: "", children: [:])
  }

  var isDirectory: Bool { children != nil }

  /// Children ordered by the bytes of their names.
  var sortedChildren: [(name: V2Name, node: V2Node)] {
    (children ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// Nodes here and below that expire.
  var expiringCount: Int {
    (children ?? [:]).values.reduce(expiration == nil ? 0 : 1) { $0 + $1.expiringCount }
  }

  // MARK: Below this node

  /// Changes the node that lies at `path` below this one, in place.
  mutating func modify(_ path: ArraySlice<V2Name>, _ body: (inout V2Node) -> Void) {
    guard let name = path.first else { return body(&self) }
    children![name]!.modify(path.dropFirst(), body)
  }

  /// Puts a node at `path` and makes the directories on the way.
  mutating func insert(_ node: V2Node, at path: ArraySlice<V2Name>, index: UInt64) {
    guard let name = path.first else { preconditionFailure("a node cannot replace the root") }
    if path.count == 1 {
      children![name] = node
    } else {
      children![name, default: .directory(index: index)].insert(
        node, at: path.dropFirst(), index: index)
    }
  }

  mutating func remove(at path: ArraySlice<V2Name>) {
    guard let name = path.first else { preconditionFailure("the root cannot be removed") }
    if path.count == 1 {
      children![name] = nil
    } else {
      children![name]!.remove(at: path.dropFirst())
    }
  }
}

/// A node as callers see it.
///
/// - Source: etcd `v2store/node_extern.go`.
public struct V2Entry: Hashable, Sendable {
  /// The whole path.
  public var key: String
  /// `nil` for a directory.
  public var value: String?
  public var isDirectory: Bool
  /// Nanoseconds since 1970.
  public var expiration: Int64?
  /// Seconds that were left when the event happened; `nil` when they are counted as the node is shown.
  public var ttl: Int64?
  /// What lies in a directory, if it was asked for; without hidden nodes, ordered by key.
  public var nodes: [V2Entry]?
  public var modifiedIndex: UInt64
  public var createdIndex: UInt64

  public init(
    key: String, value: String?, isDirectory: Bool, expiration: Int64? = nil,
    nodes: [V2Entry]? = nil, modifiedIndex: UInt64 = 0, createdIndex: UInt64 = 0
  ) {
    self.key = key
    self.value = value
    self.isDirectory = isDirectory
    self.expiration = expiration
    self.nodes = nodes
    self.modifiedIndex = modifiedIndex
    self.createdIndex = createdIndex
  }
}

extension V2Node {
  /// - Parameter depth: levels of children to show.
  func entry(at path: V2Path, depth: Int = 0) -> V2Entry {
    var nodes: [V2Entry]?
    if isDirectory, depth > 0 {
      nodes = sortedChildren.compactMap { name, node in
        name.isHidden
          ? nil : node.entry(at: V2Path(names: path.names + [name]), depth: depth - 1)
      }
    }
    return V2Entry(
      key: path.text, value: isDirectory ? nil : value, isDirectory: isDirectory,
      expiration: expiration, nodes: nodes, modifiedIndex: modifiedIndex,
      createdIndex: createdIndex)
  }
}
