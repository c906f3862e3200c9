import Bytes
import Calls
import EtcdAPI
import EventLoops
import Protobuf
import Synchronization
import TestSupport

@testable import DevClusterKit
@testable import EtcdClient

/// A server between clients and one member, which hands everything on and lies in one way.
final class Liar: Sendable {
  enum Lie: String, CaseIterable, Sendable {
    case none
    /// Now and then a read shows what there was before.
    case staleReads
    /// Now and then a write is acknowledged and not done.
    case lostWrites
    /// Leases end before their time.
    case earlyLeases
    /// Watchers are not told of everything.
    case skippedEvents
    /// A lock is given to the next though somebody holds it.
    case sharedLocks
  }

  private let lie: Lie
  private let client: EtcdClient
  private let loop: EventLoop
  private struct State {
    var old: [Bytes: Etcdserverpb.RangeResponse] = [:]
    var counts: [String: Int] = [:]
  }
  private let state = Mutex(State())

  init(_ lie: Lie, before member: String, on loop: EventLoop) throws {
    self.lie = lie
    self.loop = loop
    client = try EtcdClient(endpoints: [member])
  }

  /// Serves clients on a loop of its own while `body` runs, which may block.
  /// - Parameter body: gets the address.
  static func with<R>(
    _ lie: Lie, before member: String, _ body: (_ name: String) throws -> R
  ) async throws -> R {
    let loop = EventLoop(name: "liar")
    loop.start()
    let liar = try Liar(lie, before: member, on: loop)
    let serving = try await withTaskExecutorPreference(loop) { () async throws -> Serving in
      let (listener, name) = try serve(loop, liar.router)
      return Serving(listener: listener, name: name)
    }
    let result = Result { try body(serving.name) }
    await withTaskExecutorPreference(loop) { () async in serving.listener.close() }
    liar.client.close()
    await offLoop { loop.stop() }
    return try result.get()
  }

  private struct Serving: @unchecked Sendable {
    // @unchecked: the listener is used on its loop alone.
    let listener: Listener
    let name: String
  }

  /// Whether this is one of every `number` such moments.
  private func isOne(in number: Int, _ name: String) -> Bool {
    state.withLock { state in
      state.counts[name, default: 0] += 1
      return state.counts[name, default: 0] % number == 0
    }
  }

  var router: CallRouter {
    var router = CallRouter()
    unary(&router, Etcdserverpb.KVService.range) { try await self.range($0) }
    unary(&router, Etcdserverpb.KVService.put) { try await self.put($0) }
    unary(&router, Etcdserverpb.KVService.deleteRange) { try await self.client.kv.delete(of: $0) }
    unary(&router, Etcdserverpb.KVService.txn) { try await self.txn($0) }
    unary(&router, Etcdserverpb.LeaseService.leaseGrant) { try await self.grant($0) }
    unary(&router, Etcdserverpb.LeaseService.leaseRevoke) {
      (request: Etcdserverpb.LeaseRevokeRequest) in try await self.client.leases.revoke(request.id)
    }
    router.streaming(Etcdserverpb.LeaseService.leaseKeepAlive.path) { stream in
      while let message = try await stream.nextRequests(limit: 1).first {
        let request = try Etcdserverpb.LeaseKeepAliveRequest.decode(message)
        var answer = Etcdserverpb.LeaseKeepAliveResponse(id: request.id)
        do { answer = try await self.client.leases.keepAliveOnce(request.id) } catch let error
          as EtcdClientError where error.etcdError == .leaseNotFound
        {}
        try await stream.send(answer.encoded())
      }
      return .ok
    }
    router.streaming(Etcdserverpb.WatchService.watch.path) { try await self.watch($0) }
    return router
  }

  private func unary<Request: ProtobufMessage & Sendable, Reply: ProtobufMessage & Sendable>(
    _ router: inout CallRouter, _ method: MethodDescriptor,
    _ answer: @escaping @Sendable (Request) async throws -> Reply
  ) {
    router.unary(method.path) { [loop] call, message in
      Task(executorPreference: loop) {
        let result: Result<Bytes, GRPCStatus>
        do {
          result = .success(try await answer(try Request.decode(message)).encoded())
        } catch let error as EtcdClientError {
          result = .failure(Self.status(error))
        } catch { result = .failure(GRPCStatus(.internal, "\(error)")) }
        loop.execute {
          switch result {
          case .success(let bytes): call.respond(.bytes(bytes))
          case .failure(let status): call.fail(status)
          }
        }
      }
    }
  }

  private static func status(_ error: EtcdClientError) -> GRPCStatus {
    if case .refused(let refusal) = error { return GRPCStatus(refusal.code, refusal.message) }
    return GRPCStatus(.unavailable, error.description)
  }

  // MARK: lies

  private func range(
    _ request: Etcdserverpb.RangeRequest
  ) async throws -> Etcdserverpb.RangeResponse {
    let answer = try await client.kv.get(request)
    guard lie == .staleReads, request.rangeEnd.isEmpty else { return answer }
    let old = state.withLock { state in
      defer { if state.old[request.key] == nil { state.old[request.key] = answer } }
      return state.old[request.key]
    }
    return isOne(in: 20, "read") ? old ?? answer : answer
  }

  private func put(_ request: Etcdserverpb.PutRequest) async throws -> Etcdserverpb.PutResponse {
    guard lie == .lostWrites, isOne(in: 20, "put") else { return try await client.kv.put(request) }
    // Elsewhere, so that the revision is a true one.
    var other = request
    other.key = "lost"
    return try await client.kv.put(other)
  }

  private func txn(_ request: Etcdserverpb.TxnRequest) async throws -> Etcdserverpb.TxnResponse {
    if lie == .sharedLocks, let line = Self.line(request), isOne(in: 5, "lock") {
      try await client.kv.delete(.prefix(line))
    }
    return try await client.kv.txn(request)
  }

  /// The line of a lock that is entered: what its keys begin with.
  private static func line(_ request: Etcdserverpb.TxnRequest) -> Bytes? {
    for operation in request.success {
      guard case .requestPut(let put) = operation.request, put.key.hasPrefix("lock/") else {
        continue
      }
      let parts = put.key.string.split(separator: "/")
      return Bytes(parts.dropLast().joined(separator: "/") + "/")
    }
    return nil
  }

  private func grant(
    _ request: Etcdserverpb.LeaseGrantRequest
  ) async throws -> Etcdserverpb.LeaseGrantResponse {
    let answer = try await client.leases.grant(ttl: request.ttl, id: request.id)
    if lie == .earlyLeases {
      let client = client
      Task(executorPreference: loop) {
        try await Task.sleep(for: .milliseconds(600))
        try await client.leases.revoke(answer.id)
      }
    }
    return answer
  }

  private func watch(_ stream: ServerStream) async throws -> GRPCStatus {
    guard let message = try await stream.nextRequests(limit: 1).first,
      case .createRequest(let create) = try Etcdserverpb.WatchRequest.decode(message).requestUnion
    else { return GRPCStatus(.invalidArgument, "no watch is created") }
    let options = WatchOptions(startRevision: create.startRevision, createdNotify: true)
    for try await update in client.watch(.range(create.key, create.rangeEnd), options) {
      let events = update.events.filter { event in
        // The last one is what watchers wait for.
        lie != .skippedEvents || event.kv?.key == Bytes(Watcher.lastKey) || !isOne(in: 20, "event")
      }
      guard update.kind == .created || !events.isEmpty else { continue }
      try await stream.send(
        Etcdserverpb.WatchResponse(
          header: update.header, created: update.kind == .created, events: events
        ).encoded())
    }
    return .ok
  }
}

extension EtcdClient.KV {
  fileprivate func delete(
    of request: Etcdserverpb.DeleteRangeRequest
  ) async throws -> Etcdserverpb.DeleteRangeResponse {
    try await delete(
      request.rangeEnd.isEmpty ? .key(request.key) : .range(request.key, request.rangeEnd))
  }
}
