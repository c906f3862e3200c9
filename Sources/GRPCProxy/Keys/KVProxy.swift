import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import GRPC
import Protobuf

/// etcdserverpb.KV on one loop.
///
/// Requests leave as they came unless a namespace changes their keys. What writes makes the cache forget when its
/// answer has come, however that reads: until then, those who read may see the state of before.
///
/// - Source: etcd `grpcproxy/kv.go`.
final class KVProxy: @unchecked Sendable {
  // @unchecked: confined to the loop of `forwarder`; the rest is immutable.

  let forwarder: Forwarder
  let cache: SharedRangeCache
  let names: KeyNamespace
  /// `nil` where reads may go back.
  let order: RevisionOrder?
  /// `nil` where no keys are leased.
  let leasing: LeasingCalls?

  init(
    _ forwarder: Forwarder, _ cache: SharedRangeCache, names: KeyNamespace, order: RevisionOrder?,
    leasing: LeasingCalls?
  ) {
    self.leasing = leasing
    self.forwarder = forwarder
    self.cache = cache
    self.names = names
    self.order = order
  }

  private typealias Service = Etcdserverpb.KVService

  /// What serves a method; `nil` for one that is handed on as it is.
  func handler(_ method: MethodDescriptor) -> CallRouter.UnaryHandler? {
    switch method.path {
    case Service.range.path: { [self] in range($0, $1) }
    case Service.put.path where leasing != nil: { [self] in leasedPut($0, $1) }
    case Service.deleteRange.path where leasing != nil: { [self] in leasedDelete($0, $1) }
    case Service.txn.path where leasing != nil: { [self] in leasedTxn($0, $1) }
    case Service.put.path: { [self] in put($0, $1) }
    case Service.deleteRange.path: { [self] in delete($0, $1) }
    case Service.txn.path: { [self] in txn($0, $1) }
    case Service.compact.path: { [self] in compact($0, $1) }
    default: nil
    }
  }

  /// Reads what came.
  /// - Returns: `nil` for what is no such message, which the client is told.
  func read<Message: WireDecodable>(
    _ call: UnaryCall, _ bytes: Bytes, _: Message.Type = Message.self
  ) -> Message? {
    do throws(ProtobufError) { return try .decode(bytes) } catch {
      call.fail(GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)"))
      return nil
    }
  }

  // MARK: reads

  private func range(_ call: UnaryCall, _ request: Bytes) {
    guard let peek = read(call, request, RangePeek.self) else { return }
    // What is kept may be older than what was shown since.
    if let leasing, !peek.isSerializable { return leasedRange(call, request, leasing) }
    guard peek.isSerializable, order == nil else {
      return ask(call, request, peek) { Self.answer(call, $0) }
    }
    let key = RangeCache.Key(
      token: (call.metadata.first("token") ?? Bytes()).detached(), request: request.detached())
    switch cache.answer(key, revision: peek.revision, now: call.loop.now) {
    case .kept(let answer): call.respond(.bytes(answer))
    case .compacted:
      call.fail(GRPCStatus(EtcdError.compacted.code, EtcdError.compacted.message))
    case .unknown(let ticket):
      ask(call, request, peek) { [cache] result in
        if case .success(let answer) = result {
          cache.add(
            key, .init(key: peek.key.detached(), end: peek.end.detached()),
            revision: peek.revision, answer.detached(), asked: ticket, now: call.loop.now)
        }
        Self.answer(call, result)
      }
    }
  }

  private func ask(
    _ call: UnaryCall, _ request: Bytes, _ peek: RangePeek, _ done: @escaping UpstreamCall.Done
  ) {
    guard !names.prefix.isEmpty else { return ordered(call, request, done) }
    guard let whole = whole(call, request, names.whole as Change<Etcdserverpb.RangeRequest>)
    else { return }
    ordered(call, whole) { [names] in
      done($0.flatMap { Self.visible($0, names.visible as Show<Etcdserverpb.RangeResponse>) })
    }
  }

  /// Asks until an answer is no older than what was shown before.
  private func ordered(
    _ call: UnaryCall, _ request: Bytes, _ done: @escaping UpstreamCall.Done
  ) {
    guard let order else { return forwarder.ask(call, request, done) }
    OrderedRead(call, request, order, forwarder.upstream, done).start()
  }

  // MARK: writes

  private func put(_ call: UnaryCall, _ request: Bytes) {
    let changed = cache.hasReaders ? read(call, request, WritePeek.self)?.key : Bytes()
    guard let changed else { return }
    write(
      call, request, [.init(key: changed.detached(), end: Bytes())],
      names.whole as Change<Etcdserverpb.PutRequest>,
      names.visible as Show<Etcdserverpb.PutResponse>)
  }

  private func delete(_ call: UnaryCall, _ request: Bytes) {
    guard let peek = cache.hasReaders ? read(call, request, WritePeek.self) : WritePeek() else {
      return
    }
    write(
      call, request, [.init(key: peek.key.detached(), end: peek.second.detached())],
      names.whole as Change<Etcdserverpb.DeleteRangeRequest>,
      names.visible as Show<Etcdserverpb.DeleteRangeResponse>)
  }

  private func txn(_ call: UnaryCall, _ request: Bytes) {
    let intervals =
      cache.hasReaders ? read(call, request, Etcdserverpb.TxnRequest.self)?.intervals : []
    guard let intervals else { return }
    write(
      call, request,
      intervals.map { .init(key: $0.key.detached(), end: $0.end.detached()) },
      names.whole as Change<Etcdserverpb.TxnRequest>,
      names.visible as Show<Etcdserverpb.TxnResponse>)
  }

  private func compact(_ call: UnaryCall, _ request: Bytes) {
    guard let compaction = read(call, request, Etcdserverpb.CompactionRequest.self) else { return }
    forwarder.ask(call, request) { [cache] result in
      if case .success = result { cache.compact(compaction.revision) }
      Self.answer(call, result)
    }
  }

  private typealias Change<Message> = (Message) throws(EtcdClientError) -> Message
  private typealias Show<Message> = (Message) -> Message

  private func write<Request: ProtobufMessage, Reply: ProtobufMessage>(
    _ call: UnaryCall, _ request: Bytes, _ intervals: [RangeCache.Interval],
    _ change: Change<Request>, _ show: @escaping Show<Reply>
  ) {
    var request = request
    let isNamed = !names.prefix.isEmpty
    if isNamed {
      guard let whole = whole(call, request, change) else { return }
      request = whole
    }
    forwarder.ask(call, request) { [cache, order] result in
      cache.invalidate(intervals)
      if let order, case .success(let answer) = result,
        let peek = try? HeaderPeek.decode(answer)
      {
        order.show(peek.header.revision)
      }
      Self.answer(call, isNamed ? result.flatMap { Self.visible($0, show) } : result)
    }
  }

  // MARK: names

  /// A request as the cluster knows it; `nil` for one that the client is refused.
  private func whole<Request: ProtobufMessage>(
    _ call: UnaryCall, _ bytes: Bytes, _ change: Change<Request>
  ) -> Bytes? {
    guard let request = read(call, bytes, Request.self) else { return nil }
    do throws(EtcdClientError) { return try change(request).encoded() } catch {
      let refusal = error.etcdError ?? .emptyKey
      call.fail(GRPCStatus(refusal.code, refusal.message))
      return nil
    }
  }

  private static func visible<Reply: ProtobufMessage>(
    _ bytes: Bytes, _ show: Show<Reply>
  ) -> Result<Bytes, GRPCStatus> {
    do throws(ProtobufError) { return .success(show(try Reply.decode(bytes)).encoded()) } catch {
      return .failure(
        GRPCStatus(.internal, "grpc: failed to unmarshal the received message \(error)"))
    }
  }

  static func answer(_ call: UnaryCall, _ result: Result<Bytes, GRPCStatus>) {
    switch result {
    case .success(let message): call.respond(.bytes(message))
    case .failure(let status): call.fail(status)
    }
  }
}
