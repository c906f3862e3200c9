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

  /// Applies a deletion; the revision grows only when something was deleted.
  public mutating func apply(
    _ request: Etcdserverpb.DeleteRangeRequest
  ) throws(StoreError) -> KVResult {
    try transact { (store) throws(StoreError) in try store.delete(request) }
  }

  /// Applies a transaction.
  ///
  /// 1. Evaluate every comparison, nested ones included, on the state before.
  /// 2. Check all puts, then all ranges, of the branches taken; a failure changes nothing.
  /// 3. Run the operations; each sees the ones before it; all share one revision.
  ///
  /// - Source: etcd `applierV3backend.Txn`.
  public mutating func apply(_ request: Etcdserverpb.TxnRequest) throws(StoreError) -> KVResult {
    let path = try TxnPath(request, in: snapshot())
    var deleted: [KeyInterval] = []
    try path.visit(request) { (operation) throws(StoreError) in
      switch operation {
      case .requestDeleteRange(let range):
        deleted.append(KeyInterval(key: range.key, rangeEnd: range.rangeEnd))
      case .requestPut(let put):
        try checkPut(put)
        // A deletion before it takes what it wants to keep. Overlaps are refused at the API, except
        // that etcd takes a deletion without an end for an empty one there; Go etcd ends here.
        if put.keepsSomething, deleted.contains(where: { $0.contains(put.key) }) {
          throw .keyNotFound
        }
      default: break
      }
    }
    try snapshot().checkRanges(of: request, path)
    return try transact { (store) throws(StoreError) in
      let (succeeded, responses) = try store.run(request, path)
      return .txn(
        revision: store.currentRevision, succeeded: succeeded, responses: responses)
    }
  }

  private func checkPut(_ request: Etcdserverpb.PutRequest) throws(StoreError) {
    if request.keepsSomething {
      guard index.find(request.key)?.isLive == true else { throw .keyNotFound }
    }
    if request.lease != 0, !leases.contains(request.lease) { throw .leaseNotFound }
  }

  private mutating func run(
    _ request: Etcdserverpb.TxnRequest, _ path: TxnPath
  ) throws(StoreError) -> (Bool, [KVResult]) {
    var responses: [KVResult] = []
    var nested = path.nested[...]
    for operation in path.operations(of: request) {
      switch operation.request {
      case .requestRange(let range):
        responses.append(.range(try snapshot().range(range, current: currentRevision)))
      case .requestPut(let put): responses.append(try self.put(put))
      case .requestDeleteRange(let range): responses.append(try delete(range))
      case .requestTxn(let inner):
        let (succeeded, inner) = try run(inner, nested.removeFirst())
        responses.append(.txn(revision: 0, succeeded: succeeded, responses: inner))
      case nil: continue
      }
    }
    return (path.succeeded, responses)
  }

  private mutating func put(_ request: Etcdserverpb.PutRequest) throws(StoreError) -> KVResult {
    if request.lease != 0, !leases.contains(request.lease) { throw .leaseNotFound }
    var value = request.value
    var lease = request.lease
    var previous: Bytes?
    if request.keepsSomething || request.prevKv {
      previous = try current(request.key)
    }
    if request.keepsSomething {
      guard let previous else { throw .keyNotFound }
      let pair = try snapshot().decode(previous)
      if request.ignoreValue { value = pair.value }
      if request.ignoreLease { lease = pair.lease }
    }
    write(request.key, value, lease: lease)
    return .put(revision: revision + 1, previous: request.prevKv ? previous : nil)
  }

  private mutating func delete(
    _ request: Etcdserverpb.DeleteRangeRequest
  ) throws(StoreError) -> KVResult {
    var previous: [Bytes] = []
    if request.prevKv {
      previous = try snapshot().range(
        Etcdserverpb.RangeRequest(key: request.key, rangeEnd: request.rangeEnd),
        current: currentRevision
      ).rows
    }
    let deleted = delete(KeyInterval(key: request.key, rangeEnd: request.rangeEnd))
    return .deleteRange(revision: currentRevision, deleted: deleted, previous: previous)
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

  init(_ request: Etcdserverpb.TxnRequest, in store: StoreSnapshot) throws(StoreError) {
    var budget = Int.max
    guard let path = try TxnPath(request, in: store, within: &budget) else {
      preconditionFailure("comparisons without a budget come to their end")
    }
    self = path
  }

  /// `nil` when the comparisons need more keys than the budget has.
  init?(
    _ request: Etcdserverpb.TxnRequest, in store: StoreSnapshot, within budget: inout Int
  ) throws(StoreError) {
    var holds = true
    for comparison in request.compare where holds {
      guard let answer = try comparison.holds(in: store, within: &budget) else { return nil }
      holds = answer
    }
    succeeded = holds
    var nested: [TxnPath] = []
    for operation in holds ? request.success : request.failure {
      if case .requestTxn(let inner) = operation.request {
        guard let path = try TxnPath(inner, in: store, within: &budget) else { return nil }
        nested.append(path)
      }
    }
    self.nested = nested
  }

  /// Calls `body` for every operation of the branches taken, in order.
  func visit(
    _ request: Etcdserverpb.TxnRequest,
    _ body: (Etcdserverpb.RequestOp.OneOf_Request) throws(StoreError) -> Void
  ) throws(StoreError) {
    var nested = nested[...]
    for operation in operations(of: request) {
      guard let operation = operation.request else { continue }
      if case .requestTxn(let inner) = operation {
        try nested.removeFirst().visit(inner, body)
      } else {
        try body(operation)
      }
    }
  }

  func operations(of request: Etcdserverpb.TxnRequest) -> [Etcdserverpb.RequestOp] {
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
    (success + failure).allSatisfy { operation in
      switch operation.request {
      case .requestRange(let range): return range.serializable
      case .requestTxn(let inner): return inner.isSerializable
      case .requestPut, .requestDeleteRange: return false
      case nil: return true
      }
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
    guard let path = try TxnPath(request, in: self, within: &budget) else { return nil }
    try checkRanges(of: request, path)
    return try read(request, path, isNested: false, within: &budget)
  }

  /// Refuses a transaction as a whole when one of its ranges reads what is not there. A negative
  /// revision counts as compacted here, other than in a range of its own.
  func checkRanges(
    of request: Etcdserverpb.TxnRequest, _ path: TxnPath
  ) throws(StoreError) {
    try path.visit(request) { (operation) throws(StoreError) in
      guard case .requestRange(let range) = operation, range.revision != 0 else { return }
      if range.revision > revision { throw .futureRevision }
      if range.revision < compactRevision { throw .compacted }
    }
  }

  private func read(
    _ request: Etcdserverpb.TxnRequest, _ path: TxnPath, isNested: Bool, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    var responses: [KVResult] = []
    var nested = path.nested[...]
    for operation in path.operations(of: request) {
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
  /// Whether the comparison holds for the key, or for every key of its range.
  ///
  /// A missing key counts as version, revisions and lease 0; a comparison of its value is false.
  /// - Source: etcd `applyCompare`, `compareKV`.
  /// - Returns: `nil` when the budget of keys ran out.
  func holds(in store: StoreSnapshot, within budget: inout Int) throws(StoreError) -> Bool? {
    let request = Etcdserverpb.RangeRequest(key: key, rangeEnd: rangeEnd)
    guard let rows = try store.range(request, within: &budget)?.rows else { return nil }
    if rows.isEmpty { return target != .value && holds(for: Mvccpb.KeyValue()) }
    for row in rows {
      guard holds(for: try store.decode(row)) else { return false }
    }
    return true
  }

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
