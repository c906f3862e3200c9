import EtcdAPI
import MVCC
import Raft

/// Deletions of very many keys, which are done in steps.
extension MemberCore {
  /// Begins one that is to be done in steps. - Returns: false when it is none.
  mutating func beginBulk(
    _ request: Etcdserverpb.InternalRaftRequest, _ entry: Raftpb.Entry, id: UInt64
  ) -> Bool {
    let delete: BulkDelete?
    if let revoke = request.leaseRevoke {
      delete = store.beginRevoke(revoke, over: config.applyStepKeys)
    } else if let range = request.deleteRange {
      delete = store.beginDelete(range, over: config.applyStepKeys)
    } else {
      return false
    }
    guard let delete else { return false }
    applyQueue.bulk = ApplyQueue.Bulk(
      entry: entry, id: id, lease: request.leaseRevoke?.id, before: store.snapshot(),
      delete: delete)
    return true
  }

  /// Goes on with a deletion under way. - Returns: whether there is none any more.
  mutating func finishBulk(_ out: inout MemberOutput) -> Bool {
    guard var bulk = applyQueue.bulk else { return true }
    guard applyBudget > 0 else { return false }
    applyQueue.bulk = nil
    while applyBudget > 0, !bulk.delete.isDone {
      let taken = min(applyBudget, 256)
      applyBudget -= taken
      store.step(&bulk.delete, limit: taken)
    }
    guard bulk.delete.isDone else {
      applyQueue.bulk = bulk
      return false
    }
    let result = store.finish(bulk.delete)
    didApply(bulk.entry)
    if let lease = bulk.lease {
      reply(bulk.id, didRevoke(lease, &out), &out)
    } else {
      reply(bulk.id, .kv(result), &out)
    }
    return true
  }
}
