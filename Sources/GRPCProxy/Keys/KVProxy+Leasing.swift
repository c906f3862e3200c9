import Bytes
import Calls
import EtcdAPI
import EventLoops
import Protobuf

// Calls where keys are leased.

extension KVProxy {
  func leasedRange(_ call: UnaryCall, _ bytes: Bytes, _ leasing: LeasingCalls) {
    guard let request = read(call, bytes, Etcdserverpb.RangeRequest.self) else { return }
    if let known = leasing.known(request) { return call.respond(.bytes(known.encoded())) }
    answer(call) { try await leasing.range(request, call).encoded() }
  }

  func leasedPut(_ call: UnaryCall, _ bytes: Bytes) {
    guard let put = read(call, bytes, Etcdserverpb.PutRequest.self) else { return }
    commit(call, .init(success: [.init(request: .requestPut(put))])) { response in
      guard case .responsePut(var answer)? = response.responses.first?.response else { return nil }
      answer.header = response.header
      return answer.encoded()
    }
  }

  func leasedDelete(_ call: UnaryCall, _ bytes: Bytes) {
    guard let range = read(call, bytes, Etcdserverpb.DeleteRangeRequest.self) else { return }
    commit(call, .init(success: [.init(request: .requestDeleteRange(range))])) { response in
      guard case .responseDeleteRange(var answer)? = response.responses.first?.response else {
        return nil
      }
      answer.header = response.header
      return answer.encoded()
    }
  }

  func leasedTxn(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = read(call, bytes, Etcdserverpb.TxnRequest.self) else { return }
    commit(call, request) { $0.encoded() }
  }

  /// - Parameter show: the answer in what the transaction has brought; `nil` where it is none.
  private func commit(
    _ call: UnaryCall, _ request: Etcdserverpb.TxnRequest,
    _ show: @escaping @Sendable (Etcdserverpb.TxnResponse) -> Bytes?
  ) {
    guard let leasing else { return }
    answer(call) { [cache] in
      defer {
        cache.invalidate(
          request.intervals.map { .init(key: $0.key.detached(), end: $0.end.detached()) })
      }
      let response = try await leasing.commit(request, call)
      guard let answer = show(response) else {
        throw GRPCStatus(.internal, "a transaction was answered without what it did")
      }
      return answer
    }
  }

  private func answer(_ call: UnaryCall, _ body: @escaping @Sendable () async throws -> Bytes) {
    Task(executorPreference: call.loop) {
      do { call.respond(.bytes(try await body())) } catch { call.fail(GRPCStatus(error)) }
    }
  }
}
