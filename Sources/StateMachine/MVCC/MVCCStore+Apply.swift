import Bytes
import EtcdAPI
import Protobuf

extension MVCCStore {
  /// Applies a put.
  /// - Throws: `leaseNotFound`; `keyNotFound` when a value or lease to keep does not exist.
  /// - Source: etcd `applierV3backend.Put`.
  public mutating func apply(_ request: Etcdserverpb.PutRequest) throws(StoreError) -> KVResult {
    try transact { (store) throws(StoreError) in try store.put(request) }
  }

  /// A put may hang its key on no lease, or on one that exists.
  private func check(_ lease: LeaseID) throws(StoreError) {
    if lease != .none, !leases.contains(lease) { throw .leaseNotFound }
  }

  func checkPut(_ request: Etcdserverpb.PutRequest) throws(StoreError) {
    if request.keepsSomething {
      guard index.find(request.key)?.isLive == true else { throw .keyNotFound }
    }
    try check(LeaseID(request.lease))
  }

  mutating func put(_ request: Etcdserverpb.PutRequest) throws(StoreError) -> KVResult {
    var lease = LeaseID(request.lease)
    try check(lease)
    var value = request.value
    var previous: Bytes?
    if request.keepsSomething || request.prevKv {
      previous = try current(request.key)
    }
    if request.keepsSomething {
      guard let previous else { throw .keyNotFound }
      let pair = try snapshot().decode(previous)
      if request.ignoreValue { value = pair.value }
      if request.ignoreLease { lease = LeaseID(pair.lease) }
    }
    write(request.key, value, lease: lease)
    return .put(revision: revision + 1, previous: request.prevKv ? previous : nil)
  }
}

extension Etcdserverpb.PutRequest {
  /// Whether the value or the lease of the present pair stays.
  var keepsSomething: Bool { ignoreValue || ignoreLease }
}

/// Which branch each transaction of a tree takes, decided before anything runs.
struct TxnPath {
  let succeeded: Bool
  /// Paths of the nested transactions in the branch taken, in order.
  let nested: [TxnPath]

  /// `nil` when the comparisons need more keys than the budget has.
  /// - Parameter log: comparisons that were made before, and how to go on with the next one.
  init?(
    _ request: Etcdserverpb.TxnRequest, in store: StoreSnapshot, within budget: inout Int,
    _ log: inout ComparisonLog
  ) throws(StoreError) {
    var holds = true
    for comparison in request.compare where holds {
      guard let answer = try log.answer(comparison, in: store, within: &budget) else { return nil }
      holds = answer
    }
    succeeded = holds
    var nested: [TxnPath] = []
    for operation in holds ? request.success : request.failure {
      if case .requestTxn(let inner) = operation.request {
        guard let path = try TxnPath(inner, in: store, within: &budget, &log) else { return nil }
        nested.append(path)
      }
    }
    self.nested = nested
  }

  /// Puts results of operations, in order, into the form of the request.
  func responses(to request: Etcdserverpb.TxnRequest, _ results: [KVResult]) -> [KVResult] {
    if nested.isEmpty { return results }
    var rest = results[...]
    return responses(to: request, &rest)
  }

  private func responses(
    to request: Etcdserverpb.TxnRequest, _ results: inout ArraySlice<KVResult>
  ) -> [KVResult] {
    var nested = nested[...]
    var responses: [KVResult] = []
    for operation in branch(of: request) {
      switch operation.request {
      case nil: continue
      case .requestTxn(let inner):
        let path = nested.removeFirst()
        let answers = path.responses(to: inner, &results)
        responses.append(.txn(revision: 0, succeeded: path.succeeded, responses: answers))
      default: responses.append(results.removeFirst())
      }
    }
    return responses
  }

  /// The operations of the branches taken, in order.
  func operations(of request: Etcdserverpb.TxnRequest) -> [Etcdserverpb.RequestOp] {
    if nested.isEmpty { return branch(of: request) }
    var nested = nested[...]
    var operations: [Etcdserverpb.RequestOp] = []
    for operation in branch(of: request) {
      if case .requestTxn(let inner) = operation.request {
        operations += nested.removeFirst().operations(of: inner)
      } else {
        operations.append(operation)
      }
    }
    return operations
  }

  func branch(of request: Etcdserverpb.TxnRequest) -> [Etcdserverpb.RequestOp] {
    succeeded ? request.success : request.failure
  }
}

extension Etcdserverpb.TxnRequest {
  /// Whether no branch, nested ones included, can write.
  public var isReadOnly: Bool {
    func readOnly(_ operations: [Etcdserverpb.RequestOp]) -> Bool {
      operations.allSatisfy { operation in
        switch operation.request {
        case .requestRange, nil: return true
        case .requestTxn(let inner): return inner.isReadOnly
        case .requestPut, .requestDeleteRange: return false
        }
      }
    }
    return readOnly(success) && readOnly(failure)
  }

  /// Whether all ranges of all branches are serializable, so that no round to the leader is needed.
  public var isSerializable: Bool {
    func serializable(_ operation: Etcdserverpb.RequestOp) -> Bool {
      switch operation.request {
      case .requestRange(let range): range.serializable
      case .requestTxn(let inner): inner.isSerializable
      case .requestPut, .requestDeleteRange: false
      case nil: true
      }
    }
    return success.allSatisfy(serializable) && failure.allSatisfy(serializable)
  }
}

extension [Etcdserverpb.RequestOp] {
  /// Refuses a transaction as a whole when one of its ranges reads what is not there. A negative
  /// revision counts as compacted here, other than in a range of its own.
  func checkRanges(revision: Int64, compactRevision: Int64) throws(StoreError) {
    for operation in self {
      guard case .requestRange(let range) = operation.request, range.revision != 0 else { continue }
      if range.revision > revision { throw .futureRevision }
      if range.revision < compactRevision { throw .compacted }
    }
  }
}

extension StoreSnapshot {
  /// Runs a transaction that only reads.
  /// - Throws: as `range`.
  public func read(_ request: Etcdserverpb.TxnRequest) throws(StoreError) -> KVResult {
    var budget = Int.max
    guard let result = try read(request, within: &budget) else {
      preconditionFailure("a transaction without a budget runs to its end")
    }
    return result
  }

  /// Runs a transaction that only reads, unless that takes too long, as `range(_:within:)`.
  /// - Returns: `nil` when the budget ran out.
  public func read(
    _ request: Etcdserverpb.TxnRequest, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    var log = ComparisonLog()
    guard let path = try TxnPath(request, in: self, within: &budget, &log) else { return nil }
    try path.operations(of: request)
      .checkRanges(revision: revision, compactRevision: compactRevision)
    return try read(request, path, isNested: false, within: &budget)
  }

  private func read(
    _ request: Etcdserverpb.TxnRequest, _ path: TxnPath, isNested: Bool, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    var responses: [KVResult] = []
    var nested = path.nested[...]
    for operation in path.branch(of: request) {
      switch operation.request {
      case .requestRange(let range):
        guard let result = try self.range(range, within: &budget) else { return nil }
        responses.append(.range(result))
      case .requestTxn(let inner):
        let path = nested.removeFirst()
        guard let result = try read(inner, path, isNested: true, within: &budget) else {
          return nil
        }
        responses.append(result)
      case .requestPut, .requestDeleteRange: preconditionFailure("a read-only transaction writes")
      case nil: continue
      }
    }
    return .txn(
      revision: isNested ? 0 : revision, succeeded: path.succeeded, responses: responses)
  }
}

extension Etcdserverpb.Compare {
  /// How far a comparison of an interval has come.
  struct Cursor: Sendable {
    fileprivate var next: Bytes?
    fileprivate var sawKey = false
  }

  /// Keys that are looked at between two looks at the budget.
  private static let pageKeys = 256

  /// Whether the comparison holds for the key, or for every key of its range.
  ///
  /// A missing key counts as version, revisions and lease 0; a comparison of its value is false.
  /// - Source: etcd `applyCompare`, `compareKV`.
  /// - Returns: `nil` when the budget of keys ran out; `cursor` says where to go on.
  func holds(
    in store: StoreSnapshot, within budget: inout Int, _ cursor: inout Cursor
  ) throws(StoreError) -> Bool? {
    let interval = KeyInterval(key: key, rangeEnd: rangeEnd)
    if interval.isSingle {
      guard let found = store.index.find(key)?.at(store.revision) else { return holdsForNone }
      return holds(for: try store.decode(try store.row(found.revision)))
    }
    while !interval.isEmpty {
      guard budget > 0 else { return nil }
      let limit = min(budget, Self.pageKeys)
      let page = store.index.page(from: cursor.next ?? interval.start, to: interval.end, limit) {
        $0.at(store.revision)
      }
      budget -= page.visited
      for found in page.found {
        cursor.sawKey = true
        guard holds(for: try store.decode(try store.row(found.revision))) else { return false }
      }
      guard let next = page.next else { break }
      cursor.next = next
    }
    return cursor.sawKey || holdsForNone
  }

  private var holdsForNone: Bool { target != .value && holds(for: Mvccpb.KeyValue()) }

  private func holds(for pair: Mvccpb.KeyValue) -> Bool {
    let order: Int
    switch target {
    case .value:
      var wanted = Bytes()
      if case .value(let value) = targetUnion { wanted = value }
      order = pair.value.compare(wanted)
    case .create:
      var wanted: Int64 = 0
      if case .createRevision(let value) = targetUnion { wanted = value }
      order = Self.order(pair.createRevision, wanted)
    case .mod:
      var wanted: Int64 = 0
      if case .modRevision(let value) = targetUnion { wanted = value }
      order = Self.order(pair.modRevision, wanted)
    case .version:
      var wanted: Int64 = 0
      if case .version(let value) = targetUnion { wanted = value }
      order = Self.order(pair.version, wanted)
    case .lease:
      var wanted: Int64 = 0
      if case .lease(let value) = targetUnion { wanted = value }
      order = Self.order(pair.lease, wanted)
    case .unrecognized: order = 0
    }
    switch result {
    case .equal: return order == 0
    case .notEqual: return order != 0
    case .greater: return order > 0
    case .less: return order < 0
    case .unrecognized: return true
    }
  }

  private static func order(_ a: Int64, _ b: Int64) -> Int { a < b ? -1 : (a > b ? 1 : 0) }
}
