import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import GRPC
import Protobuf

/// Reads and writes of a client that heed leasing keys, on one loop. All that it asks is asked in the client's name.
///
/// - Source: etcd `client/v3/leasing/{kv,txn}.go`.
final class LeasingCalls: @unchecked Sendable {
  // @unchecked: confined to `upstream.loop`.

  private let upstream: Upstream
  private let session: LeasingSession
  private let names: KeyNamespace

  /// Between looks whether a key was given up.
  private static let pause = Duration.milliseconds(20)

  init(_ upstream: Upstream, _ session: LeasingSession, names: KeyNamespace) {
    self.upstream = upstream
    self.session = session
    self.names = names
  }

  private var keys: LeasingKeys { session.keys }

  // MARK: asking

  private func ask<Request: ProtobufMessage, Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: Request, _ call: UnaryCall
  ) async throws -> Reply {
    let bytes = request.encoded()
    let answer: Bytes = try await withUnsafeThrowingContinuation { done in
      let ask = UpstreamCall(
        upstream, method.path, bytes, call.metadata, deadline: call.deadline
      ) { done.resume(with: $0) }
      ask.start()
      call.onCancel { ask.cancel() }
    }
    return try Reply.decode(answer)
  }

  private func txn(
    _ request: Etcdserverpb.TxnRequest, _ call: UnaryCall
  ) async throws -> Etcdserverpb.TxnResponse {
    names.visible(
      try await ask(
        Etcdserverpb.KVService.txn,
        try whole { () throws(EtcdClientError) in try names.whole(request) }, call))
  }

  private func read(
    _ request: Etcdserverpb.RangeRequest, _ call: UnaryCall
  ) async throws -> Etcdserverpb.RangeResponse {
    names.visible(
      try await ask(
        Etcdserverpb.KVService.range,
        try whole { () throws(EtcdClientError) in try names.whole(request) }, call))
  }

  private func whole<R>(_ body: () throws(EtcdClientError) -> R) throws(GRPCStatus) -> R {
    do throws(EtcdClientError) { return try body() } catch {
      let refusal = error.etcdError ?? .emptyKey
      throw GRPCStatus(refusal.code, refusal.message)
    }
  }

  // MARK: reads

  /// The answer to a linearizable read where it is known.
  func known(_ request: Etcdserverpb.RangeRequest) -> Etcdserverpb.RangeResponse? {
    guard Self.isOfOneKey(request) else { return nil }
    return session.withTable { $0.answer(request.key) }.map(request.select)
  }

  private static func isOfOneKey(_ request: Etcdserverpb.RangeRequest) -> Bool {
    request.rangeEnd.isEmpty && request.revision == 0 && !request.key.isEmpty
  }

  func range(
    _ request: Etcdserverpb.RangeRequest, _ call: UnaryCall
  ) async throws -> Etcdserverpb.RangeResponse {
    guard Self.isOfOneKey(request), let lease = session.lease else {
      return try await read(request, call)
    }
    let key = request.key.detached()
    let (ticket, isOwned) = session.withTable { ($0.ticket, $0.isOwned(key)) }
    if isOwned {
      let answer = try await read(.init(key: key), call)
      session.withTable { $0.keep(key, answer, asked: ticket) }
      return request.select(answer)
    }
    guard session.withTable({ $0.mayAcquire(key, now: LeasingSession.now) }) else {
      return try await read(request, call)
    }
    return try await acquire(request, key, lease, ticket, call)
  }

  private func acquire(
    _ request: Etcdserverpb.RangeRequest, _ key: Bytes, _ lease: Int64,
    _ asked: LeasingTable.Ticket, _ call: UnaryCall
  ) async throws -> Etcdserverpb.RangeResponse {
    let response = try await txn(keys.acquire(key, lease: lease), call)
    guard case .responseRange(var answer)? = response.responses.first?.response else {
      throw GRPCStatus(.internal, "a transaction was answered without what it reads")
    }
    answer.header = response.header
    if response.succeeded, session.lease == lease {
      session.withTable {
        // A second read that came first has the key.
        if !$0.isOwned(key) {
          $0.acquire(key, revision: response.header?.revision ?? 0, answer, asked: asked)
        }
      }
    }
    return request.select(answer)
  }

  // MARK: writes

  /// Carries a client's transaction out once nobody else owns what it may write.
  func commit(
    _ request: Etcdserverpb.TxnRequest, _ call: UnaryCall
  ) async throws -> Etcdserverpb.TxnResponse {
    let written = request.written.map { interval in
      RangeCache.Interval(key: interval.key.detached(), end: interval.end.detached())
    }
    if written.isEmpty { return try await txn(request, call) }
    while true {
      let guards = try await guards(written, call)
      let write = session.withTable { $0.beginWrite(written) }
      var isKnown = false
      defer {
        session.withTable { $0.endWrite(write, isKnown: isKnown, now: LeasingSession.now) }
      }
      let response: Etcdserverpb.TxnResponse
      do {
        response = try await txn(
          .init(
            compare: guards, success: [.init(request: .requestTxn(request))],
            failure: written.map { LeasingKeys.read(keys.name($0)) }), call)
      } catch {
        // What a server refuses has not happened.
        isKnown =
          GRPCStatus(error).message.hasPrefix("etcdserver: ")
          && GRPCStatus(error).code != .unavailable
        throw error
      }
      isKnown = true
      if response.succeeded {
        guard case .responseTxn(var inner)? = response.responses.first?.response else {
          throw GRPCStatus(.internal, "a transaction was answered without what it carries")
        }
        inner.header = response.header
        return inner
      }
      try await revoke(response.responses.flatMap(Self.pairs), call)
    }
  }

  private static func pairs(_ response: Etcdserverpb.ResponseOp) -> [Mvccpb.KeyValue] {
    if case .responseRange(let range)? = response.response { range.kvs } else { [] }
  }

  /// What must hold so that nobody else owns what is written. Owners of keys in ranges are asked first.
  private func guards(
    _ written: [RangeCache.Interval], _ call: UnaryCall
  ) async throws -> [Etcdserverpb.Compare] {
    var guards: [Etcdserverpb.Compare] = []
    for interval in written {
      var revision: Int64
      if interval.end.isEmpty {
        revision = session.withTable { $0.revision(interval.key) }
      } else {
        let names = keys.name(interval)
        let pairs = try await read(.init(key: names.key, rangeEnd: names.end), call).kvs
        try await revoke(pairs, call)
        revision = pairs.map(\.createRevision).max() ?? 0
      }
      guards.append(keys.isNotYounger(interval, than: revision))
    }
    return guards
  }

  /// Has the owners of leasing keys give them up; one's own are kept, unless this proxy does not know of them.
  private func revoke(_ pairs: [Mvccpb.KeyValue], _ call: UnaryCall) async throws {
    for pair in pairs {
      let key = keys.key(pair.key)
      let own = session.withTable { $0.revision(key) }
      if own != 0, own == pair.createRevision { continue }
      let answer = try await txn(keys.revoke(key, than: own), call)
      if !answer.succeeded { try await wait(for: pair, call) }
    }
  }

  /// Waits until a leasing key is gone, as long as the client does.
  private func wait(for pair: Mvccpb.KeyValue, _ call: UnaryCall) async throws {
    while call.isOpen {
      let found = try await read(.init(key: pair.key, keysOnly: true), call).kvs.first
      guard found?.createRevision == pair.createRevision else { return }
      try await Task.sleep(for: Self.pause)
    }
    throw GRPCStatus.cancelled
  }
}
