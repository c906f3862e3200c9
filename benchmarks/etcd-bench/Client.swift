import Bytes
import EtcdAPI
import GRPC
import Protobuf
import Runtime

/// A gRPC client for what is not measured: states, and filling a store.
struct Client: Sendable {
  private let grpc: GRPCClient

  init(port: Int, loop: EventLoop) async throws {
    grpc = try await GRPCClient.connect(to: .tcp(host: "127.0.0.1", port: port), loop: loop)
  }

  func close() { grpc.abort() }

  private func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _: Reply.Type
  ) async throws -> Reply {
    let reply = try await grpc.unary(method.path, request.encoded(), timeout: .seconds(30))
    return try Reply.decode(reply.message)
  }

  /// The store's revision, read through the leader.
  func revision() async throws -> Int64 {
    let request = Etcdserverpb.RangeRequest(key: Bodies.key)
    let reply = try await call(
      Etcdserverpb.KVService.range, request, Etcdserverpb.RangeResponse.self)
    return reply.header?.revision ?? 0
  }

  func isLeader() async throws -> Bool {
    let reply = try await call(
      Etcdserverpb.MaintenanceService.status, Etcdserverpb.StatusRequest(),
      Etcdserverpb.StatusResponse.self)
    return reply.leader == reply.header?.memberID
  }

  func put(_ key: Bytes, _ value: Bytes) async throws {
    _ = try await call(
      Etcdserverpb.KVService.put, Etcdserverpb.PutRequest(key: key, value: value),
      Etcdserverpb.PutResponse.self)
  }

  func keyCount() async throws -> Int {
    let request = Etcdserverpb.RangeRequest(
      key: Bytes([0]), rangeEnd: Bytes([0]), countOnly: true)
    return Int(
      try await call(Etcdserverpb.KVService.range, request, Etcdserverpb.RangeResponse.self).count)
  }

  /// Puts keys of 16 bytes with values of 256 bytes, several in a transaction.
  func fill(_ keys: Range<Int>, perTransaction: Int, parallel: Int) async throws {
    let starts = stride(from: keys.lowerBound, to: keys.upperBound, by: perTransaction)
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      for start in starts {
        if running == parallel {
          try await group.next()
          running -= 1
        }
        let end = Swift.min(start + perTransaction, keys.upperBound)
        group.addTask { try await self.fill(start..<end) }
        running += 1
      }
      try await group.waitForAll()
    }
  }

  private func fill(_ keys: Range<Int>) async throws {
    let puts = keys.map { number in
      Etcdserverpb.PutRequest(key: Bodies.key(number), value: Bodies.value)
    }
    if puts.count == 1 { return try await put(puts[0].key, puts[0].value) }
    let request = Etcdserverpb.TxnRequest(
      success: puts.map { Etcdserverpb.RequestOp(request: .requestPut($0)) })
    let reply = try await call(
      Etcdserverpb.KVService.txn, request, Etcdserverpb.TxnResponse.self)
    guard reply.succeeded else { throw BenchError("a transaction without compares failed") }
  }
}
