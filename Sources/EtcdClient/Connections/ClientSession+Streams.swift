import Bytes
import Calls
import EtcdAPI
import GRPC
import Protobuf

/// Streams of a session.
extension ClientSession {
  /// A stream, and the token it was opened with.
  package struct OpenStream: Sendable {
    package let stream: ClientStream
    let token: String
  }

  /// Opens a stream and sends its first request; once, but for what no server has seen.
  /// - Parameter deadline: the end of the stream; `nil` for none.
  package func open(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, metadata: Metadata = [:],
    deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> OpenStream {
    try await signInFirst(deadline: deadline)
    let token = token
    let stream = try await open(method.path, request.encoded(), token, metadata, deadline)
    return OpenStream(stream: stream, token: token)
  }

  private func open(
    _ path: String, _ body: Bytes, _ token: String, _ extra: Metadata,
    _ deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> ClientStream {
    var metadata = extra
    if !token.isEmpty { metadata.append(.init(name: "token", value: Bytes(token))) }
    return try await onConnection(deadline) { [metadata] client, timeout in
      let stream = try await client.stream(path, metadata: metadata, timeout: timeout)
      do { try await stream.send(body) } catch {
        // Nobody else knows of it.
        stream.cancel()
        throw error
      }
      return stream
    }
  }

  /// The answers to one request, begun again while the first of them is a failure that may pass.
  /// - Returns: the stream behind its first answer; that is `nil` when there is none.
  package func answers(
    _ method: MethodDescriptor, _ request: some ProtobufMessage,
    deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> (first: Bytes?, rest: ClientStream) {
    try await signIn(deadline: deadline)
    let body = request.encoded()
    var attempt = 0
    while true {
      let status: GRPCStatus
      let token = token
      do {
        let stream = try await open(method.path, body, token, [:], deadline)
        stream.finish()
        return (try await stream.next(), stream)
      } catch { status = Self.status(error) }
      attempt += 1
      try await prepare(method.path, attempt, after: status, token, deadline)
      observer?.streamRepeated(after: status)
    }
  }

  /// Renews a lease once.
  /// - Parameter newToken: whether to sign in for it, as Go's client does for every stream.
  /// - Returns: what the server said; a TTL of 0 when there is no such lease.
  package func renew(
    _ lease: Int64, newToken: Bool, deadline: ContinuousClock.Instant?
  ) async throws(GRPCStatus) -> Etcdserverpb.LeaseKeepAliveResponse {
    if newToken {
      try await signIn(deadline: deadline)
    } else {
      try await signInFirst(deadline: deadline)
    }
    let stream = try await open(
      Etcdserverpb.LeaseService.leaseKeepAlive.path,
      Etcdserverpb.LeaseKeepAliveRequest(id: lease).encoded(), token, [:], deadline)
    defer { stream.cancel() }
    do {
      guard let message = try await stream.next() else {
        throw GRPCStatus(.unavailable, "the stream ended without an answer")
      }
      return try .decode(message)
    } catch { throw Self.status(error) }
  }
}
