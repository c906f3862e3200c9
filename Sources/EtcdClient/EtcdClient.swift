@_exported import Bytes
import Calls
@_exported import EtcdAPI
import EventLoops
import Protobuf
import TLS

/// A client of an etcd cluster.
///
/// Requests go round the endpoints that can be reached and wait while none can. They are sent again where
/// Go's client does: reads while a server is unavailable, anything that no server has seen, anything whose
/// token was too old. Every call may come from any task; cancelling the task ends the call.
///
/// A client has a thread and its connections until `close()` or its last reference goes.
public final class EtcdClient: Sendable {
  /// What it was made with.
  public let configuration: EtcdClientConfiguration
  private let usage: LoopUsage
  private let session: ClientSession
  /// What all keys begin with, for who uses this client; see `namespace(_:)`.
  let prefix: Bytes
  /// The client that this one is a view of, which has the connections.
  private let base: EtcdClient?
  /// Whether the connections end with this object.
  private let isOwner: Bool

  /// Makes a client that connects and signs in with the first request.
  /// - Throws: `badConfiguration` without endpoints, for one that has no port, and for files of TLS
  ///   that cannot be used.
  public init(_ configuration: EtcdClientConfiguration) throws(EtcdClientError) {
    guard !configuration.endpoints.isEmpty else { throw .badConfiguration("no endpoints") }
    for endpoint in configuration.endpoints { try Self.check(endpoint) }
    do throws(TLSFailure) { _ = try ClientSecurity(configuration, for: .grpc) } catch {
      throw .badConfiguration(error.description)
    }
    self.configuration = configuration
    usage = LoopUsage()
    session = ClientSession(configuration, loop: usage.loop, usage: usage, observer: nil)
    prefix = Bytes()
    base = nil
    isOwner = true
  }

  /// A client on a session and a loop that somebody else has, who closes them after it.
  package init(
    _ configuration: EtcdClientConfiguration, session: ClientSession, loop: EventLoop
  ) {
    self.configuration = configuration
    usage = LoopUsage(of: loop)
    self.session = session
    prefix = Bytes()
    base = nil
    isOwner = false
  }

  /// A view of a client.
  init(of base: EtcdClient, prefix: Bytes) {
    configuration = base.configuration
    usage = base.usage
    session = base.session
    self.prefix = prefix
    self.base = base.base ?? base
    isOwner = false
  }

  /// The same with the endpoints alone.
  /// - Throws: as the other.
  public convenience init(endpoints: [String]) throws(EtcdClientError) {
    try self.init(EtcdClientConfiguration(endpoints: endpoints))
  }

  deinit { if isOwner { close() } }

  private static func check(_ endpoint: String) throws(EtcdClientError) {
    guard Endpoint.target(endpoint) != nil else {
      throw .badConfiguration(
        "endpoint \(endpoint) is none of host:port, http://host:port, https://host:port, unix:///path"
      )
    }
  }

  /// Ends all connections, also those of the client that this one is a view of. What is under way fails,
  /// and so does what comes later, with `closed`.
  public func close() {
    session.close()
    usage.close()
  }

  // MARK: Calls

  /// Keys, transactions and compaction.
  public var kv: KV { KV(client: self) }
  /// Leases and their renewal.
  public var leases: Leases { Leases(client: self) }
  /// Users, roles and whether they are asked for.
  public var auth: Auth { Auth(client: self) }
  /// Members of the cluster.
  public var cluster: Cluster { Cluster(client: self) }
  /// States of members, alarms and snapshots.
  public var maintenance: Maintenance { Maintenance(client: self) }

  /// A request within the request timeout.
  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage
  ) async throws(EtcdClientError) -> Reply {
    try await call(method, request, to: nil, deadline: deadline)
  }

  /// A request to one member, or to any.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, to endpoint: String?,
    deadline: ContinuousClock.Instant?
  ) async throws(EtcdClientError) -> Reply {
    try await run { (own) async throws(GRPCStatus) in
      let session = endpoint.map { self.session(to: $0) } ?? own
      defer { if session !== own { session.close() } }
      try await session.signInFirst(deadline: deadline)
      return try await session.call(method, request, deadline: deadline).message
    }
  }

  /// When a request that begins now must be answered.
  var deadline: ContinuousClock.Instant? { configuration.requestTimeout.map { .now + $0 } }

  /// The session with all endpoints.
  var ownSession: ClientSession { session }

  private func session(to endpoint: String) -> ClientSession {
    var configuration = configuration
    configuration.endpoints = [endpoint]
    return ClientSession(configuration, loop: usage.loop, usage: usage, observer: nil)
  }

  /// Keeps the loop while `body` runs.
  func run<R>(
    _ body: (ClientSession) async throws(GRPCStatus) -> R
  ) async throws(EtcdClientError) -> R {
    guard usage.enter() else { throw .closed }
    defer { usage.leave() }
    do throws(GRPCStatus) { return try await body(session) } catch {
      throw EtcdClientError(error)
    }
  }
}
