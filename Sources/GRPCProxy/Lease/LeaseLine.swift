import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf

/// Renewals of leases for all clients that show the same token, on one stream; those of one lease that come at the same
/// time are one. Confined to the loop of its upstream.
///
/// - Source: etcd `grpcproxy/lease.go`. There the proxy goes on renewing a lease whose client has fallen silent, for as
///   long as it lives; here a lease lives as long as its clients say.
final class LeaseLine {
  /// Gets the encoded answer.
  typealias Waiter = @Sendable (Result<Bytes, GRPCStatus>) -> Void

  private let upstream: Upstream
  private let stream: TokenStream
  private var failures = 0
  private var waiting: [Int64: [Waiter]] = [:]

  /// Streams that break one behind the other before those who wait are told.
  private static let failuresMax = 20
  private static let pause = Duration.milliseconds(100)

  init(_ upstream: Upstream, token: Bytes) {
    self.upstream = upstream
    stream = TokenStream(
      upstream, Etcdserverpb.LeaseService.leaseKeepAlive.path, token: token)
    stream.onOpen = { [weak self] in self?.opened($0) }
    stream.onMessage = { [weak self] in self?.take($0) }
    stream.onLost = { [weak self] in self?.lost($0) }
  }

  var isIdle: Bool { waiting.isEmpty }

  func renew(_ lease: Int64, _ waiter: @escaping Waiter) {
    if waiting[lease] != nil {
      waiting[lease]?.append(waiter)
      return
    }
    waiting[lease] = [waiter]
    if let feed = stream.feed { send(lease, feed) } else { stream.begin() }
  }

  private func opened(_ feed: ClientFeed) {
    for lease in waiting.keys { send(lease, feed) }
  }

  private func send(_ lease: Int64, _ feed: ClientFeed) {
    feed.send(Etcdserverpb.LeaseKeepAliveRequest(id: lease).encoded())
  }

  func close() {
    stream.close()
    fail(Upstream.closing)
  }

  private func take(_ message: Bytes) {
    failures = 0
    guard let answer = try? Etcdserverpb.LeaseKeepAliveResponse.decode(message) else { return }
    let bytes = message.detached()
    for waiter in waiting.removeValue(forKey: answer.id) ?? [] { waiter(.success(bytes)) }
  }

  private func lost(_ status: GRPCStatus) {
    // checked: one more with every broken stream
    failures += 1
    let mayPass = status.code == .unavailable || status.code == .ok || status.code == .cancelled
    guard !stream.isClosed, mayPass, failures <= Self.failuresMax else { return fail(status) }
    guard !waiting.isEmpty else { return }
    upstream.loop.schedule(after: Self.pause) { [weak self] in
      guard let self, stream.feed == nil, !waiting.isEmpty else { return }
      stream.begin()
    }
  }

  private func fail(_ status: GRPCStatus) {
    failures = 0
    let waiters = waiting.values.joined()
    waiting = [:]
    for waiter in waiters { waiter(.failure(status)) }
  }
}

/// The lines of all clients. Confined to the loop of its upstream.
final class LeaseExchange: @unchecked Sendable {
  // @unchecked: confined to `upstream.loop`.

  let upstream: Upstream
  private var lines: [Bytes: LeaseLine] = [:]

  /// Lines, one for each token; idle ones give way.
  static let linesMax = 1_024

  init(_ upstream: Upstream) { self.upstream = upstream }

  func renew(_ lease: Int64, token: Bytes, _ waiter: @escaping LeaseLine.Waiter) {
    if let line = lines[token] { return line.renew(lease, waiter) }
    if lines.count >= Self.linesMax {
      for (token, line) in lines where line.isIdle {
        line.close()
        lines[token] = nil
      }
    }
    let line = LeaseLine(upstream, token: token)
    lines[token] = line
    line.renew(lease, waiter)
  }

  func close() {
    for line in lines.values { line.close() }
    lines = [:]
  }
}
