import EtcdAPI
import MVCC
import Raft

/// Writes that concern very many keys, which are done in steps.
extension MemberCore {
  /// Begins a revocation that is to be done in steps. - Returns: false when it is none.
  mutating func beginRevocation(
    _ request: Etcdserverpb.LeaseRevokeRequest, _ entry: Raftpb.Entry, id: RequestID
  ) -> Bool {
    guard let delete = store.beginRevoke(request, over: config.applyStepKeys) else { return false }
    applyQueue.bulk = ApplyQueue.Bulk(
      entry: entry, id: id, operation: .leaseRevoke, before: store.snapshot(),
      work: .revocation(LeaseID(request.id), delete))
    return true
  }

  /// Applies a transaction, in steps when it looks at many keys.
  /// - Returns: the answer; `nil` when it comes later.
  /// - Throws: what the transaction is refused with.
  mutating func apply(
    _ request: Etcdserverpb.TxnRequest, _ entry: Raftpb.Entry, id: RequestID
  ) throws(StoreError) -> KVResult? {
    guard request.hasIntervals else { return try store.apply(request) }
    return try begin(Transaction(request), .txn, entry, id: id)
  }

  /// The same for a deletion.
  mutating func apply(
    _ request: Etcdserverpb.DeleteRangeRequest, _ entry: Raftpb.Entry, id: RequestID
  ) throws(StoreError) -> KVResult? {
    guard !request.rangeEnd.isEmpty else { return try store.apply(request) }
    return try begin(Transaction(deleting: request), .deleteRange, entry, id: id)
  }

  private mutating func begin(
    _ transaction: Transaction, _ operation: ApplyOperation, _ entry: Raftpb.Entry, id: RequestID
  ) throws(StoreError) -> KVResult? {
    let before = store.snapshot()
    var transaction = transaction
    try store.step(&transaction, within: &applyBudget)
    if let result = transaction.result { return result }
    applyQueue.bulk = ApplyQueue.Bulk(
      entry: entry, id: id, operation: operation, before: before, work: .transaction(transaction))
    return nil
  }

  /// Goes on with what is under way. - Returns: whether there is nothing any more.
  mutating func finishBulk(_ out: inout MemberOutput) -> Bool {
    guard var bulk = applyQueue.bulk else { return true }
    guard applyBudget > 0 else { return false }
    // One owner, or every step would copy.
    applyQueue.bulk = nil
    guard let outcome = step(&bulk.work, &out) else {
      applyQueue.bulk = bulk
      return false
    }
    guard failure == nil else { return false }
    didApply(bulk.entry)
    didApply(bulk.operation, outcome, spent: bulk.spent)
    reply(bulk.id, outcome, &out)
    return true
  }

  /// - Returns: how it ended; `nil` when it is to be gone on with.
  private mutating func step(_ work: inout ApplyQueue.Work, _ out: inout MemberOutput) -> Outcome? {
    switch work {
    case .revocation(let lease, var delete):
      work = .taken
      while applyBudget > 0, !delete.isDone { store.step(&delete, within: &applyBudget) }
      guard delete.isDone else {
        work = .revocation(lease, delete)
        return nil
      }
      store.finish(delete)
      return didRevoke(lease, &out)
    case .transaction(var transaction):
      work = .taken
      do throws(StoreError) {
        try store.step(&transaction, within: &applyBudget)
      } catch {
        if case .damaged(let text) = error { halt(text) }
        return .failed(EtcdError(error))
      }
      guard let result = transaction.result else {
        work = .transaction(transaction)
        return nil
      }
      return .kv(result)
    case .taken: preconditionFailure("a step begins inside another one")
    }
  }
}
