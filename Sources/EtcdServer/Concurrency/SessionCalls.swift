import Bytes
import Calls
import EtcdAPI
import Protobuf

/// What locks and elections ask of the other services, in the name of their caller. On the member's loop.
///
/// - Source: etcd `client/v3/concurrency`, which its server runs on a client within the process: no
///   interceptors, the rights of whoever called.
struct SessionCalls: Sendable {
  let calls: LocalCalls
  let caller: Caller

  /// - Parameters:
  ///   - caller: whoever called.
  ///   - needsLeader: whether watches end for want of a leader when the caller asked for that. A unary call
  ///     asks only when it comes.
  init(_ calls: LocalCalls, for caller: Caller, needsLeader: Bool = false) {
    self.calls = calls
    guard !needsLeader, caller.metadata.first(Self.leaderWanted) != nil else {
      self.caller = caller
      return
    }
    var metadata = Metadata()
    for field in caller.metadata.fields where field.name != Self.leaderWanted {
      metadata.append(field)
    }
    self.caller = Caller(metadata: metadata, certificate: caller.certificate)
  }

  private static let leaderWanted: Bytes = "hasleader"

  /// Seconds of a lease that a session gets when it brings none.
  /// - Source: etcd `concurrency.defaultSessionTTL`.
  private static let sessionSeconds: Int64 = 60

  /// The lease that a session's keys hang on: the one given, or a new one that nobody renews.
  func lease(_ given: Int64) async throws(GRPCStatus) -> Int64 {
    guard given == 0 else { return given }
    let granted: Etcdserverpb.LeaseGrantResponse = try await ask(
      Etcdserverpb.LeaseService.leaseGrant,
      Etcdserverpb.LeaseGrantRequest(ttl: Self.sessionSeconds))
    return granted.id
  }

  func ask(
    _ request: Etcdserverpb.TxnRequest
  ) async throws(GRPCStatus) -> Etcdserverpb.TxnResponse {
    try await ask(Etcdserverpb.KVService.txn, request)
  }

  func ask(
    _ request: Etcdserverpb.RangeRequest
  ) async throws(GRPCStatus) -> Etcdserverpb.RangeResponse {
    try await ask(Etcdserverpb.KVService.range, request)
  }

  func ask<Answer: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage
  ) async throws(GRPCStatus) -> Answer {
    do throws(GRPCStatus) {
      let bytes = try await calls.unary(method.path, request.encoded(), for: caller)
      do throws(ProtobufError) { return try Answer.decode(bytes) } catch {
        throw GRPCStatus(.internal, "an answer of \(method.path): \(error)")
      }
    } catch { throw error.asUnknown }
  }

  /// Begins to watch.
  func watch(_ requests: [Etcdserverpb.WatchCreateRequest]) throws(GRPCStatus) -> LocalStream {
    let stream: LocalStream
    do throws(GRPCStatus) {
      stream = try calls.stream(
        Etcdserverpb.WatchService.watch.path, LocalContext(caller: caller))
    } catch { throw error.asUnknown }
    for request in requests {
      stream.send(Etcdserverpb.WatchRequest(requestUnion: .createRequest(request)).encoded())
    }
    return stream
  }
}

extension GRPCStatus {
  /// As the services of locks and elections tell the errors of others: Go's client keeps the text, and what
  /// it keeps it in has no code that a gRPC server knows.
  var asUnknown: GRPCStatus {
    switch code {
    case .ok, .cancelled, .deadlineExceeded: self
    default: GRPCStatus(.unknown, message)
    }
  }
}

extension UnaryCall {
  /// Answers with what `body` returns or throws. It is a task on the call's loop, cancelled when the client
  /// gives up.
  func answer<Request: ProtobufMessage, Answer: ProtobufMessage>(
    _ request: Request.Type, _ bytes: Bytes,
    _ body: @escaping @Sendable (Request) async throws(GRPCStatus) -> Answer
  ) {
    guard let request = decode(request, bytes) else { return }
    let task = Task(executorPreference: loop) {
      do throws(GRPCStatus) { respond(try await body(request)) } catch { fail(error) }
    }
    onCancel { task.cancel() }
  }
}
