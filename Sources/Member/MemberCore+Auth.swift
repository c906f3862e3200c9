import Auth
import EtcdAPI
import MVCC

/// Users and roles: their entries, and who may have other entries applied.
extension MemberCore {
  mutating func applyAuth(
    _ request: Etcdserverpb.InternalRaftRequest, index: LogIndex, _ out: inout MemberOutput
  ) -> Outcome {
    do throws(EtcdError) {
      let before = auth.revision
      let wasEnabled = auth.isEnabled
      let (result, event) = try auth.apply(
        request, index: index.rawValue, to: &store, hash: config.hashPassword)
      if auth.revision != before || auth.isEnabled != wasEnabled { out.auth = auth }
      if let event { out.tokenEvents.append(event) }
      return .auth(result, revision: store.revision)
    } catch { return .failed(error) }
  }

  /// Why the proposer may not have the entry applied.
  func authRefusal(of request: DataRequest) -> EtcdError? {
    do throws(EtcdError) {
      if let put = request.put { try auth.check(put, store.leases, request.caller) }
      if let txn = request.txn { try auth.check(txn, store.leases, request.caller) }
      return nil
    } catch { return error }
  }

  func authRefusal(of request: Etcdserverpb.InternalRaftRequest) -> EtcdError? {
    do throws(EtcdError) {
      try auth.check(request, store.leases)
      return nil
    } catch { return error }
  }

  /// Reads users and roles from the store that came with a snapshot. What happened to tokens in the
  /// entries that it stands for is unknown: when there were auth entries among them, all tokens end.
  mutating func restoreAuth(_ out: inout MemberOutput) throws(StoreError) {
    let before = auth.revision
    auth = try AuthStore(restoring: store)
    out.auth = auth
    if auth.revision != before { out.tokenEvents.append(.invalidateAll) }
  }

  mutating func awaitApplied(_ index: LogIndex, id: RequestID, _ out: inout MemberOutput) {
    guard index > applied.index else {
      out.replies.append(Reply(id: id, outcome: .done))
      return
    }
    guard appliedWaits.count < config.appliedWaitsMax, proposals.count < config.waitingMax else {
      out.replies.append(Reply(id: id, outcome: .failed(.tooManyRequests)))
      return
    }
    wait(for: id)
    appliedWaits.append((id, index))
  }

  mutating func releaseAppliedWaits(_ out: inout MemberOutput) {
    guard !appliedWaits.isEmpty else { return }
    for wait in appliedWaits where wait.index <= applied.index { reply(wait.id, .done, &out) }
    // Those that waited too long are answered already.
    appliedWaits.removeAll { !proposals.isWaiting($0.id) }
  }
}
