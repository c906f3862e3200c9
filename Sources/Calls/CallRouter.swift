import Bytes
import EventLoops
import Protobuf

/// Counters of one method, made once so that a call only adds.
public final class CallCounters: Sendable {
  public let started: Counter
  /// By code; 17 counters.
  public let handled: [Counter]
  public let received: Counter
  public let sent: Counter
  /// Seconds from the head to the status, when wanted.
  public let seconds: Histogram?
  /// Bytes of messages, of all methods together.
  public let receivedBytes: Counter
  public let sentBytes: Counter

  /// Registers the series of go-grpc-prometheus: `grpc_server_started_total` and so on.
  /// - Parameter type: `unary`, `client_stream`, `server_stream` or `bidi_stream`.
  public init(
    _ registry: MetricsRegistry, type: String, service: String, method: String,
    withSeconds: Bool = false
  ) {
    let labels: MetricsRegistry.Labels = [
      "grpc_type": type, "grpc_service": service, "grpc_method": method,
    ]
    started = registry.counter(
      "grpc_server_started_total", "Total number of RPCs started on the server.", labels)
    handled = registry.counters(
      "grpc_server_handled_total",
      "Total number of RPCs completed on the server, regardless of success or failure.", labels,
      by: "grpc_code", GRPCCode.allCases.map(\.description))
    received = registry.counter(
      "grpc_server_msg_received_total",
      "Total number of RPC stream messages received on the server.", labels)
    sent = registry.counter(
      "grpc_server_msg_sent_total",
      "Total number of gRPC stream messages sent by the server.", labels)
    receivedBytes = registry.counter(
      "etcd_network_client_grpc_received_bytes_total",
      "The total number of bytes received from grpc clients.")
    sentBytes = registry.counter(
      "etcd_network_client_grpc_sent_bytes_total",
      "The total number of bytes sent to grpc clients.")
    seconds =
      withSeconds
      ? registry.histogram(
        "grpc_server_handling_seconds",
        "Histogram of response latency (seconds) of gRPC that had been application-level "
          + "handled by the server.", labels) : nil
  }
}

/// Which handler serves which path. Fill it, then give it to a server.
public struct CallRouter: Sendable {
  /// Gets a call and its request on the call's loop; answers now or later.
  public typealias UnaryHandler = @Sendable (_ call: UnaryCall, _ request: Bytes) -> Void
  /// Serves a stream as a task on the call's loop; what it returns or throws ends the stream.
  public typealias StreamHandler = @Sendable (_ stream: ServerStream) async throws -> GRPCStatus

  /// What serves a method.
  public enum Handler: Sendable {
    case unary(UnaryHandler)
    case stream(StreamHandler)
  }

  /// A method that is served.
  public final class Route: Sendable {
    public let path: String
    public let handler: Handler
    public let counters: CallCounters?
    public var isUnary: Bool { if case .unary = handler { true } else { false } }
    init(_ path: String, _ handler: Handler, _ counters: CallCounters?) {
      self.path = path
      self.handler = handler
      self.counters = counters
    }
  }

  private var routes: [Bytes: Route] = [:]
  private var services: Set<String> = []

  /// Says why a call is not served at all, by what came along with it; `nil` when it is.
  public typealias Gate = @Sendable (_ metadata: Metadata) -> GRPCStatus?
  private let gate: Gate?

  /// - Parameter gate: asked before a handler gets a call that brought any metadata.
  public init(gate: Gate? = nil) { self.gate = gate }

  /// Why a call is not served; whoever brings it asks before the handler gets it.
  public func refusal(_ metadata: Metadata) -> GRPCStatus? {
    metadata.isEmpty ? nil : gate?(metadata)
  }

  /// Serves `/package.Service/Method` as a unary method.
  public mutating func unary(
    _ path: String, counters: CallCounters? = nil, _ handler: @escaping UnaryHandler
  ) {
    add(Route(path, .unary(handler), counters))
  }

  /// Serves `/package.Service/Method` as a method with a stream of requests or replies.
  public mutating func streaming(
    _ path: String, counters: CallCounters? = nil, _ handler: @escaping StreamHandler
  ) {
    add(Route(path, .stream(handler), counters))
  }

  private mutating func add(_ route: Route) {
    let split = Self.split(route.path)
    precondition(split != nil, "a path is /service/method, not \(route.path)")
    precondition(routes[Bytes(route.path)] == nil, "\(route.path) is served twice")
    routes[Bytes(route.path)] = route
    services.insert(split!.service)
  }

  /// The method with a path; `nil` when nobody serves it.
  public func route(_ path: Bytes) -> Route? { routes[path] }

  /// What grpc-go answers for a path nobody serves.
  public func missing(_ path: String) -> GRPCStatus {
    guard let (service, method) = Self.split(path) else {
      return GRPCStatus(.unimplemented, "malformed method name: \"\(path)\"")
    }
    return services.contains(service)
      ? GRPCStatus(.unimplemented, "unknown method \(method) for service \(service)")
      : GRPCStatus(.unimplemented, "unknown service \(service)")
  }

  private static func split(_ path: String) -> (service: String, method: String)? {
    guard path.hasPrefix("/"), let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
      return nil
    }
    return (
      String(path[path.index(after: path.startIndex)..<slash]),
      String(path[path.index(after: slash)...])
    )
  }
}
