import Bytes
import EtcdAPI
import Protobuf

/// A write transaction under way. One that compares, deletes or reads very many keys is done in steps, so that
/// whoever applies it can do other things in between; it is one transaction nevertheless: all changes share
/// one revision, and nobody sees a part of it who reads from a snapshot taken before.
///
/// 1. Evaluate every comparison, nested ones included, on the state before.
/// 2. Check all puts, then all ranges, of the branches taken; a failure changes nothing.
/// 3. Run the operations; each sees the ones before it. What a range of very many keys returns is left to
///    whoever needs it (`PendingRead`).
///
/// - Source: etcd `applierV3backend.Txn`.
public struct Transaction: Sendable {
  fileprivate let request: Etcdserverpb.TxnRequest
  /// A deletion alone, answered as such.
  fileprivate let isDeletion: Bool
  fileprivate var comparisons = ComparisonLog()
  /// `nil` while comparisons are evaluated.
  fileprivate var path: TxnPath?
  /// Operations of the branches taken, in order, and how many are done.
  fileprivate var operations: [Etcdserverpb.RequestOp] = []
  fileprivate var position = 0
  fileprivate var results: [KVResult] = []
  /// The deletion under way.
  fileprivate var deletion: Deletion?
  /// Set at the end.
  public fileprivate(set) var result: KVResult?

  /// A deletion of an interval, and the read that shows what was there before.
  fileprivate struct Deletion: Sendable {
    var bulk: BulkDelete
    var previous: PreviousPairs
  }

  public init(_ request: Etcdserverpb.TxnRequest) {
    self.request = request
    isDeletion = false
  }

  /// A deletion that is no part of a transaction.
  public init(deleting request: Etcdserverpb.DeleteRangeRequest) {
    self.request = Etcdserverpb.TxnRequest(
      success: [Etcdserverpb.RequestOp(request: .requestDeleteRange(request))])
    isDeletion = true
  }
}

/// Pairs that a deletion removes, where its caller wants to see them.
private enum PreviousPairs: Sendable {
  case unwanted
  case rows([Bytes])
  case pending(StoreSnapshot, Etcdserverpb.RangeRequest, current: Int64)
}

/// What a transaction's range or deletion of very many keys returns, not read yet: only the member that was
/// asked needs it, and there the thread that answers. Holds the state that it is read from.
public struct PendingRead: Sendable {
  fileprivate let state: StoreSnapshot
  fileprivate let request: Etcdserverpb.RangeRequest
  /// Revision that the transaction saw as current.
  fileprivate let current: Int64
  /// The deletion whose pairs these are.
  fileprivate let deletion: (revision: Int64, deleted: Int64)?

  /// Revision for the response header.
  var revision: Int64 { deletion?.revision ?? current }

  fileprivate func completed() throws(StoreError) -> KVResult {
    let result = try state.range(request, current: current)
    guard let deletion else { return .range(result) }
    return .deleteRange(
      revision: deletion.revision, deleted: deletion.deleted, previous: result.rows)
  }
}

extension KVResult {
  /// Whether nothing is left to be read.
  public var isComplete: Bool {
    switch self {
    case .pending: false
    case .txn(_, _, let responses): responses.allSatisfy(\.isComplete)
    default: true
    }
  }

  /// Reads what was left.
  /// - Throws: `damaged` when the backend lacks a row.
  public func completed() throws(StoreError) -> KVResult {
    switch self {
    case .pending(let read): return try read.completed()
    case .txn(let revision, let succeeded, let responses):
      var complete: [KVResult] = []
      complete.reserveCapacity(responses.count)
      for response in responses { complete.append(try response.completed()) }
      return .txn(revision: revision, succeeded: succeeded, responses: complete)
    default: return self
    }
  }
}

extension Etcdserverpb.TxnRequest {
  /// Whether a comparison or an operation, nested ones included, concerns more than one key: then it may
  /// take long.
  public var hasIntervals: Bool {
    func concernIntervals(_ operations: [Etcdserverpb.RequestOp]) -> Bool {
      operations.contains { operation in
        switch operation.request {
        case .requestRange(let range): !range.rangeEnd.isEmpty
        case .requestDeleteRange(let range): !range.rangeEnd.isEmpty
        case .requestTxn(let inner): inner.hasIntervals
        case .requestPut, nil: false
        }
      }
    }
    return compare.contains { !$0.rangeEnd.isEmpty } || concernIntervals(success)
      || concernIntervals(failure)
  }
}

extension MVCCStore {
  /// Applies a transaction.
  /// - Throws: `leaseNotFound`, `keyNotFound`, `compacted`, `futureRevision`, having changed nothing.
  public mutating func apply(_ request: Etcdserverpb.TxnRequest) throws(StoreError) -> KVResult {
    try apply(Transaction(request))
  }

  /// Applies a deletion; the revision grows only when something was deleted.
  public mutating func apply(
    _ request: Etcdserverpb.DeleteRangeRequest
  ) throws(StoreError) -> KVResult {
    try apply(Transaction(deleting: request))
  }

  private mutating func apply(
    _ transaction: consuming Transaction
  ) throws(StoreError) -> KVResult {
    var transaction = transaction
    var budget = Int.max
    try step(&transaction, within: &budget)
    guard let result = transaction.result else {
      preconditionFailure("a transaction without a budget runs to its end")
    }
    return result
  }

  /// Goes on with a transaction. Nothing else is applied until it has its result.
  /// - Parameter budget: keys to look at, about; what was is taken off. With any budget above 0 there is
  ///   progress.
  /// - Throws: as `apply`; the transaction is over then.
  public mutating func step(
    _ transaction: inout Transaction, within budget: inout Int
  ) throws(StoreError) {
    precondition(transaction.result == nil, "a transaction goes on behind its end")
    if transaction.path == nil {
      transaction.comparisons.rewind()
      let path = try TxnPath(
        transaction.request, in: snapshot(), within: &budget, &transaction.comparisons)
      guard let path else { return }
      transaction.operations = path.operations(of: transaction.request)
      try check(transaction.operations)
      beginTransaction()
      transaction.results.reserveCapacity(transaction.operations.count)
      transaction.path = path
    }
    do throws(StoreError) {
      while transaction.position < transaction.operations.count {
        guard budget > 0, try perform(&transaction, within: &budget) else { return }
        transaction.position += 1
      }
    } catch {
      endTransaction()
      throw error
    }
    transaction.result = result(of: transaction)
    endTransaction()
  }

  private func result(of transaction: Transaction) -> KVResult {
    if transaction.isDeletion { return transaction.results[0] }
    guard let path = transaction.path else { preconditionFailure("a result without a path") }
    return .txn(
      revision: currentRevision, succeeded: path.succeeded,
      responses: path.responses(to: transaction.request, transaction.results))
  }

  /// Step 2 of a transaction.
  private func check(_ operations: [Etcdserverpb.RequestOp]) throws(StoreError) {
    var deleted: [KeyInterval] = []
    for operation in operations {
      switch operation.request {
      case .requestDeleteRange(let range):
        deleted.append(KeyInterval(key: range.key, rangeEnd: range.rangeEnd))
      case .requestPut(let put):
        try checkPut(put)
        // A deletion before it takes what it wants to keep. Overlaps are refused at the API, except
        // that etcd takes a deletion without an end for an empty one there; Go etcd ends here.
        if put.keepsSomething, deleted.contains(where: { $0.contains(put.key) }) {
          throw .keyNotFound
        }
      case .requestRange, .requestTxn, nil: break
      }
    }
    try operations.checkRanges(revision: revision, compactRevision: compactRevision)
  }

  /// Does the operation whose turn it is. - Returns: whether it is done.
  private mutating func perform(
    _ transaction: inout Transaction, within budget: inout Int
  ) throws(StoreError) -> Bool {
    switch transaction.operations[transaction.position].request {
    case nil: break
    case .requestRange(let range):
      transaction.results.append(try read(range, within: &budget))
    case .requestPut(let put): transaction.results.append(try self.put(put))
    case .requestDeleteRange(let range):
      guard let result = try delete(range, &transaction.deletion, within: &budget) else {
        return false
      }
      transaction.results.append(result)
    case .requestTxn: preconditionFailure("the operations of nested transactions stand for them")
    }
    return true
  }

  private func read(
    _ request: Etcdserverpb.RangeRequest, within budget: inout Int
  ) throws(StoreError) -> KVResult {
    let state = snapshot()
    if let result = try state.range(request, current: currentRevision, within: &budget) {
      return .range(result)
    }
    return .pending(
      PendingRead(state: state, request: request, current: currentRevision, deletion: nil))
  }

  /// - Returns: `nil` when the deletion is to be gone on with.
  private mutating func delete(
    _ request: Etcdserverpb.DeleteRangeRequest, _ deletion: inout Transaction.Deletion?,
    within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    let interval = KeyInterval(key: request.key, rangeEnd: request.rangeEnd)
    if interval.isSingle {
      let pair = request.prevKv ? try current(request.key) : nil
      let deleted = delete(request.key)
      return .deleteRange(
        revision: currentRevision, deleted: deleted, previous: pair.map { [$0] } ?? [])
    }
    var under =
      try deletion
      ?? Transaction.Deletion(
        bulk: BulkDelete(source: .interval(next: interval.start, end: interval.end)),
        previous: previousPairs(request, within: &budget))
    deletion = nil
    while budget > 0, !under.bulk.isDone { step(&under.bulk, within: &budget) }
    guard under.bulk.isDone else {
      deletion = under
      return nil
    }
    switch under.previous {
    case .unwanted:
      return .deleteRange(revision: currentRevision, deleted: under.bulk.deleted, previous: [])
    case .rows(let rows):
      return .deleteRange(revision: currentRevision, deleted: under.bulk.deleted, previous: rows)
    case .pending(let state, let range, let current):
      return .pending(
        PendingRead(
          state: state, request: range, current: current,
          deletion: (currentRevision, under.bulk.deleted)))
    }
  }

  private func previousPairs(
    _ request: Etcdserverpb.DeleteRangeRequest, within budget: inout Int
  ) throws(StoreError) -> PreviousPairs {
    guard request.prevKv else { return .unwanted }
    let range = Etcdserverpb.RangeRequest(key: request.key, rangeEnd: request.rangeEnd)
    let state = snapshot()
    if let found = try state.range(range, current: currentRevision, within: &budget) {
      return .rows(found.rows)
    }
    return .pending(state, range, current: currentRevision)
  }
}

/// Comparisons that a transaction has made, in the order in which it makes them, and how far the one under
/// way has come.
struct ComparisonLog: Sendable {
  private var answers = Answers()
  private var next = 0
  private var cursor = Etcdserverpb.Compare.Cursor()

  /// From the first comparison on again.
  mutating func rewind() { next = 0 }

  /// The answer to the comparison whose turn it is; `nil` when the budget of keys ran out.
  mutating func answer(
    _ comparison: Etcdserverpb.Compare, in store: StoreSnapshot, within budget: inout Int
  ) throws(StoreError) -> Bool? {
    if next == answers.count {
      guard let answer = try comparison.holds(in: store, within: &budget, &cursor) else {
        return nil
      }
      cursor = Etcdserverpb.Compare.Cursor()
      answers.append(answer)
    }
    next += 1
    return answers[next - 1]
  }
}

/// Answers in a row, few of them without memory of their own.
private struct Answers: Sendable {
  private(set) var count = 0
  /// The first of them, from the lowest bit on.
  private var bits: UInt64 = 0
  private var rest: [Bool] = []

  mutating func append(_ answer: Bool) {
    if count >= UInt64.bitWidth {
      rest.append(answer)
    } else if answer {
      bits |= 1 << UInt64(count)
    }
    count += 1
  }

  subscript(_ index: Int) -> Bool {
    index >= UInt64.bitWidth ? rest[index - UInt64.bitWidth] : bits >> UInt64(index) & 1 == 1
  }
}
