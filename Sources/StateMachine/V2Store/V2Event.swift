/// What an operation on the v2 store did.
///
/// - Source: etcd `v2store/event.go`.
public struct V2Event: Hashable, Sendable {
  /// The kind of event; the raw value is its name in JSON.
  public enum Action: String, Sendable {
    case get, create, set, update, delete, compareAndSwap, compareAndDelete, expire
  }

  public let action: Action
  /// The node as it is now; for one that is gone, its key and the index that removed it.
  public internal(set) var node: V2Entry
  /// The node as it was.
  public internal(set) var previous: V2Entry?
  /// The store's index behind the operation.
  public let index: UInt64
  /// The time to live was renewed and nothing else: watchers are not told.
  public let isRefresh: Bool
  /// What was taken out, for those who watched something in it.
  var removed: V2Node?

  /// An answer that nothing was written for.
  public init(_ action: Action, _ node: V2Entry, index: UInt64) {
    self.init(action, node, previous: nil, index: index)
  }

  init(
    _ action: Action, _ node: V2Entry, previous: V2Entry?, index: UInt64,
    isRefresh: Bool = false, removed: V2Node? = nil
  ) {
    self.action = action
    self.node = node
    self.previous = previous
    self.index = index
    self.isRefresh = isRefresh
    self.removed = removed
  }

  /// Whether the answer tells of something new.
  /// - Source: etcd `Event.IsCreated`.
  public var isCreation: Bool { action == .create || (action == .set && previous == nil) }

  /// Whether the event took something out that lay at a path.
  func tookOut(_ path: V2Path) -> Bool {
    guard var node = removed else { return false }
    let own = V2Path(self.node.key).names
    guard path.names.starts(with: own) else { return false }
    for name in path.names.dropFirst(own.count) {
      guard let child = node.children?[name] else { return false }
      node = child
    }
    return true
  }
}

/// What a store did since somebody asked last, for metrics. Refusals count.
///
/// - Source: etcd `v2store/metrics.go`.
public struct V2Activity: Sendable {
  /// Reads of a node with its children.
  public var reads = 0
  /// Reads of a node with everything below it.
  public var recursiveReads = 0
  public var writes: [V2Event.Action: Int] = [:]
  /// Nodes whose time was over.
  public var expired = 0

  public init() {}

  public var isEmpty: Bool {
    reads == 0 && recursiveReads == 0 && expired == 0 && writes.isEmpty
  }
}

/// Counts of operations, those that failed included. A document may hold any; they begin anew at their end, as
/// Go's do.
///
/// - Source: etcd `v2store/stats.go`.
public struct V2Stats: Hashable, Sendable {
  public var getsSuccess: UInt64 = 0
  public var getsFail: UInt64 = 0
  public var setsSuccess: UInt64 = 0
  public var setsFail: UInt64 = 0
  public var deleteSuccess: UInt64 = 0
  public var deleteFail: UInt64 = 0
  public var updateSuccess: UInt64 = 0
  public var updateFail: UInt64 = 0
  public var createSuccess: UInt64 = 0
  public var createFail: UInt64 = 0
  public var compareAndSwapSuccess: UInt64 = 0
  public var compareAndSwapFail: UInt64 = 0
  public var compareAndDeleteSuccess: UInt64 = 0
  public var compareAndDeleteFail: UInt64 = 0
  public var expireCount: UInt64 = 0
  /// Watchers at the time; none are kept here.
  public var watchers: UInt64 = 0

  public init() {}

  /// Every count with its name in JSON, in the order of the document.
  public static var fields: [(name: String, field: WritableKeyPath<V2Stats, UInt64>)] {
    [
      ("getsSuccess", \.getsSuccess), ("getsFail", \.getsFail),
      ("setsSuccess", \.setsSuccess), ("setsFail", \.setsFail),
      ("deleteSuccess", \.deleteSuccess), ("deleteFail", \.deleteFail),
      ("updateSuccess", \.updateSuccess), ("updateFail", \.updateFail),
      ("createSuccess", \.createSuccess), ("createFail", \.createFail),
      ("compareAndSwapSuccess", \.compareAndSwapSuccess),
      ("compareAndSwapFail", \.compareAndSwapFail),
      ("compareAndDeleteSuccess", \.compareAndDeleteSuccess),
      ("compareAndDeleteFail", \.compareAndDeleteFail),
      ("expireCount", \.expireCount), ("watchers", \.watchers),
    ]
  }
}
