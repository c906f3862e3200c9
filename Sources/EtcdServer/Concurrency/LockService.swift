import Bytes
import Calls
import Concurrency
import EtcdAPI
import Protobuf

/// v3lockpb.Lock.
///
/// A lock is held by the oldest key under its name. That the key is still there is asked once more when
/// its turn has come, and a wait ends with it: a session that has expired never gets the lock.
///
/// - Source: etcd `v3lock/lock.go`, `concurrency/mutex.go`.
struct LockService: Sendable {
  let member: RunningMember
  /// The other services.
  let calls: LocalCalls

  func register(in router: inout CallRouter) {
    typealias Lock = V3lockpb.LockService
    router.unary(Lock.lock.path, counters: member.counters(Lock.lock)) { call, bytes in
      guard member.serves(call) else { return }
      call.answer(V3lockpb.LockRequest.self, bytes) { request async throws(GRPCStatus) in
        try await lock(request, call.caller)
      }
    }
    router.unary(Lock.unlock.path, counters: member.counters(Lock.unlock)) { call, bytes in
      guard member.serves(call) else { return }
      call.answer(V3lockpb.UnlockRequest.self, bytes) { request async throws(GRPCStatus) in
        try await unlock(request, call.caller)
      }
    }
  }

  private func lock(
    _ request: V3lockpb.LockRequest, _ caller: Caller
  ) async throws(GRPCStatus) -> V3lockpb.LockResponse {
    let session = SessionCalls(calls, for: caller)
    var own = Candidacy(request.name, lease: try await session.lease(request.lease), session)
    let entry = try await own.enter(Bytes())
    if entry.isOldest { return V3lockpb.LockResponse(header: entry.header, key: own.key) }
    guard let header = try await own.awaitTurn() else {
      throw GRPCStatus(.unknown, "mutex: session is expired")
    }
    return V3lockpb.LockResponse(header: header, key: own.key)
  }

  private func unlock(
    _ request: V3lockpb.UnlockRequest, _ caller: Caller
  ) async throws(GRPCStatus) -> V3lockpb.UnlockResponse {
    let answer: Etcdserverpb.DeleteRangeResponse = try await SessionCalls(calls, for: caller).ask(
      Etcdserverpb.KVService.deleteRange, Etcdserverpb.DeleteRangeRequest(key: request.key))
    return V3lockpb.UnlockResponse(header: answer.header)
  }
}

extension RunningMember {
  /// Whether this member serves locks and elections; else the call is answered.
  func serves(_ call: UnaryCall) -> Bool {
    do throws(EtcdError) { try refuseOnLearner() } catch {
      call.fail(error)
      return false
    }
    return true
  }
}
