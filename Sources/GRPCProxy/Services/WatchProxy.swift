import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import Protobuf

/// etcdserverpb.Watch on one loop.
///
/// - Source: etcd `grpcproxy/watch.go`, `v3rpc/watch.go`.
final class WatchProxy: @unchecked Sendable {
  // @unchecked: confined to the loop of `branch`.

  private let upstream: Upstream
  private let exchange: WatchExchange
  private let branch: WatchBranch
  private let leader: LeaderWatch
  private let names: KeyNamespace

  /// Between attempts to learn whether a client may watch, while no member answers.
  private static let pause = Duration.milliseconds(100)

  init(
    _ upstream: Upstream, _ exchange: WatchExchange, _ leader: LeaderWatch,
    names: KeyNamespace, partBytes: Int
  ) {
    self.upstream = upstream
    self.exchange = exchange
    self.leader = leader
    self.names = names
    branch = WatchBranch(upstream.loop, partBytes: partBytes)
  }

  func serve(_ call: ServerStream) async throws -> GRPCStatus {
    let stream = branch.open(call)
    defer { close(stream) }
    if LeaderWatch.isWanted(call.metadata) {
      try leader.enter(stream) { [loop = call.loop] in
        loop.execute { stream.end(.noLeader) }
      }
    }
    for try await bytes in call.requests {
      let request: Etcdserverpb.WatchRequest
      do throws(ProtobufError) { request = try .decode(bytes) } catch {
        return GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
      }
      switch request.requestUnion {
      case .createRequest(let create): try await self.create(create, stream)
      case .cancelRequest(let cancel): self.cancel(cancel.watchID, stream)
      case .progressRequest: ask(stream)
      case nil: break
      }
      // Who does not read its answers is not read from either.
      try await call.awaitRoom()
    }
    // A client that asks for nothing more goes on watching.
    try await call.awaitEnd()
    return .cancelled
  }

  private func close(_ stream: ProxyWatchStream) {
    leader.leave(stream)
    let watchers = branch.close(stream)
    guard !watchers.isEmpty else { return }
    exchange.upstream.loop.execute { [exchange] in exchange.remove(watchers) }
  }

  private func create(
    _ request: Etcdserverpb.WatchCreateRequest, _ stream: ProxyWatchStream
  ) async throws {
    func refuse(_ reason: String, _ header: Etcdserverpb.ResponseHeader = .init()) {
      stream.send(
        Etcdserverpb.WatchResponse(
          header: header, watchID: -1, created: true, canceled: true, cancelReason: reason))
    }
    if request.startRevision < 0 { return refuse(EtcdError.compacted.message) }
    let keys = keys(request)
    let header: Etcdserverpb.ResponseHeader
    switch try await permission(keys, stream) {
    case .success(let found): header = found
    case .failure(let status): return refuse("\(status)")
    }
    guard Self.isRange(request) else { return refuse("mvcc: watcher range is empty", header) }
    guard let name = stream.name(request.watchID) else {
      return refuse("mvcc: duplicate watch ID provided on the WatchStream", header)
    }
    let watcher = ProxyWatcher(
      id: exchange.makeID(), name: name, request, keys: keys, header: header, stream: stream)
    stream.watchers[name] = watcher
    exchange.upstream.loop.execute { [exchange, branch] in exchange.add(watcher, branch) }
  }

  private static func isRange(_ request: Etcdserverpb.WatchCreateRequest) -> Bool {
    request.rangeEnd.isEmpty || request.rangeEnd == Bytes([0]) || request.key < request.rangeEnd
  }

  /// As the cluster knows them.
  private func keys(_ request: Etcdserverpb.WatchCreateRequest) -> WatchBoard.Keys {
    let key = request.key.isEmpty && names.prefix.isEmpty ? Bytes([0]) : request.key.detached()
    let whole = names.whole(.range(key, request.rangeEnd.detached()))
    return WatchBoard.Keys(key: whole.key, end: whole.end)
  }

  /// Whether a client may read keys, and so watch them; waits while no member answers.
  /// - Returns: what a member says of itself, or why not.
  private func permission(
    _ keys: WatchBoard.Keys, _ stream: ProxyWatchStream
  ) async throws -> Result<Etcdserverpb.ResponseHeader, GRPCStatus> {
    let request = Etcdserverpb.RangeRequest(
      key: keys.key, rangeEnd: keys.end, limit: 1, serializable: true, countOnly: true
    ).encoded()
    while true {
      let answer = await ask(request, stream.call.metadata)
      switch answer {
      case .success(let message):
        do throws(ProtobufError) {
          return .success(try Etcdserverpb.RangeResponse.decode(message).header ?? .init())
        } catch { return .failure(GRPCStatus(.internal, "\(error)")) }
      case .failure(let status):
        guard status.code == .unavailable, !status.message.hasPrefix("etcdserver: ") else {
          return .failure(status)
        }
      }
      // The task is cancelled with its stream.
      try await Task.sleep(for: Self.pause)
      guard stream.call.isOpen else { throw CancellationError() }
    }
  }

  private func ask(_ request: Bytes, _ metadata: Metadata) async -> Result<Bytes, GRPCStatus> {
    await withUnsafeContinuation { done in
      UpstreamCall(
        upstream, Etcdserverpb.KVService.range.path, request, metadata, deadline: nil
      ) { done.resume(returning: $0) }.start()
    }
  }

  private func cancel(_ name: Int64, _ stream: ProxyWatchStream) {
    guard let watcher = stream.watchers.removeValue(forKey: name) else { return }
    branch.leave(watcher)
    stream.send(
      Etcdserverpb.WatchResponse(header: watcher.header, watchID: name, canceled: true))
    exchange.upstream.loop.execute { [exchange] in exchange.remove([watcher.id]) }
  }

  private func ask(_ stream: ProxyWatchStream) {
    let watchers = stream.watchers.values.map(\.id)
    guard !watchers.isEmpty else { return }
    exchange.upstream.loop.execute { [exchange, branch] in
      exchange.ask(watchers, branch, stream)
    }
  }
}
