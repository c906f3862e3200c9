import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import Protobuf

/// What of etcdserverpb.Lease is not handed on as it is.
final class LeaseProxy: @unchecked Sendable {
  // @unchecked: used on one loop; immutable.

  private let forwarder: Forwarder
  private let exchange: LeaseExchange
  private let leader: LeaderWatch
  private let names: KeyNamespace

  init(
    _ forwarder: Forwarder, _ exchange: LeaseExchange, _ leader: LeaderWatch, names: KeyNamespace
  ) {
    self.forwarder = forwarder
    self.exchange = exchange
    self.leader = leader
    self.names = names
  }

  /// How long a lease lives, with those of its keys that clients can see.
  func timeToLive(_ call: UnaryCall, _ request: Bytes) {
    forwarder.ask(call, request) { [names] result in
      guard !names.prefix.isEmpty, case .success(let bytes) = result,
        let answer = try? Etcdserverpb.LeaseTimeToLiveResponse.decode(bytes)
      else { return KVProxy.answer(call, result) }
      call.respond(.bytes(names.visible(answer).encoded()))
    }
  }

  func keepAlive(_ call: ServerStream) async throws -> GRPCStatus {
    let renewals = Renewals(call)
    if LeaderWatch.isWanted(call.metadata) {
      try leader.enter(renewals) { [loop = call.loop] in
        loop.execute { call.interrupt(.noLeader) }
      }
    }
    defer { leader.leave(renewals) }
    let token = (call.metadata.first("token") ?? Bytes()).detached()
    for try await bytes in call.requests {
      let request: Etcdserverpb.LeaseKeepAliveRequest
      do throws(ProtobufError) { request = try .decode(bytes) } catch {
        return GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
      }
      renewals.begin()
      exchange.upstream.loop.execute { [exchange, loop = call.loop] in
        exchange.renew(request.id, token: token) { result in
          loop.execute { renewals.end(result) }
        }
      }
      try await renewals.room()
      // Who does not read its answers is not read from either.
      try await call.awaitRoom()
    }
    try await renewals.all()
    return .ok
  }
}

/// Renewals of one stream that have no answer yet. Confined to its loop.
final class Renewals: @unchecked Sendable {
  // @unchecked: confined to `call.loop`.

  private let call: ServerStream
  private var open = 0
  private let gate: SendGate

  /// Renewals of one stream at a time; then it is not read from.
  static let openMax = 1_024

  init(_ call: ServerStream) {
    self.call = call
    gate = SendGate(loop: call.loop)
  }

  func begin() { open &+= 1 }

  func end(_ result: Result<Bytes, GRPCStatus>) {
    open &-= 1
    switch result {
    case .success(let message): try? call.enqueue(.bytes(message))
    case .failure(let status): call.interrupt(status)
    }
    gate.open()
  }

  /// Waits while there are too many.
  func room() async throws {
    while open >= Self.openMax {
      try await gate.wait { [self] in open >= Self.openMax }
    }
  }

  /// Waits for the last one.
  func all() async throws {
    while open > 0 { try await gate.wait { [self] in open > 0 } }
  }
}
