import Bytes
import Calls
import EventLoops
import GRPC
import Protobuf

/// Hands calls on to the cluster as they are, without looking into their messages. Confined to its loop.
final class Forwarder: @unchecked Sendable {
  // @unchecked: confined to `upstream.loop`, asserted in `connection` of the upstream.

  let upstream: Upstream
  init(_ upstream: Upstream) { self.upstream = upstream }

  /// Hands a unary call on.
  func forward(_ call: UnaryCall, _ request: Bytes) {
    ask(call, request) { result in
      switch result {
      case .success(let message): call.respond(.bytes(message))
      case .failure(let status): call.fail(status)
      }
    }
  }

  /// Asks the cluster what a client has asked, for as long as that waits.
  /// - Parameter done: gets the answer, also when the client has gone.
  func ask(_ call: UnaryCall, _ request: Bytes, _ done: @escaping UpstreamCall.Done) {
    let ask = UpstreamCall(
      upstream, call.path, request, call.metadata, deadline: call.deadline, done)
    ask.start()
    call.onCancel { [weak ask] in ask?.cancel() }
  }

  /// Hands a stream on: what one side has read is given to the other, and nobody is read from faster than the other
  /// side takes it.
  func forward(_ stream: ServerStream) async throws -> GRPCStatus {
    let client = try await connection(stream.deadline)
    let deadline = stream.deadline.map { deadline in
      let now = upstream.loop.now
      return Duration.nanoseconds(Int64(clamping: deadline > now ? deadline &- now : 1))
    }
    let other = try await client.stream(
      stream.path, metadata: stream.metadata, timeout: deadline)
    let requests = Task(executorPreference: upstream.loop) {
      do {
        for try await request in stream.requests { try await other.send(request) }
        other.finish()
      } catch {
        // Whoever reads the answers hears why.
        other.cancel()
      }
    }
    defer { requests.cancel() }
    return try await withTaskCancellationHandler {
      while let answer = try await other.next() { try await stream.send(answer) }
      return .ok
    } onCancel: {
      other.cancel()
    }
  }

  private func connection(_ deadline: UInt64?) async throws -> GRPCClient {
    try await withUnsafeThrowingContinuation { continuation in
      upstream.connection(deadline: deadline) { continuation.resume(with: $0) }
    }
  }
}
