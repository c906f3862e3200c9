import Bytes
import EtcdAPI
import EventLoops
import GRPC
import HTTP
import Protobuf

/// A gRPC client for what is not measured: states, and filling a store.
struct Client: Sendable {
  private let grpc: GRPCClient

  init(port: Int, loop: EventLoop) async throws {
    grpc = try await GRPCClient.connect(
      to: .tcp(host: "127.0.0.1", port: port), loop: loop, dial: HTTPClient.dial(.plain))
  }

  func close() { grpc.abort() }

  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _: Reply.Type,
    timeout: Duration = .seconds(30)
  ) async throws -> Reply {
    let reply = try await grpc.unary(method.path, request.encoded(), timeout: timeout)
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
    let reply = try await status()
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
}
