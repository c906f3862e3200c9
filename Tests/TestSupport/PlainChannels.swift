import EventLoops
import GRPC
import HTTP

// Tests speak without TLS unless they say what policy they want.

extension Listener {
  public convenience init(
    loop: EventLoop, endpoint: Endpoint, targets: [EventLoop] = [], isPaused: Bool = false,
    reusesPort: Bool = false, admission: ConnectionAdmission? = nil,
    accept: @escaping @Sendable (any ByteChannel) -> Void
  ) throws(ChannelError) {
    try self.init(
      loop: loop, endpoint: endpoint, policy: .plain, targets: targets, isPaused: isPaused,
      reusesPort: reusesPort, admission: admission, accept: accept)
  }
}

extension Connection {
  public static func connect(
    to endpoint: Endpoint, loop: EventLoop, timeout: Duration,
    completion: @escaping (Result<any ByteChannel, ChannelError>) -> Void
  ) {
    connect(to: endpoint, loop: loop, policy: .plain, timeout: timeout, completion: completion)
  }
}

extension HTTPClient {
  public convenience init(loop: EventLoop, idlePerOriginMax: Int = 4) {
    self.init(loop: loop, idlePerOriginMax: idlePerOriginMax, dial: HTTPClient.dial(.plain))
  }
}

extension GRPCClient {
  public static func connect(
    to origin: HTTPOrigin, loop: EventLoop, configuration: GRPCClientConfiguration = .init(),
    authority: String? = nil
  ) async throws -> GRPCClient {
    try await connect(
      to: origin, loop: loop, configuration: configuration, authority: authority,
      dial: HTTPClient.dial(.plain))
  }
}
