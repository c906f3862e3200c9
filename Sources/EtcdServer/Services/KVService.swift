import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member
import Protobuf
import Synchronization

extension UnaryCall {
  /// Answers with one of etcd's errors.
  func fail(_ error: EtcdError) { fail(GRPCStatus(error)) }
}

extension GRPCStatus {
  init(_ error: EtcdError) {
    self.init(error.code, error.message)
  }
}

/// etcdserverpb.KV: decodes, checks, and passes on.
///
/// - Source: etcd `v3rpc/key.go`, `v3_server.go`.
struct KVService: Sendable {
  let member: RunningMember

  func register(in router: inout CallRouter) {
    typealias KV = Etcdserverpb.KVService
    router.unary(KV.range.path, counters: member.counters(KV.range)) { range($0, $1) }
    router.streaming(KV.rangeStream.path, counters: member.counters(KV.rangeStream)) {
      try await rangeStream($0)
    }
    router.unary(KV.put.path, counters: member.counters(KV.put)) { put($0, $1) }
    router.unary(KV.deleteRange.path, counters: member.counters(KV.deleteRange)) {
      deleteRange($0, $1)
    }
    router.unary(KV.txn.path, counters: member.counters(KV.txn)) { txn($0, $1) }
    router.unary(KV.compact.path, counters: member.counters(KV.compact)) { compact($0, $1) }
  }

  private func range(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.RangeRequest.self, bytes) else { return }
    member.metrics.ranges.add()
    do throws(EtcdError) {
      try KVValidation.check(request)
      if !request.serializable { try member.refuseOnLearner() }
    } catch { return call.fail(error) }
    read(call, request, linearizable: !request.serializable)
  }

  /// Answers a call from a state once its caller was found to have the rights for it.
  private func read(_ call: UnaryCall, _ query: some ReadQuery, linearizable: Bool) {
    member.read(linearizable: linearizable) { result, term in
      let state: ReadState
      do throws(EtcdError) { state = try result.get() } catch { return call.fail(error) }
      guard state.auth.isEnabled else { return answer(call, query, state.snapshot, term) }
      member.permitRead(state.auth, call.caller) { (auth, caller) throws(EtcdError) in
        try query.check(auth, caller)
      } _: { error in
        if let error { return call.fail(error) }
        answer(call, query, state.snapshot, term)
      }
    }
  }

  private func answer(
    _ call: UnaryCall, _ query: some ReadQuery, _ snapshot: StoreSnapshot, _ term: Term
  ) {
    var budget = ReadWorkers.keysOnLoop
    do throws(StoreError) {
      if let result = try query.read(snapshot, within: &budget) {
        return respond(call, result, term)
      }
    } catch { return call.fail(EtcdError(error)) }
    readElsewhere(call, term) { () throws(StoreError) in try query.read(snapshot) }
  }

  private func put(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.PutRequest.self, bytes) else { return }
    member.metrics.puts.add()
    do throws(EtcdError) { try KVValidation.check(request) } catch {
      return call.fail(error)
    }
    write(call, .put, bytes, cost: Quota.cost(request))
  }

  private func deleteRange(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.DeleteRangeRequest.self, bytes) else { return }
    member.metrics.deletes.add()
    do throws(EtcdError) { try KVValidation.check(request) } catch {
      return call.fail(error)
    }
    write(call, .deleteRange, bytes, cost: nil)
  }

  private func txn(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.TxnRequest.self, bytes) else { return }
    member.metrics.txns.add()
    do throws(EtcdError) {
      try KVValidation.check(request, maxOps: member.config.maxTxnOps)
      if request.isReadOnly, !request.isSerializable { try member.refuseOnLearner() }
    } catch { return call.fail(error) }
    guard request.isReadOnly else {
      write(call, .txn, bytes, cost: request.containsPut ? Quota.cost(request) : nil)
      return
    }
    read(call, request, linearizable: !request.isSerializable)
  }

  private func compact(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.CompactionRequest.self, bytes) != nil else { return }
    member.whenPermitted(.admin, call) { write(call, .compaction, bytes, cost: nil) }
  }

  /// Proposes a request and answers with its result.
  /// - Parameter cost: bytes the backend may grow by; `nil` when it cannot.
  private func write(
    _ call: UnaryCall, _ field: RaftRequest.Field, _ bytes: Bytes, cost: Int?
  ) {
    do throws(EtcdError) {
      try member.refuseOnLearner()
      if let cost { try member.reserve(cost) }
    } catch { return call.fail(error) }
    guard !member.access.isEnabled else {
      member.propose(field, bytes, for: call.caller) { outcome, term in
        if let cost { member.release(cost) }
        respond(call, outcome, term)
      }
      return
    }
    let id = member.requests.makeID()
    let data = RaftRequest.encode(field, bytes, id: id)
    guard data.count <= member.config.maxRequestBytes else {
      if let cost { member.release(cost) }
      return call.fail(EtcdError.requestTooLarge)
    }
    member.requests.propose(id: id, data) { outcome, term in
      if let cost { member.release(cost) }
      respond(call, outcome, term)
    }
  }

  private func respond(_ call: UnaryCall, _ outcome: Outcome, _ term: Term) {
    do throws(EtcdError) {
      let result = try outcome.kv()
      if result.isComplete { return respond(call, result, term) }
      readElsewhere(call, term) { () throws(StoreError) in try result.completed() }
    } catch { call.fail(error) }
  }

  private func respond(_ call: UnaryCall, _ result: KVResult, _ term: Term) {
    call.respond(result.body(header: member.header(term: term)))
  }

  /// What a thread made of a read: a range is sent row by row, everything else is encoded there.
  private enum Read: Sendable {
    case range(KVResult)
    case encoded(Bytes)
  }

  /// Reads on a thread what would hold the loop up.
  private func readElsewhere(
    _ call: UnaryCall, _ term: Term,
    _ body: @escaping @Sendable () throws(StoreError) -> KVResult
  ) {
    let header = member.header(term: term)
    let isWanted = call.wantedFlag()
    member.shared.readers.run(on: member.loop) { () -> Result<Read, EtcdError> in
      // The client may have gone while this waited.
      guard isWanted.isSet else { return .failure(EtcdError(.cancelled, "context canceled")) }
      do throws(StoreError) {
        let result = try body()
        if case .range = result { return .success(.range(result)) }
        return .success(.encoded(result.encoded(header: header)))
      } catch { return .failure(EtcdError(error)) }
    } _: { outcome in
      do throws(EtcdError) {
        switch try outcome.get().get() {
        case .range(let result): call.respond(result.body(header: header))
        case .encoded(let bytes): call.respond(.bytes(bytes))
        }
      } catch { call.fail(error) }
    }
  }
}

/// What is asked of a state without changing it: a range, or a transaction that only reads.
private protocol ReadQuery: Sendable {
  /// - Throws: what the caller lacks.
  func check(_ auth: AuthStore, _ caller: AuthInfo) throws(EtcdError)
  /// - Parameter budget: keys to look at, at most. - Returns: `nil` when they are not enough.
  func read(_ snapshot: StoreSnapshot, within budget: inout Int) throws(StoreError) -> KVResult?
  /// Reads however much it takes.
  func read(_ snapshot: StoreSnapshot) throws(StoreError) -> KVResult
}

extension Etcdserverpb.RangeRequest: ReadQuery {
  fileprivate func check(_ auth: AuthStore, _ caller: AuthInfo) throws(EtcdError) {
    try auth.check(self, caller)
  }
  fileprivate func read(
    _ snapshot: StoreSnapshot, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    try snapshot.range(self, within: &budget).map { .range($0) }
  }
  fileprivate func read(_ snapshot: StoreSnapshot) throws(StoreError) -> KVResult {
    .range(try snapshot.range(self))
  }
}

extension Etcdserverpb.TxnRequest: ReadQuery {
  fileprivate func check(_ auth: AuthStore, _ caller: AuthInfo) throws(EtcdError) {
    try auth.check(self, LeaseTable(), caller)
  }
  fileprivate func read(
    _ snapshot: StoreSnapshot, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    try snapshot.read(self, within: &budget)
  }
  fileprivate func read(_ snapshot: StoreSnapshot) throws(StoreError) -> KVResult {
    try snapshot.read(self)
  }
}

/// Whether somebody still waits for an answer; for threads that are about to work for it.
final class WantedFlag: Sendable {
  private let flag = Atomic(true)
  var isSet: Bool { flag.load(ordering: .relaxed) }
  func clear() { flag.store(false, ordering: .relaxed) }
}

extension UnaryCall {
  /// A flag that is cleared when the client cancels, goes, or stops waiting. On the call's loop, once.
  func wantedFlag() -> WantedFlag {
    let flag = WantedFlag()
    onCancel { flag.clear() }
    return flag
  }
}

extension UnaryCall {
  /// Decodes the request; answers the call itself when it is malformed.
  func decode<Message: ProtobufMessage>(_: Message.Type, _ bytes: Bytes) -> Message? {
    do throws(ProtobufError) { return try Message.decode(bytes) } catch {
      fail(
        GRPCStatus(
          .internal, "grpc: error unmarshalling request: \(Message.fullName): \(error)"))
      return nil
    }
  }

  /// Answers with a message.
  func respond(_ message: some ProtobufMessage) { respond(.bytes(message.encoded())) }
}
