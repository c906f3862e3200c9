import Bytes
import Calls
import EtcdClient
import EventLoops
import GRPC
import Protobuf

/// Where the cluster is and how it is reached.
struct UpstreamSettings: Sendable {
  var endpoints: [String]
  let security: ClientSecurity
  let transport: GRPCClientConfiguration
}

/// The connections of one loop to the members of a cluster, one each; calls take turns on those that are up.
/// Confined to its loop.
///
/// Calls come with what their client sent and leave as they are, so that a request that no server has seen may go to
/// the next one, and one that reads may be sent again.
final class Upstream: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `start`, `connection` and `call`.

  private final class Lane {
    let endpoint: String
    var client: GRPCClient?
    var failures = 0
    /// No longer one of the endpoints.
    var isGone = false
    init(_ endpoint: String) { self.endpoint = endpoint }
  }

  typealias Waiter = (Result<GRPCClient, GRPCStatus>) -> Void

  let loop: EventLoop
  let settings: UpstreamSettings
  private let logger: Logger
  private var lanes: [Lane] = []
  private var next = 0
  private var waiters: [UInt64: Waiter] = [:]
  private var tickets: UInt64 = 0
  private var lastFailure: String?
  private var isClosed = false

  /// Calls that wait for a connection at a time.
  static let waitersMax = 16_384
  /// How long a call waits for a connection when its client would wait longer.
  static let waitMax = Duration.seconds(5)

  init(_ settings: UpstreamSettings, loop: EventLoop, logger: Logger) {
    self.settings = settings
    self.loop = loop
    self.logger = logger
  }

  /// Dials all endpoints, and again whenever one goes down.
  func start() {
    loop.preconditionCurrent()
    setEndpoints(settings.endpoints)
  }

  /// From now on these are the members; connections to others take no more calls.
  func setEndpoints(_ endpoints: [String]) {
    guard !isClosed else { return }
    var kept: [Lane] = []
    for endpoint in endpoints where !kept.contains(where: { $0.endpoint == endpoint }) {
      if let lane = lanes.first(where: { $0.endpoint == endpoint }) {
        kept.append(lane)
      } else {
        let lane = Lane(endpoint)
        kept.append(lane)
        dial(lane)
      }
    }
    for lane in lanes where !kept.contains(where: { $0 === lane }) {
      lane.isGone = true
      lane.client?.close()
    }
    lanes = kept
  }

  var endpoints: [String] { lanes.map(\.endpoint) }

  /// Ends everything.
  func close() {
    loop.preconditionCurrent()
    isClosed = true
    for lane in lanes { lane.client?.abort() }
    lanes = []
    let waiting = waiters.values
    waiters = [:]
    for waiter in waiting { waiter(.failure(Self.closing)) }
  }

  /// grpc-go's text.
  static let closing = GRPCStatus(.cancelled, "grpc: the client connection is closing")

  // MARK: connections

  /// The connection whose turn it is, if one is up.
  /// - Parameter other: one that is taken only if there is no other.
  func ready(otherThan other: GRPCClient? = nil) -> GRPCClient? {
    var last: GRPCClient?
    for _ in lanes {
      // checked: both are below the number of endpoints
      let lane = lanes[next % lanes.count]
      next = next % lanes.count &+ 1
      guard let client = lane.client else { continue }
      if client !== other { return client }
      last = client
    }
    return last
  }

  /// Gives a connection, at once if one is up.
  /// - Parameter deadline: when to stop waiting, at the latest; on the loop's clock.
  /// - Returns: what `forget` is given when nobody waits any more; 0 when it was called.
  @discardableResult
  func connection(deadline: UInt64?, _ body: @escaping Waiter) -> UInt64 {
    loop.preconditionCurrent()
    if let client = ready() {
      body(.success(client))
      return 0
    }
    guard !isClosed, waiters.count < Self.waitersMax else {
      body(.failure(isClosed ? Self.closing : unavailable))
      return 0
    }
    tickets &+= 1
    let ticket = tickets
    waiters[ticket] = body
    let end = loop.now &+ Self.waitMax.nanoseconds
    let left = Swift.min(deadline ?? end, end)
    let time = left > loop.now ? left &- loop.now : 0
    loop.schedule(after: .nanoseconds(Int64(clamping: time))) { [weak self] in
      guard let self, let waiter = waiters.removeValue(forKey: ticket) else { return }
      waiter(.failure(unavailable))
    }
    return ticket
  }

  func forget(_ ticket: UInt64) { waiters[ticket] = nil }

  private var unavailable: GRPCStatus {
    GRPCStatus(.unavailable, lastFailure ?? "no member of the cluster has answered yet")
  }

  private func dial(_ lane: Lane) {
    guard let target = settings.security.origin(lane.endpoint) else {
      return failed(
        lane,
        "connection error: desc = \"transport: Error while dialing: dial tcp: address "
          + "\(lane.endpoint): missing port in address\"")
    }
    let box = LoopConfined((upstream: self, lane: lane))
    let authority = Endpoint.authority(lane.endpoint)
    Task(executorPreference: loop) { [loop, settings] in
      let result = await GRPCClient.attempt(
        to: target, loop: loop, configuration: settings.transport, authority: authority,
        dial: settings.security.dial)
      let (upstream, lane) = box.value
      switch result {
      case .success(let client): upstream.up(lane, client)
      case .failure(let failure): upstream.failed(lane, failure.status.message)
      }
    }
  }

  private func up(_ lane: Lane, _ client: GRPCClient) {
    guard !isClosed, !lane.isGone else { return client.abort() }
    if lane.failures > 0 {
      logger.info("a member answers again", [LogField("endpoint", .string(lane.endpoint))])
    }
    lane.failures = 0
    lane.client = client
    let box = LoopConfined((upstream: self, lane: lane))
    client.onDown { [weak client] status in
      let (upstream, lane) = box.value
      if lane.client === client { lane.client = nil }
      upstream.lost(lane, status)
    }
    // Those who came first are first.
    for ticket in waiters.keys.sorted() {
      guard let client = ready() else { return }
      waiters.removeValue(forKey: ticket)?(.success(client))
    }
  }

  private func lost(_ lane: Lane, _ status: GRPCStatus) {
    guard !isClosed, !lane.isGone else { return }
    logger.warn(
      "lost the connection to a member",
      [LogField("endpoint", .string(lane.endpoint)), LogField("error", .string(status.message))])
    lastFailure = status.message
    dialLater(lane, after: .milliseconds(10))
  }

  private func failed(_ lane: Lane, _ reason: String) {
    guard !isClosed, !lane.isGone else { return }
    lastFailure = reason
    // checked: one more with every attempt, which takes milliseconds
    lane.failures += 1
    if lane.failures == 1 {
      logger.warn(
        "cannot connect to a member; trying again and again",
        [LogField("endpoint", .string(lane.endpoint)), LogField("error", .string(reason))])
    }
    dialLater(lane, after: RetryRules.pause(afterFailedDials: lane.failures))
  }

  private func dialLater(_ lane: Lane, after time: Duration) {
    loop.schedule(after: time) { [weak self] in
      guard let self, !isClosed, !lane.isGone else { return }
      dial(lane)
    }
  }
}
