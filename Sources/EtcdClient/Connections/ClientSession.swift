import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf
import Synchronization

/// What a session tells of attempts that failed and are made again.
package protocol SessionObserver: Sendable {
  /// A unary attempt failed; the first one is 0.
  func attemptFailed(_ attempt: Int, _ status: GRPCStatus)
  /// A new token could not be had.
  func signInFailed(_ status: GRPCStatus)
  /// A stream that failed before it had said anything is begun again.
  func streamRepeated(after status: GRPCStatus)
  /// Something became of the connection to an endpoint.
  func connection(to endpoint: String, _ change: ConnectionChange)
}

/// What becomes of a connection.
package enum ConnectionChange: Sendable {
  case connecting
  case ready
  /// It did not come up.
  case failed(GRPCConnectFailure.Phase, String)
  /// It went down.
  case lost(String)
}

/// Requests to a cluster: sent again where that is right, and signed in. Statuses are as they came.
///
/// - Source: etcd `client/v3/client.go`, `retry_interceptor.go`.
package final class ClientSession: Sendable {
  /// An answer, decoded and as it came.
  package struct Answer<Message: Sendable>: Sendable {
    package let message: Message
    package let raw: Bytes
  }

  private let configuration: EtcdClientConfiguration
  private let connections: Connections
  let observer: (any SessionObserver)?
  private let login = Mutex(Login())

  private struct Login {
    var token = ""
    /// Whether it was asked for a token, and there was an answer.
    var isKnown = false
    /// The question that is under way; gives why it failed.
    var running: Task<GRPCStatus?, Never>?
  }

  /// Connects to nothing before the first request.
  package convenience init(
    _ configuration: EtcdClientConfiguration, loop: EventLoop, observer: (any SessionObserver)?
  ) { self.init(configuration, loop: loop, usage: nil, observer: observer) }

  /// - Parameter usage: counts attempts to connect, if somebody waits for their end.
  init(
    _ configuration: EtcdClientConfiguration, loop: EventLoop, usage: LoopUsage?,
    observer: (any SessionObserver)?
  ) {
    self.configuration = configuration
    self.observer = observer
    connections = Connections(configuration, loop: loop, usage: usage, observer: observer)
  }

  /// Ends all connections, and what is under way on them.
  package func close() { connections.close() }

  /// Whether `close()` was called.
  var isClosed: Bool { connections.isClosed }

  /// Whether there is somebody to sign in.
  var hasCredentials: Bool { configuration.login != nil }

  // MARK: Requests

  /// A unary request, repeated as `RetryRules` say.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  package func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _: Reply.Type = Reply.self,
    deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> Answer<Reply> {
    let raw = try await call(method.path, request.encoded(), deadline)
    do { return Answer(message: try Reply.decode(raw), raw: raw) } catch {
      throw Self.status(error)
    }
  }

  private func call(
    _ path: String, _ body: Bytes, _ deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> Bytes {
    var attempt = 0
    while true {
      let status: GRPCStatus
      let token = token
      do throws(GRPCStatus) { return try await send(path, body, token, deadline) } catch {
        status = error
      }
      observer?.attemptFailed(attempt, status)
      attempt += 1
      guard attempt < RetryRules.attemptsMax else { throw status }
      try await prepare(path, attempt, after: status, token, deadline)
    }
  }

  /// Gets ready for the next attempt.
  /// - Parameter token: the one of the attempt that failed.
  /// - Throws: when there is none.
  func prepare(
    _ path: String, _ attempt: Int, after status: GRPCStatus, _ token: String,
    _ deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) {
    if connections.isClosed { throw Connections.closing }
    if Task.isCancelled { throw .cancelled }
    let caller = RetryRules.Caller(
      endpoints: configuration.endpoints.count, hasCredentials: configuration.login != nil,
      isLate: deadline.map { $0 <= .now } ?? false)
    switch RetryRules.step(path, after: status, caller) {
    case .giveUp: throw status
    case .signInAgain:
      do throws(GRPCStatus) { try await signIn(replacing: token, deadline: deadline) } catch {
        observer?.signInFailed(error)
        throw error
      }
    case .again: break
    }
    let pause = RetryRules.pause(
      before: attempt, endpoints: caller.endpoints, chance: .random(in: -1...1))
    guard pause > .zero else { return }
    let left = deadline.map { ContinuousClock.now.duration(to: $0) } ?? pause
    do { try await Task.sleep(for: Swift.min(Swift.max(left, .zero), pause)) } catch {
      throw .cancelled
    }
    if left < pause { throw .deadlineExceeded }
  }

  /// One attempt. What no server has seen goes to the next connection.
  private func send(
    _ path: String, _ body: Bytes, _ token: String, _ deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> Bytes {
    try await onConnection(deadline) { client, timeout in
      try await client.unary(path, body, metadata: Self.metadata(token), timeout: timeout).message
    }
  }

  func onConnection<R>(
    _ deadline: ContinuousClock.Instant?, _ body: (GRPCClient, Duration?) async throws -> R
  ) async throws(GRPCStatus) -> R {
    var refusals = 0
    while true {
      let client = try await connections.pick(deadline)
      do { return try await body(client, try Self.remaining(deadline)) } catch {
        let status = Self.status(error)
        refusals += 1
        guard status == .unprocessed, refusals <= configuration.endpoints.count else {
          throw status
        }
      }
    }
  }

  // MARK: Tokens

  /// Gets a new token when there is a user with a password; a cluster without authentication needs none.
  package func signIn(deadline: ContinuousClock.Instant?) async throws(GRPCStatus) {
    try await signIn(replacing: nil, deadline: deadline)
  }

  /// Asks for the first token, unless somebody did.
  func signInFirst(deadline: ContinuousClock.Instant?) async throws(GRPCStatus) {
    guard configuration.login != nil, !login.withLock({ $0.isKnown }) else { return }
    try await signIn(replacing: nil, deadline: deadline)
  }

  /// Passwords are slow to check, and a member lets few of them wait: those who need a token at the same
  /// time share one question.
  /// - Parameter old: the token that was refused, if any: when there is another one by now, that will do.
  func signIn(
    replacing old: String?, deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) {
    guard let user = configuration.login else { return }
    let question = login.withLock { login -> Task<GRPCStatus?, Never>? in
      if let running = login.running { return running }
      if let old, login.token != old { return nil }
      login.token = ""
      let question = Task { await self.askForToken(user, deadline) }
      login.running = question
      return question
    }
    if let failure = await question?.value { throw failure }
  }

  private func askForToken(
    _ user: EtcdClientConfiguration.Credentials, _ deadline: ContinuousClock.Instant?
  ) async -> GRPCStatus? {
    var failure: GRPCStatus?
    var token = ""
    do throws(GRPCStatus) {
      let request = Etcdserverpb.AuthenticateRequest(name: user.name, password: user.password)
      let raw = try await call(RetryRules.authenticate, request.encoded(), deadline)
      do { token = try Etcdserverpb.AuthenticateResponse.decode(raw).token } catch {
        throw Self.status(error)
      }
    } catch {
      if error.message != EtcdError.authNotEnabled.message { failure = error }
    }
    login.withLock { login in
      login.token = token
      login.isKnown = failure == nil
      login.running = nil
    }
    return failure
  }

  var token: String { login.withLock { $0.token } }

  static func metadata(_ token: String) -> Metadata {
    token.isEmpty ? [:] : ["token": token]
  }

  // MARK: Errors and times

  /// The status of any error of a request.
  package static func status(_ error: any Error) -> GRPCStatus {
    if error is CancellationError { return .cancelled }
    return error as? GRPCStatus ?? GRPCStatus(.internal, "\(error)")
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
