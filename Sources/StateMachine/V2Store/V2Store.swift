/// The store of etcd's v2 API as a value: a tree of files and directories, and a counter that every
/// write raises. Copies share the tree until one of them is changed, so that carrying one along costs
/// nothing and a write copies the directories on its path at most.
///
/// The same operations in the same order give the same tree on every member, Go's included. Watchers
/// are not part of it: every operation returns its event.
///
/// - Source: etcd 3.5 `server/etcdserver/api/v2store/store.go`.
public struct V2Store: Hashable, Sendable {
  /// When a node ends, for operations that make or change one.
  public struct Lifetime: Hashable, Sendable {
    /// Nanoseconds since 1970; `nil` for a node that stays.
    public var expiration: Int64?
    /// Keep the value and renew the lifetime only.
    public var isRefresh: Bool

    public init(expiration: Int64? = nil, isRefresh: Bool = false) {
      self.expiration = expiration
      self.isRefresh = isRefresh
    }

    /// A node that stays.
    public static let permanent = Lifetime()
  }

  /// Members and versions lie below the first, the users' keys below the second.
  public static let namespaces = ["0", "1"]

  var root: V2Node
  /// Raised by every write.
  public internal(set) var index: UInt64 = 0
  public internal(set) var stats = V2Stats()
  /// The last events, for those who begin to watch late.
  public internal(set) var history = V2History()
  var expiries = ExpiryQueue()
  /// What belongs to this member alone, and makes no store another one.
  struct Local: Hashable, Sendable {
    /// Events of writes since somebody took them last.
    var events: [V2Event] = []
    var activity = V2Activity()
    /// Nanoseconds since 1970: what is left of times to live is counted from it; `nil` while nobody says.
    var now: Int64?
    static func == (a: Local, b: Local) -> Bool { true }
    func hash(into hasher: inout Hasher) {}
  }

  var local = Local()

  /// A store with the directories `/0` and `/1`.
  public init() {
    root = .directory(index: 0)
    addNamespaces()
  }

  mutating func addNamespaces() {
    for name in Self.namespaces where root.children?[V2Name(text: name)] == nil {
      root.insert(.directory(index: 0), at: [V2Name(text: name)], index: 0)
    }
  }

  /// Whether any node has a lifetime: someone should then propose SYNC requests.
  public var hasExpiringKeys: Bool { expiries.live > 0 }

  /// Whether there is nothing of users of the v2 API: no key, no user, no role.
  /// - Source: etcd 3.5.30 `membership.IsMetaStoreOnly`.
  public var holdsOnlyMembership: Bool {
    root.sortedChildren.allSatisfy { name, node in
      switch name.text {
      case "0": true
      // Directories stay behind the last user and role.
      case "2": node.sortedChildren.allSatisfy { $0.1.children?.isEmpty ?? true }
      default: node.children?.isEmpty ?? true
      }
    }
  }

  /// Events of writes since the last call, in order: what those who watch are told.
  public mutating func takeNews() -> [V2Event] {
    guard !local.events.isEmpty else { return [] }
    return exchange(&local.events, with: [])
  }

  /// What was done since the last call.
  public mutating func takeActivity() -> V2Activity {
    guard !local.activity.isEmpty else { return V2Activity() }
    return exchange(&local.activity, with: V2Activity())
  }

  // MARK: Reading

  /// A node that was found, to be shown later: the directory and everything below it may be large.
  public struct Found: Sendable {
    let node: V2Node
    let path: V2Path
    let isRecursive: Bool
    /// The store's index then.
    public let index: UInt64

    public var isDirectory: Bool { node.isDirectory }

    /// The node with its children, or with everything below it.
    public func event() -> V2Event {
      V2Event(.get, node.entry(at: path, depth: isRecursive ? .max : 1), index: index)
    }
  }

  /// Finds what `get` shows.
  /// - Throws: as `get`.
  public mutating func find(_ path: String, isRecursive: Bool) throws(V2Error) -> Found {
    let path = V2Path(path)
    if isRecursive { local.activity.recursiveReads += 1 } else { local.activity.reads += 1 }
    do throws(V2Error) {
      let node = try lookUp(path)
      stats.getsSuccess &+= 1
      return Found(node: node, path: path, isRecursive: isRecursive, index: index)
    } catch {
      stats.getsFail &+= 1
      throw error
    }
  }

  /// The value of the file at a path, `nil` when there is none. Not counted in the statistics.
  public func value(at path: String) -> String? {
    guard let node = try? lookUp(V2Path(path)), !node.isDirectory else { return nil }
    return node.value
  }

  /// The names in the directory at a path, ordered; empty when there is none. Not counted.
  public func names(at path: String) -> [String] {
    guard let node = try? lookUp(V2Path(path)) else { return [] }
    return node.sortedChildren.map(\.name.text)
  }

  /// The node at a path with its children, or with everything below it.
  /// - Throws: `keyNotFound`, `notDirectory`.
  public mutating func get(
    _ path: String, isRecursive: Bool = false
  ) throws(V2Error) -> V2Event {
    try find(path, isRecursive: isRecursive).event()
  }

  /// - Throws: `keyNotFound` naming the first path that is missing, `notDirectory` naming a file on
  ///   the way.
  func lookUp(_ path: V2Path) throws(V2Error) -> V2Node {
    var node = root
    for (depth, name) in path.names.enumerated() {
      guard let children = node.children else {
        throw V2Error(.notDirectory, V2Path.text(path.names[..<depth]), index: index)
      }
      guard let child = children[name] else {
        throw V2Error(.keyNotFound, V2Path.text(path.names[...depth]), index: index)
      }
      node = child
    }
    return node
  }

  // MARK: Rules that writes share

  /// - Throws: `rootReadOnly` for the root and the namespaces.
  func checkWritable(_ path: V2Path) throws(V2Error) {
    let isNamespace = path.names.count == 1 && Self.namespaces.contains(path.names[0].text)
    if path.names.isEmpty || isNamespace { throw V2Error(.rootReadOnly, "/", index: index) }
  }

  /// Changes the node at a path that exists, and keeps the queue of lifetimes in step.
  mutating func change(_ path: V2Path, _ body: (inout V2Node) -> Void) {
    var before: Int64?
    var after: Int64?
    root.modify(path.names[...]) { node in
      before = node.expiration
      body(&node)
      after = node.expiration
    }
    guard before != after else { return }
    if before != nil { expiries.live -= 1 }
    if let after { expect(after, path) }
  }

  mutating func insert(_ node: V2Node, at path: V2Path) {
    root.insert(node, at: path.names[...], index: node.createdIndex)
    if let expiration = node.expiration { expect(expiration, path) }
  }

  mutating func remove(_ node: V2Node, at path: V2Path) {
    if expiries.live > 0 { expiries.live -= node.expiringCount }
    root.remove(at: path.names[...])
  }
}
