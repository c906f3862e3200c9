import Calls
import EventLoops
import GRPC
import HTTP
import Protobuf
import Synchronization
import TLS

/// Connections to all endpoints at once. Calls go round those that are up and wait while none is; what
/// goes down is dialled again.
///
/// - Source: grpc-go's balancer `round_robin` with calls that wait for a connection.
final class Connections: Sendable {
  private let configuration: EtcdClientConfiguration
  private let loop: EventLoop
  private let usage: LoopUsage?
  private let observer: (any SessionObserver)?
  /// Fails when the configuration's files cannot be used, and so does every attempt to connect.
  private let security: Result<ClientSecurity, TLSFailure>

  /// The connection to one endpoint.
  private struct Lane {
    var client: GRPCClient?
    var failures = 0
  }
  private struct State {
    var lanes: [Lane]
    /// Where the next call starts to look.
    var next: Int
    var isDialling = false
    var isClosed = false
    /// Why the last attempt to connect failed.
    var failure: String?
    var waiters: [UInt64: UnsafeContinuation<Void, Never>] = [:]
    var tickets: UInt64 = 0
  }
  private let state: Mutex<State>

  /// Connects to nothing before the first call.
  /// - Parameter usage: counts attempts to connect, if somebody waits for their end.
  init(
    _ configuration: EtcdClientConfiguration, loop: EventLoop, usage: LoopUsage?,
    observer: (any SessionObserver)?
  ) {
    self.configuration = configuration
    security = Result { () throws(TLSFailure) in try ClientSecurity(configuration, for: .grpc) }
    self.observer = observer
    self.loop = loop
    self.usage = usage
    let count = configuration.endpoints.count
    state = Mutex(
      State(
        lanes: Array(repeating: Lane(), count: count), next: Int.random(in: 0..<Swift.max(1, count))
      ))
  }

  /// Whether `close()` was called.
  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Aborts all connections; nothing is dialled any more.
  func close() {
    let (clients, waiters) = state.withLock { state in
      state.isClosed = true
      defer {
        state.waiters = [:]
        for lane in state.lanes.indices { state.lanes[lane].client = nil }
      }
      return (state.lanes.compactMap(\.client), Array(state.waiters.values))
    }
    for client in clients { client.abort() }
    for waiter in waiters { waiter.resume() }
  }

  /// The connection whose turn it is.
  /// - Throws: when none came up before the deadline, with the reason that is known; when the task was
  ///   cancelled, and when all is closed.
  func pick(_ deadline: ContinuousClock.Instant?) async throws(GRPCStatus) -> GRPCClient {
    if state.withLock({ state in
      defer { state.isDialling = true }
      return !state.isDialling
    }) {
      for lane in configuration.endpoints.indices { dial(lane) }
    }
    while true {
      let (client, isClosed) = state.withLock { (Self.turn(&$0), $0.isClosed) }
      if let client { return client }
      if isClosed { throw Self.closing }
      if Task.isCancelled { throw .cancelled }
      if let deadline, deadline <= .now { throw late() }
      await change(deadline)
    }
  }

  /// grpc-go's text.
  static let closing = GRPCStatus(.cancelled, "grpc: the client connection is closing")

  private static func turn(_ state: inout State) -> GRPCClient? {
    for _ in state.lanes {
      let lane = state.next % state.lanes.count
      state.next = lane + 1
      if let client = state.lanes[lane].client { return client }
    }
    return nil
  }

  private func late() -> GRPCStatus {
    let reason = state.withLock { $0.failure }.map { "latest balancer error: \($0)" }
    return GRPCStatus(
      .deadlineExceeded,
      reason ?? "context deadline exceeded while waiting for connections to become ready")
  }

  /// Returns when a connection came up, the deadline passed, or the task was cancelled, at the latest.
  private func change(_ deadline: ContinuousClock.Instant?) async {
    let ticket = state.withLock { state in
      state.tickets += 1
      return state.tickets
    }
    await withTaskCancellationHandler {
      await withUnsafeContinuation { (done: UnsafeContinuation<Void, Never>) in
        let waits = state.withLock { state in
          // A cancellation before this is seen here, one after it finds the waiter.
          if state.isClosed || Task.isCancelled || state.lanes.contains(where: { $0.client != nil })
          {
            return false
          }
          state.waiters[ticket] = done
          return true
        }
        guard waits else { return done.resume() }
        guard let deadline else { return }
        loop.execute { [loop, weak self] in
          loop.schedule(after: Swift.max(.zero, ContinuousClock.now.duration(to: deadline))) {
            self?.wake(ticket)
          }
        }
      }
    } onCancel: {
      wake(ticket)
    }
  }

  private func wake(_ ticket: UInt64) {
    state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
  }

  // MARK: lanes

  private func dial(_ lane: Int) {
    let endpoint = configuration.endpoints[lane]
    let security: ClientSecurity
    do throws(TLSFailure) { security = try self.security.get() } catch {
      return failed(lane, .tls, "connection error: desc = \"transport: \(error)\"")
    }
    guard let target = security.origin(endpoint) else {
      return failed(
        lane, .resolve,
        "connection error: desc = \"transport: Error while dialing: dial tcp: address \(endpoint): "
          + "missing port in address\"")
    }
    guard usage?.enter() ?? true else { return }
    tell(lane, .connecting)
    let (loop, configuration, usage) = (loop, transport, usage)
    Task { [weak self] in
      defer { usage?.leave() }
      switch await GRPCClient.attempt(
        to: target, loop: loop, configuration: configuration,
        authority: Endpoint.authority(endpoint), dial: security.dial)
      {
      case .success(let client):
        if let self { self.up(lane, client) } else { client.abort() }
      case .failure(let failure): self?.failed(lane, failure.phase, failure.status.message)
      }
    }
  }

  private var transport: GRPCClientConfiguration {
    var transport = GRPCClientConfiguration()
    let limit = configuration.dialTimeout > .zero ? configuration.dialTimeout : .seconds(20)
    transport.connectTimeout = limit
    transport.handshakeTimeout = limit
    if let interval = configuration.keepaliveInterval {
      // gRPC pings every ten seconds at most.
      transport.keepaliveInterval = Swift.max(interval, .seconds(10))
      transport.keepaliveTimeout = configuration.keepaliveTimeout
    }
    return transport
  }

  private func up(_ lane: Int, _ client: GRPCClient) {
    let waiters = state.withLock { state -> [UnsafeContinuation<Void, Never>]? in
      guard !state.isClosed else { return nil }
      state.lanes[lane] = Lane(client: client)
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    guard let waiters else { return client.abort() }
    tell(lane, .ready)
    client.onDown { [weak self, weak client] status in
      if let client { self?.down(lane, client, status) }
    }
    for waiter in waiters { waiter.resume() }
  }

  private func tell(_ lane: Int, _ change: ConnectionChange) {
    observer?.connection(to: configuration.endpoints[lane], change)
  }

  private func down(_ lane: Int, _ client: GRPCClient, _ status: GRPCStatus) {
    if !isClosed { tell(lane, .lost(status.message)) }
    state.withLock { if $0.lanes[lane].client === client { $0.lanes[lane].client = nil } }
    dialLater(lane, after: .milliseconds(10))
  }

  private func failed(_ lane: Int, _ phase: GRPCConnectFailure.Phase, _ reason: String) {
    if !isClosed { tell(lane, .failed(phase, reason)) }
    let failures = state.withLock { state in
      state.failure = reason
      state.lanes[lane].failures += 1
      return state.lanes[lane].failures
    }
    dialLater(lane, after: RetryRules.pause(afterFailedDials: failures))
  }

  private func dialLater(_ lane: Int, after time: Duration) {
    loop.execute { [loop, weak self] in
      loop.schedule(after: time) {
        guard let self, !self.state.withLock({ $0.isClosed }) else { return }
        self.dial(lane)
      }
    }
  }
}
