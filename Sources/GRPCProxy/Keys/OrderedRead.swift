import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf

/// A read that is asked of one member after the other until one has what was shown before. Confined to the loop of its
/// upstream.
///
/// - Source: etcd `client/v3/ordering/kv.go`, `util.go`.
final class OrderedRead {
  private let call: UnaryCall
  private let request: Bytes
  private let order: RevisionOrder
  private let upstream: Upstream
  private let done: UpstreamCall.Done
  /// What was shown when the read began: what others are shown meanwhile binds those who ask later.
  private let least: Int64
  private var attempts = 0
  private var running: UpstreamCall?
  private var isGone = false

  /// Between rounds over all members.
  private static let pause = Duration.milliseconds(10)

  init(
    _ call: UnaryCall, _ request: Bytes, _ order: RevisionOrder, _ upstream: Upstream,
    _ done: @escaping UpstreamCall.Done
  ) {
    self.call = call
    self.request = request
    self.order = order
    self.upstream = upstream
    self.done = done
    least = order.revision
  }

  func start() {
    call.onCancel { [self] in
      isGone = true
      running?.cancel()
    }
    ask()
  }

  private func ask() {
    // Calls take turns on the members.
    let ask = UpstreamCall(
      upstream, call.path, request, call.metadata, deadline: call.deadline
    ) { [self] result in take(result) }
    running = ask
    ask.start()
  }

  private func take(_ result: Result<Bytes, GRPCStatus>) {
    running = nil
    guard !isGone, case .success(let answer) = result,
      let revision = try? HeaderPeek.decode(answer).header.revision
    else { return done(isGone ? .failure(.cancelled) : result) }
    guard revision < least else {
      order.show(revision)
      return done(result)
    }
    // checked: at most a few for each member
    attempts += 1
    let members = Swift.max(upstream.endpoints.count, 1)
    guard attempts <= members &* RevisionOrder.attemptsPerMemberMax else {
      return done(.failure(RevisionOrder.failure))
    }
    guard attempts % members == 0 else { return ask() }
    upstream.loop.schedule(after: Self.pause) { [self] in
      if isGone { done(.failure(.cancelled)) } else { ask() }
    }
  }
}
