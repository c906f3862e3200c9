import Bytes
import CommandLineTool
import EtcdAPI
import GRPC
import Protobuf
import Runtime
import Synchronization

/// Connections to a cluster for one command. An endpoint that refuses makes room for the next.
///
/// - Source: etcd `client/v3/client.go`, `retry.go`: requests that change nothing are repeated while
///   the server is unavailable, others only while there is no connection at all.
final class Session: Sendable {
  /// An answer, decoded and as it came.
  struct Answer<Message: Sendable>: Sendable {
    let message: Message
    let raw: Bytes
  }

  let settings: ClientSettings
  private let loop: EventLoop

  private struct State {
    var client: GRPCClient?
    /// Position in `settings.endpoints` to try first.
    var next = 0
    var token = ""
  }
  private let state = Mutex(State())

  /// Pause between two attempts.
  private static let backoff = Duration.milliseconds(25)

  init(_ settings: ClientSettings, loop: EventLoop) {
    self.settings = settings
    self.loop = loop
  }

  func close() {
    state.withLock { $0.client.take() }?.abort()
  }

  // MARK: Requests

  /// A unary request.
  /// - Parameters:
  ///   - deadline: the end of all attempts; `nil` for none.
  ///   - isRepeatable: whether the request may reach a server twice.
  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _: Reply.Type,
    deadline: ContinuousClock.Instant?, isRepeatable: Bool
  ) async throws(ClientFailure) -> Answer<Reply> {
    let body = request.encoded()
    while true {
      let client = try await connected(deadline)
      do {
        let reply = try await client.unary(
          method.path, body, metadata: metadata, timeout: try Self.remaining(deadline))
        return Answer(message: try Reply.decode(reply.message), raw: reply.message)
      } catch let status as GRPCStatus {
        guard status.code == .unavailable else { throw ClientFailure(status) }
        forget(client)
        guard isRepeatable else { throw ClientFailure(status) }
        try await pause(deadline)
      } catch let failure as ClientFailure {
        throw failure
      } catch {
        throw ClientFailure(GRPCStatus(.internal, "\(error)"))
      }
    }
  }

  /// Opens a stream whose one request is sent already.
  func stream(
    _ method: MethodDescriptor, _ request: some ProtobufMessage,
    deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> ClientStream {
    let client = try await connected(deadline)
    do {
      let stream = try await client.stream(
        method.path, metadata: metadata, timeout: try Self.remaining(deadline))
      try await stream.send(request.encoded())
      return stream
    } catch let failure as ClientFailure {
      throw failure
    } catch { throw Self.failure(error) }
  }

  static func failure(_ error: any Error) -> ClientFailure {
    ClientFailure(error as? GRPCStatus ?? GRPCStatus(.internal, "\(error)"))
  }

  private var metadata: Metadata {
    let token = state.withLock { $0.token }
    return token.isEmpty ? [:] : ["token": token]
  }

  /// Asks for a token; a cluster without authentication needs none.
  func authenticate(
    _ name: String, _ password: String, deadline: ContinuousClock.Instant
  ) async throws(ClientFailure) {
    guard !name.isEmpty, !password.isEmpty else { return }
    do throws(ClientFailure) {
      let answer = try await call(
        Etcdserverpb.AuthService.authenticate,
        Etcdserverpb.AuthenticateRequest(name: name, password: password),
        Etcdserverpb.AuthenticateResponse.self, deadline: deadline, isRepeatable: true)
      state.withLock { $0.token = answer.message.token }
    } catch {
      guard error.message == ClientFailure.authNotEnabled else { throw error }
    }
  }

  // MARK: Connections

  /// The connection, or a new one to the first endpoint that accepts it.
  private func connected(
    _ deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> GRPCClient {
    while true {
      if let client = state.withLock({ $0.client }) { return client }
      for _ in settings.endpoints {
        let endpoint = state.withLock { state in
          defer { state.next = (state.next + 1) % settings.endpoints.count }
          return settings.endpoints[state.next]
        }
        guard let target = dialTarget(endpoint) else { continue }
        var configuration = GRPCClientConfiguration()
        // An endpoint that stays silent must not use up the time of the others.
        let dial = settings.dialTimeout > .zero ? settings.dialTimeout : .seconds(20)
        let limit = Swift.min(try Self.remaining(deadline) ?? dial, dial)
        configuration.connectTimeout = limit
        configuration.handshakeTimeout = limit
        if settings.keepaliveTime > .zero {
          // gRPC pings every ten seconds at most.
          configuration.keepaliveInterval = Swift.max(settings.keepaliveTime, .seconds(10))
          configuration.keepaliveTimeout = settings.keepaliveTimeout
        }
        guard
          let client = try? await GRPCClient.connect(
            to: target, loop: loop, configuration: configuration)
        else { continue }
        state.withLock { $0.client = client }
        client.onDown { [weak self, weak client] _ in
          if let client { self?.forget(client) }
        }
        return client
      }
      try await pause(deadline)
    }
  }

  private func forget(_ client: GRPCClient) {
    state.withLock { if $0.client === client { $0.client = nil } }
  }

  /// - Throws: when no time is left.
  private static func remaining(
    _ deadline: ContinuousClock.Instant?
  ) throws(ClientFailure) -> Duration? {
    guard let deadline else { return nil }
    let left = ContinuousClock.now.duration(to: deadline)
    guard left > .zero else { throw .deadlineExceeded }
    return left
  }

  private func pause(_ deadline: ContinuousClock.Instant?) async throws(ClientFailure) {
    let left = try Self.remaining(deadline) ?? Self.backoff
    do { try await Task.sleep(for: Swift.min(left, Self.backoff)) } catch {
      throw .deadlineExceeded
    }
  }
}
