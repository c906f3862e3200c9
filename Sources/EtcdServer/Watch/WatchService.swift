import Auth
import Bytes
import Calls
import EtcdAPI
import EventLoops
import MVCC
import Member
import Protobuf
import Watch

/// etcdserverpb.Watch.
///
/// - Source: etcd `v3rpc/watch.go`.
struct WatchService: Sendable {
  let member: RunningMember

  func register(in router: inout CallRouter) {
    let method = Etcdserverpb.WatchService.watch
    router.streaming(method.path, counters: member.counters(method)) { try await watch($0) }
  }

  private func watch(_ stream: ServerStream) async throws -> GRPCStatus {
    do throws(EtcdError) { try member.refuseOnLearner() } catch { return GRPCStatus(error) }
    let leader = LeaderRequirement.begin(stream, member)
    defer { leader?.end() }
    let id = member.watches.open(stream)
    defer { member.watches.close(id) }
    for try await bytes in stream.requests {
      let request: Etcdserverpb.WatchRequest
      do throws(ProtobufError) { request = try .decode(bytes) } catch {
        return GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
      }
      switch request.requestUnion {
      case .createRequest(let create):
        let refusal = await refusal(create, stream.caller)
        member.watches.create(create, on: id, refusal: refusal)
      case .cancelRequest(let cancel): member.watches.cancel(cancel.watchID, on: id)
      case .progressRequest: member.watches.requestProgress(on: id)
      case nil: break
      }
      // Who does not read its answers is not read from either.
      try await stream.awaitRoom()
    }
    // A client that asks for nothing more goes on watching.
    try await stream.awaitEnd()
    return .cancelled
  }

  /// Why a client may not watch something; `nil` when it may.
  private func refusal(
    _ request: Etcdserverpb.WatchCreateRequest, _ caller: Caller
  ) async -> String? {
    guard member.access.isEnabled else { return nil }
    let keys = KeyInterval(
      key: request.key.isEmpty ? Bytes([0]) : request.key, rangeEnd: request.rangeEnd)
    let error = await withCheckedContinuation { continuation in
      member.loop.execute {
        member.permitRead(keys, caller) { continuation.resume(returning: $0) }
      }
    }
    guard let error else { return nil }
    // Other errors are told as this one too.
    let told: EtcdError
    switch error {
    case .invalidAuthToken, .authOldRevision, .userEmpty: told = error
    default: told = .permissionDenied
    }
    let status = GRPCStatus(told)
    return "rpc error: code = \(status.code) desc = \(status.message)"
  }
}
