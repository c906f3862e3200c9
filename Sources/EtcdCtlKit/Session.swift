import Bytes
import CommandLineTool
import EtcdAPI
import GRPC
import Protobuf
import Runtime
import Synchronization

/// A client of a cluster for one command: sends requests, again where that is right, and signs in.
///
/// - Source: etcd `client/v3/client.go`, `retry_interceptor.go`.
final class Session: Sendable {
  /// An answer, decoded and as it came.
  struct Answer<Message: Sendable>: Sendable {
    let message: Message
    let raw: Bytes
  }

  let settings: ClientSettings
  private let connections: Connections
  private let log: ClientLog
  private let token = Mutex("")

  init(_ settings: ClientSettings, loop: EventLoop, log: ClientLog) {
    self.settings = settings
    self.log = log
    connections = Connections(settings, loop: loop)
  }

  func close() { connections.close() }

  // MARK: Requests

  /// A unary request, repeated as `RetryRules` say.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _: Reply.Type,
    deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> Answer<Reply> {
    let raw = try await call(method.path, request.encoded(), deadline)
    do { return Answer(message: try Reply.decode(raw), raw: raw) } catch {
      throw Self.failure(error)
    }
  }

  private func call(
    _ path: String, _ body: Bytes, _ deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> Bytes {
    var attempt = 0
    while true {
      let status: GRPCStatus
      do throws(GRPCStatus) { return try await send(path, body, deadline) } catch { status = error }
      log.warn(
        "retrying of unary invoker failed",
        [
          ("target", .string(target)), ("attempt", .integer(Int64(clamping: attempt))),
          ("error", .string("\(status)")),
        ])
      attempt += 1
      guard attempt < RetryRules.attemptsMax else { throw ClientFailure(status) }
      try await prepare(path, attempt, after: status, deadline)
    }
  }

  /// Gets ready for the next attempt.
  /// - Throws: when there is none.
  private func prepare(
    _ path: String, _ attempt: Int, after status: GRPCStatus, _ deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) {
    let caller = RetryRules.Caller(
      endpoints: settings.endpoints.count, hasCredentials: settings.hasCredentials,
      isLate: deadline.map { $0 <= .now } ?? false)
    switch RetryRules.step(path, after: status, caller) {
    case .giveUp: throw ClientFailure(status)
    case .signInAgain:
      do throws(ClientFailure) { try await signIn(deadline: deadline) } catch {
        log.warn(
          "retrying of unary invoker failed to fetch new auth token",
          [("target", .string(target)), ("error", .string(error.message))])
        throw error
      }
    case .again: break
    }
    let pause = RetryRules.pause(
      before: attempt, endpoints: caller.endpoints, chance: .random(in: -1...1))
    guard pause > .zero else { return }
    let left = deadline.map { ContinuousClock.now.duration(to: $0) } ?? pause
    // Nobody cancels these tasks: a sleep ends in time.
    try? await Task.sleep(for: Swift.min(Swift.max(left, .zero), pause))
    if left < pause { throw .deadlineExceeded }
  }

  /// One attempt. What no server has seen goes to the next connection.
  private func send(
    _ path: String, _ body: Bytes, _ deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> Bytes {
    var refusals = 0
    while true {
      let client = try await connections.pick(deadline)
      do {
        return try await client.unary(
          path, body, metadata: metadata, timeout: try Self.remaining(deadline)
        ).message
      } catch {
        let status = Self.status(error)
        refusals += 1
        guard status == .unprocessed, refusals <= settings.endpoints.count else { throw status }
      }
    }
  }

  // MARK: Streams

  /// Opens a stream whose first request is sent already, with a new token.
  func stream(
    _ method: MethodDescriptor, _ request: some ProtobufMessage,
    deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> ClientStream {
    try await signIn(deadline: deadline)
    do throws(GRPCStatus) {
      return try await open(method.path, request.encoded(), deadline)
    } catch { throw ClientFailure(error) }
  }

  private func open(
    _ path: String, _ body: Bytes, _ deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> ClientStream {
    var refusals = 0
    while true {
      let client = try await connections.pick(deadline)
      do {
        let stream = try await client.stream(
          path, metadata: metadata, timeout: try Self.remaining(deadline))
        try await stream.send(body)
        return stream
      } catch {
        let status = Self.status(error)
        refusals += 1
        guard status == .unprocessed, refusals <= settings.endpoints.count else { throw status }
      }
    }
  }

  /// The answers to one request, begun again while the first of them is a failure that may pass.
  /// - Returns: the stream behind its first answer; that is `nil` when there is none.
  func answers(
    _ method: MethodDescriptor, _ request: some ProtobufMessage,
    deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> (first: Bytes?, rest: ClientStream) {
    try await signIn(deadline: deadline)
    let body = request.encoded()
    var attempt = 0
    while true {
      let status: GRPCStatus
      do {
        let stream = try await open(method.path, body, deadline)
        stream.finish()
        return (try await stream.next(), stream)
      } catch { status = Self.status(error) }
      attempt += 1
      try await prepare(method.path, attempt, after: status, deadline)
      log.warn("retrying RecvMsg", [("error", .string("\(status)"))])
    }
  }

  // MARK: Tokens

  /// Gets a new token when there is a user with a password; a cluster without authentication needs none.
  func signIn(deadline: ContinuousClock.Instant?) async throws(ClientFailure) {
    guard settings.hasCredentials, let user = settings.user else { return }
    token.withLock { $0 = "" }
    do throws(ClientFailure) {
      let request = Etcdserverpb.AuthenticateRequest(name: user.name, password: user.password)
      let raw = try await call(RetryRules.authenticate, request.encoded(), deadline)
      let reply: Etcdserverpb.AuthenticateResponse
      do { reply = try .decode(raw) } catch { throw Self.failure(error) }
      token.withLock { $0 = reply.token }
    } catch {
      guard error.message == ClientFailure.authNotEnabled else { throw error }
    }
  }

  private var metadata: Metadata {
    let token = token.withLock { $0 }
    return token.isEmpty ? [:] : ["token": token]
  }

  // MARK: Names and errors

  /// Name of the cluster in logs; the number tells clients apart.
  private var target: String {
    let number = String(UInt(bitPattern: ObjectIdentifier(self)), radix: 16)
    return "etcd-endpoints://0x\(number)/\(targetName(settings.endpoints.first ?? ""))"
  }

  static func failure(_ error: any Error) -> ClientFailure { ClientFailure(status(error)) }

  private static func status(_ error: any Error) -> GRPCStatus {
    error as? GRPCStatus ?? GRPCStatus(.internal, "\(error)")
  }

  /// - Throws: when no time is left.
  private static func remaining(
    _ deadline: ContinuousClock.Instant?
  ) throws(GRPCStatus) -> Duration? {
    guard let deadline else { return nil }
    let left = ContinuousClock.now.duration(to: deadline)
    guard left > .zero else { throw .deadlineExceeded }
    return left
  }
}
