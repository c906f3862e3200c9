import Auth
import Bytes
import EtcdAPI
import MVCC
import Membership
import Protobuf
import Raft

/// Applying committed entries: the same input gives the same state on every member, Go's included.
extension MemberCore {
  /// Applies what waits, as far as this turn's budget reaches.
  mutating func applyOn(_ out: inout MemberOutput) {
    if let observer = config.applyObserver { applyBegan = observer.now }
    while failure == nil {
      guard finishBulk(&out) else {
        if let observer = config.applyObserver {
          applyQueue.bulk?.spent += observer.now &- applyBegan
        }
        return
      }
      if let entry = applyQueue.nextEntry() {
        apply(entry, &out)
      } else if let responses = applyQueue.finishMessage() {
        for response in responses { step(response) }
      } else {
        return
      }
    }
  }

  private mutating func apply(_ entry: Raftpb.Entry, _ out: inout MemberOutput) {
    let index = LogIndex(entry.index)
    precondition(index == applied.index.next, "entry \(index) applied after \(applied.index)")
    // The backend may be ahead of the raft snapshot that the log was read from.
    let isReplay = index <= replayUntil
    switch entry.type {
    case .normal: applyNormal(entry, isReplay: isReplay, &out)
    case .confChange, .confChangeV2: applyConfChange(entry, isReplay: isReplay, &out)
    case .unrecognized(let type): halt("entry \(entry.index) has the unknown type \(type)")
    }
    if applyQueue.bulk == nil { didApply(entry) }
  }

  mutating func didApply(_ entry: Raftpb.Entry) {
    applied.index = LogIndex(entry.index)
    applied.term = Term(entry.term)
    if applied.index == replayUntil { backend.caughtUp(at: applied) }
  }

  private mutating func applyNormal(
    _ entry: Raftpb.Entry, isReplay: Bool, _ out: inout MemberOutput
  ) {
    if entry.data.isEmpty {
      // The empty entry of a new leader.
      if !isReplay { promoteLessor(at: Term(entry.term)) }
      return
    }
    if isReplay {
      replay(entry.data, &out)
      return
    }
    if let request = try? DataRequest.decode(entry.data), request.isComplete {
      let outcome = apply(request, entry)
      if applyQueue.bulk == nil {
        didApply(request.isPut ? .put : .txn, outcome ?? .done)
      }
      if let outcome { reply(request.id, outcome, &out) }
      return
    }
    guard let request = try? Etcdserverpb.InternalRaftRequest.decode(entry.data) else {
      // Entries of etcd 2 and the publishing of attributes are raw v2 requests.
      guard let request = decodeV2(entry.data) else {
        halt("entry \(entry.index) is neither a v3 nor a v2 request")
        return
      }
      applyV2(request, isReplay: false, &out)
      didApply(ApplyOperation(request), .done)
      return
    }
    if let request = request.v2 {
      applyV2(request, isReplay: false, &out)
      didApply(ApplyOperation(request), .done)
      return
    }
    let id = RequestID(request.id != 0 ? request.id : request.header?.id ?? 0)
    let outcome =
      AuthStore.concerns(request)
      ? applyAuth(request, index: LogIndex(entry.index), &out) : apply(request, entry, id: id, &out)
    if applyQueue.bulk == nil { didApply(ApplyOperation(request), outcome ?? .done) }
    if let outcome { reply(id, outcome, &out) }
  }

  /// Tells the observer, which reads its clock once an entry.
  /// - Parameter spent: nanoseconds that the entry took in earlier turns.
  mutating func didApply(
    _ operation: ApplyOperation?, _ outcome: Outcome, spent: UInt64 = 0
  ) {
    guard let observer = config.applyObserver else { return }
    let now = observer.now
    var succeeded = true
    if case .failed = outcome { succeeded = false }
    if let operation {
      observer.applied(operation, succeeded: succeeded, nanoseconds: now &- applyBegan &+ spent)
    }
    applyBegan = now
  }

  /// Applies what the backend does not hold: membership, cluster version, v2 store.
  private mutating func replay(_ data: Bytes, _ out: inout MemberOutput) {
    if let request = try? DataRequest.decode(data), request.isComplete { return }
    guard let request = try? Etcdserverpb.InternalRaftRequest.decode(data) else {
      if let request = decodeV2(data) { applyV2(request, isReplay: true, &out) }
      return
    }
    if let request = request.v2 {
      applyV2(request, isReplay: true, &out)
    } else if let version = request.clusterVersionSet {
      setClusterVersion(version.ver, isReplay: true, &out)
    } else if let attributes = request.clusterMemberAttrSet {
      setAttributes(attributes, isReplay: true, &out)
    }
  }

  private func decodeV2(_ data: Bytes) -> Etcdserverpb.Request? {
    try? Etcdserverpb.Request.decode(data)
  }

  /// - Returns: the answer; `nil` when it comes later.
  private mutating func apply(_ request: DataRequest, _ entry: Raftpb.Entry) -> Outcome? {
    if alarms.isRaised(.corrupt) { return .failed(.corrupt) }
    if alarms.isRaised(.nospace), request.isPut || request.txn?.containsPut == true {
      return .failed(.noSpace)
    }
    if auth.isEnabled, let refusal = authRefusal(of: request) { return .failed(refusal) }
    do throws(StoreError) {
      if let put = request.put { return .kv(try store.apply(put)) }
      if let txn = request.txn {
        return try apply(txn, entry, id: request.id).map { .kv($0) }
      }
    } catch {
      if case .damaged(let text) = error { halt(text) }
      return .failed(EtcdError(error))
    }
    preconditionFailure("a complete data request holds a put or a transaction")
  }

  /// - Returns: the answer; `nil` when it comes later.
  private mutating func apply(
    _ request: Etcdserverpb.InternalRaftRequest, _ entry: Raftpb.Entry, id: RequestID,
    _ out: inout MemberOutput
  ) -> Outcome? {
    if let refusal = refusal(of: request) ?? authRefusal(of: request) { return .failed(refusal) }
    do throws(StoreError) {
      if let put = request.put { return .kv(try store.apply(put)) }
      if let range = request.deleteRange {
        return try apply(range, entry, id: id).map { .kv($0) }
      }
      if let txn = request.txn { return try apply(txn, entry, id: id).map { .kv($0) } }
      if let range = request.range { return .kv(.range(try store.snapshot().range(range))) }
      if let compaction = request.compaction {
        let result = try store.compact(to: compaction.revision)
        if let begun = store.takeNewCompaction() { out.compactionsBegun.append(begun) }
        if compaction.physical {
          // It may take longer than a request may wait for its entry, which is here.
          if proposals.remove(id) {
            physicalCompactions.add(id, revision: compaction.revision, result)
          }
          return nil
        }
        return .kv(result)
      }
      if let grant = request.leaseGrant { return try applyLease(grant, &out) }
      if let revoke = request.leaseRevoke {
        return beginRevocation(revoke, entry, id: id) ? nil : try applyLease(revoke, &out)
      }
    } catch {
      if case .damaged(let text) = error { halt(text) }
      return .failed(EtcdError(error))
    }
    return applySystem(request, &out)
  }

  /// Requests about the cluster rather than its data.
  private mutating func applySystem(
    _ request: Etcdserverpb.InternalRaftRequest, _ out: inout MemberOutput
  ) -> Outcome {
    if let alarm = request.alarm {
      let alarms = alarms.apply(alarm, to: &store)
      return .alarms(alarms, revision: store.revision)
    }
    if let checkpoint = request.leaseCheckpoint {
      applyLease(checkpoint, &out)
    } else if let version = request.clusterVersionSet {
      setClusterVersion(version.ver, isReplay: false, &out)
    } else if let attributes = request.clusterMemberAttrSet {
      setAttributes(attributes, isReplay: false, &out)
    } else if let downgrade = request.downgradeInfoSet {
      self.downgrade = Downgrade(target: downgrade.enabled ? downgrade.ver : "")
      store.put(.cluster, Self.downgradeKey, self.downgrade.json)
      out.downgrade = self.downgrade
    }
    return .done
  }

  /// Alarms that refuse requests on every member alike.
  /// - Source: etcd `applierV3Capped`, `applierV3Corrupt`.
  private func refusal(of request: Etcdserverpb.InternalRaftRequest) -> EtcdError? {
    if alarms.isRaised(.corrupt) {
      let touchesData =
        request.put != nil || request.range != nil || request.deleteRange != nil
        || request.txn != nil || request.compaction != nil || request.leaseGrant != nil
        || request.leaseRevoke != nil
      if touchesData { return .corrupt }
    }
    if alarms.isRaised(.nospace) {
      let grows =
        request.put != nil || request.leaseGrant != nil || (request.txn?.containsPut ?? false)
      if grows { return .noSpace }
    }
    return nil
  }

  mutating func compactionStep(_ out: inout MemberOutput) {
    guard !compactionPause, !backend.isInstalling, applyQueue.bulk == nil,
      applied.index >= replayUntil,
      store.canCompact(dropsMax: config.compactionBatchRows)
    else { return }
    let before = store.droppedRows
    let finished = store.compactStep(
      limit: config.compactionStepKeys, dropsMax: config.compactionBatchRows)
    out.compactedRows += store.droppedRows - before
    guard let finished else {
      compactionPause = true
      out.wantsCompaction = true
      return
    }
    out.compacted = finished
    if physicalCompactions.finished(finished) { backend.commitDue = true }
  }
}
