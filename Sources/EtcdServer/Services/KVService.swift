import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member
import Platform
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
  /// Reads that took longer than these nanoseconds are worth a line in the log, or two.
  private let slowRead: UInt64

  init(member: RunningMember) {
    self.member = member
    slowRead = Swift.min(
      RequestTrace.thresholdNanoseconds, member.config.warningApplyDuration.nanoseconds)
  }

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
    let started = member.loop.now
    member.read(linearizable: linearizable) { result, term in
      let times = ReadTimes(started: started, agreed: linearizable ? member.loop.now : nil)
      let state: ReadState
      do throws(EtcdError) { state = try result.get() } catch {
        if isSlow(times) { note(query, times, .failure(error)) }
        return call.fail(error)
      }
      guard state.auth.isEnabled else { return answer(call, query, state.snapshot, term, times) }
      member.permitRead(state.auth, call.caller) { (auth, caller) throws(EtcdError) in
        try query.check(auth, caller)
      } _: { error in
        if let error { return call.fail(error) }
        answer(call, query, state.snapshot, term, times)
      }
    }
  }

  private func answer(
    _ call: UnaryCall, _ query: some ReadQuery, _ snapshot: StoreSnapshot, _ term: Term,
    _ times: ReadTimes
  ) {
    var budget = ReadWorkers.keysOnLoop
    do throws(StoreError) {
      if let result = try query.read(snapshot, within: &budget) {
        if isSlow(times) {
          let size = result.response(header: member.header(term: term)).size
          note(query, times, .success(ReadSummary(result, bytes: size)))
        }
        return respond(call, result, term)
      }
    } catch { return call.fail(EtcdError(error)) }
    readElsewhere(call, term) { () throws(StoreError) in
      try query.read(snapshot)
    } noted: { found, outcome in
      guard isSlow(times) else { return }
      var times = times
      times.found = found
      note(query, times, outcome)
    }
  }

  /// Whether a read that ends now is worth a line in the log.
  private func isSlow(_ times: ReadTimes) -> Bool {
    member.loop.now &- times.started > slowRead
  }

  private func note(
    _ query: some ReadQuery, _ times: ReadTimes, _ outcome: Result<ReadSummary, EtcdError>
  ) {
    let slow = SlowRead(times: times, end: member.loop.now, outcome: outcome)
    let expected = member.config.warningApplyDuration
    if slow.warned(query) > expected {
      member.metrics.slowApplies.add()
      member.logger.warn("apply request took too long", slow.warning(query, expected: expected))
    }
    slow.trace(query).write(to: member.logger, end: slow.end, now: WallClock.nanoseconds)
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
    let isReadOnly = request.isReadOnly
    do throws(EtcdError) {
      try KVValidation.check(request, maxOps: member.config.maxTxnOps)
      if isReadOnly, !request.isSerializable { try member.refuseOnLearner() }
    } catch { return call.fail(error) }
    guard isReadOnly else { return write(call, .txn, bytes, cost: Quota.cost(request)) }
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
    let write = TracedWrite(field: field, bytes: bytes.count, started: member.loop.now)
    guard !member.access.isEnabled else {
      member.propose(field, bytes, for: call.caller) { outcome, term in
        if let cost { member.release(cost) }
        respond(call, outcome, term, write)
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
      respond(call, outcome, term, write)
    }
  }

  private func respond(
    _ call: UnaryCall, _ outcome: Outcome, _ term: Term, _ write: TracedWrite
  ) {
    do throws(EtcdError) {
      let result = try outcome.kv()
      let end = member.loop.now
      if end &- write.started > RequestTrace.thresholdNanoseconds {
        write.trace(revision: result.revision, end: end)?
          .write(to: member.logger, end: end, now: WallClock.nanoseconds)
      }
      if result.isComplete { return respond(call, result, term) }
      readElsewhere(call, term) { () throws(StoreError) in try result.completed() }
    } catch { call.fail(error) }
  }

  private func respond(_ call: UnaryCall, _ result: KVResult, _ term: Term) {
    call.respond(result.body(header: member.header(term: term)))
  }

  /// What a thread made of a read: a range is sent row by row, everything else is encoded there.
  private struct Read: Sendable {
    enum Answer: Sendable {
      case range(KVResult)
      case encoded(Bytes)
    }
    let answer: Answer
    let summary: ReadSummary
    /// In monotonic nanoseconds.
    let found: UInt64

    init(_ result: KVResult, header: Etcdserverpb.ResponseHeader) {
      found = monotonicNanoseconds()
      if case .range = result {
        answer = .range(result)
        summary = ReadSummary(result, bytes: result.response(header: header).size)
      } else {
        let encoded = result.encoded(header: header)
        answer = .encoded(encoded)
        summary = ReadSummary(result, bytes: encoded.count)
      }
    }
  }

  /// Reads on a thread what would hold the loop up.
  /// - Parameter noted: told when the keys were found, and what became of the read.
  private func readElsewhere(
    _ call: UnaryCall, _ term: Term,
    _ body: @escaping @Sendable () throws(StoreError) -> KVResult,
    noted: ((_ found: UInt64?, Result<ReadSummary, EtcdError>) -> Void)? = nil
  ) {
    let header = member.header(term: term)
    let isWanted = call.wantedFlag()
    member.shared.readers.run(on: member.loop) { () -> Result<Read, EtcdError> in
      // The client may have gone while this waited.
      guard isWanted.isSet else { return .failure(EtcdError(.cancelled, "context canceled")) }
      do throws(StoreError) { return .success(Read(try body(), header: header)) } catch {
        return .failure(EtcdError(error))
      }
    } _: { outcome in
      do throws(EtcdError) {
        let read = try outcome.get().get()
        switch read.answer {
        case .range(let result): call.respond(result.body(header: header))
        case .encoded(let bytes): call.respond(.bytes(bytes))
        }
        noted?(read.found, .success(read.summary))
      } catch {
        call.fail(error)
        noted?(nil, .failure(error))
      }
    }
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
