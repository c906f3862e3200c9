import Bytes
import Calls
import EtcdClient
import EventLoops
import GRPC
import Protobuf

/// One unary call to the cluster, with its attempts. Confined to the loop of its `Upstream`.
///
/// - Source: etcd `client/v3/retry.go`, `retry_interceptor.go`: what no server has seen goes to the next one, and what
///   reads is sent again while a server is unavailable.
final class UpstreamCall {
  typealias Done = (Result<Bytes, GRPCStatus>) -> Void

  private let upstream: Upstream
  private let path: String
  private let request: Bytes
  private let metadata: Metadata
  private let deadline: UInt64?
  private var done: Done?
  private var running: RunningCall?
  private var ticket: UInt64 = 0
  private var attempts = 0
  private var client: GRPCClient?

  /// Attempts, the first one included.
  private static let attemptsMax = 10
  private static let pause = Duration.milliseconds(25)

  /// - Parameter deadline: when the client stops waiting, on the loop's clock.
  init(
    _ upstream: Upstream, _ path: String, _ request: Bytes, _ metadata: Metadata,
    deadline: UInt64?, _ done: @escaping Done
  ) {
    self.upstream = upstream
    self.path = path
    self.request = request
    self.metadata = metadata
    self.deadline = deadline
    self.done = done
  }

  func start() {
    if let client = upstream.ready(otherThan: client) { return send(client) }
    ticket = upstream.connection(deadline: deadline) { [self] result in
      ticket = 0
      switch result {
      case .success(let client): send(client)
      case .failure(let status): finish(.failure(status))
      }
    }
  }

  /// Nobody waits for the answer any more. The callback gets `cancelled`, if it was not called.
  func cancel() {
    if ticket != 0 { upstream.forget(ticket) }
    running?.cancel()
    finish(.failure(.cancelled))
  }

  private func finish(_ result: Result<Bytes, GRPCStatus>) {
    running = nil
    let done = done
    self.done = nil
    done?(result)
  }

  private func send(_ client: GRPCClient) {
    guard done != nil else { return }
    var timeout: Duration?
    if let deadline {
      let now = upstream.loop.now
      guard deadline > now else { return finish(.failure(.deadlineExceeded)) }
      timeout = .nanoseconds(Int64(clamping: deadline &- now))
    }
    self.client = client
    running = client.unary(path, request, metadata: metadata, timeout: timeout) { [self] result in
      switch result {
      case .success(let (message, _)): finish(.success(message))
      case .failure(let status): failed(status)
      }
    }
    if done == nil { running = nil }
  }

  private func failed(_ status: GRPCStatus) {
    running = nil
    // checked: at most `attemptsMax`
    attempts += 1
    guard done != nil, attempts < Self.attemptsMax else { return finish(.failure(status)) }
    if status == .unprocessed { return start() }
    guard status.code == .unavailable, RetryRules.policy(path) == .repeatable,
      !status.message.hasPrefix("etcdserver: ")
    else { return finish(.failure(status)) }
    upstream.loop.schedule(after: Self.pause) { [self] in
      if done != nil { start() }
    }
  }
}
