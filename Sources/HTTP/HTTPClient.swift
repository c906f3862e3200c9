import Bytes
import EventLoops

/// A request of `HTTPClient`.
public struct HTTPClientRequest: Sendable {
  /// What follows the head.
  public enum Body: Sendable {
    case none
    case bytes(Bytes)
    /// Written piece by piece with `HTTPClientCall.write`; chunked when `length` is `nil`.
    case stream(length: Int?)
  }

  public var origin: HTTPOrigin
  public var method: String
  public var target: String
  /// `Host` is added when missing.
  public var headers: HTTPHeaders
  public var body: Body
  /// To have a connection.
  public var connectTimeout: Duration = .seconds(5)
  /// From the end of the request to the end of the response's head; `nil` waits for ever.
  public var headTimeout: Duration? = .seconds(30)
  /// Longest silence inside the response's body; `nil` for long-lived streams.
  public var idleTimeout: Duration? = .seconds(30)

  public init(
    _ method: String, _ origin: HTTPOrigin, _ target: String,
    headers: HTTPHeaders = [:], body: Body = .none
  ) {
    self.origin = origin
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
  }
}

/// Why a request has no complete response.
public enum HTTPClientError: Error, Sendable, CustomStringConvertible {
  case connect(ChannelError)
  case malformed(String)
  /// The connection ended before the response was complete.
  case disconnected(ChannelError?)
  case timedOut(String)
  /// The body has more bytes than the limit given.
  case tooLarge(limit: Int)
  case cancelled

  public var description: String {
    switch self {
    case .connect(let error): "\(error)"
    case .malformed(let reason): "malformed HTTP response: \(reason)"
    case .disconnected(let error): error.map { "\($0)" } ?? "unexpected EOF"
    case .timedOut(let what): "\(what): i/o timeout"
    case .tooLarge(let limit): "response body larger than \(limit) bytes"
    case .cancelled: "request canceled"
    }
  }
}

/// Who gets a response. Called on the client's loop: `responseHead`, any number of `responseData`,
/// then `responseEnded`; or `responseFailed` at any moment. Nothing follows the last two.
public protocol HTTPResponseHandler: AnyObject {
  func responseHead(_ head: HTTPResponseHead)
  func responseData(_ bytes: Bytes)
  func responseEnded()
  func responseFailed(_ error: HTTPClientError)
  /// The request body may be written again.
  func requestWritable()
}

/// HTTP/1.1 client that keeps connections alive for each origin. Confined to its loop.
public final class HTTPClient: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `start`.

  /// Opens a channel that is not started yet: plain TCP, or a TLS layer over it, as the origin asks.
  /// Calls back later, on the loop.
  public typealias Dial =
    @Sendable (
      HTTPOrigin, EventLoop, Duration,
      @escaping (Result<any ByteChannel, ChannelError>) -> Void
    ) -> Void

  public let loop: EventLoop
  private let dial: Dial
  private var idle: [HTTPOrigin: [HTTPClientConnection]] = [:]
  private var active: [ObjectIdentifier: HTTPClientConnection] = [:]
  private var closed = false

  private let idlePerOriginMax: Int
  private static let idleTimeout: Duration = .seconds(90)

  /// A client on `loop`.
  /// - Parameters:
  ///   - idlePerOriginMax: connections kept for the next request.
  ///   - dial: `HTTPClient.dial(_:)` of a policy, but for tests.
  public init(
    loop: EventLoop, idlePerOriginMax: Int = 4, dial: @escaping Dial
  ) {
    self.loop = loop
    self.idlePerOriginMax = idlePerOriginMax
    self.dial = dial
  }

  /// Connects with the layer of `policy` to secure origins, and as it is to others. A plain policy does not
  /// reach secure origins.
  public static func dial(_ policy: ChannelPolicy) -> Dial {
    { origin, loop, timeout, done in
      if case (.https, .plain) = (origin.scheme, policy) {
        let refusal = LoopConfined(done)
        return loop.execute {
          refusal.value(.failure(.layer("dial \(origin): no TLS policy was given for it")))
        }
      }
      Connection.connect(
        to: origin.endpoint, loop: loop, policy: origin.scheme == .https ? policy : .plain,
        timeout: timeout, completion: done)
    }
  }

  /// Starts a request, on the loop.
  @discardableResult
  public func start(
    _ request: HTTPClientRequest, _ handler: any HTTPResponseHandler
  ) -> HTTPClientCall {
    loop.preconditionCurrent()
    let call = HTTPClientCall(loop: loop, request: request, handler: handler)
    begin(call, mayReuse: true)
    return call
  }

  /// Starts a request and collects a response body of at most `limit` bytes.
  @discardableResult
  public func send(
    _ request: HTTPClientRequest, limit: Int,
    _ done: @escaping (Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>) -> Void
  ) -> HTTPClientCall {
    let collector = ResponseCollector(limit: limit, done)
    let call = start(request, collector)
    collector.call = call
    return call
  }

  /// Closes idle connections; running requests go on.
  public func close() {
    closed = true
    for connection in idle.values.joined() { connection.channel.closeAfterFlush() }
    idle.removeAll()
  }

  private func begin(_ call: HTTPClientCall, mayReuse: Bool) {
    let origin = call.request.origin
    while mayReuse, let connection = idle[origin]?.popLast() {
      guard !connection.channel.isClosed else { continue }
      run(call, on: connection)
      return
    }
    dial(origin, loop, call.request.connectTimeout) { [self] result in
      switch result {
      case .failure(let error): call.fail(.connect(error))
      case .success(let channel):
        guard !call.isDone else {
          channel.abort()
          return
        }
        run(call, on: HTTPClientConnection(channel: channel, origin: origin, owner: self))
      }
    }
  }

  private func run(_ call: HTTPClientCall, on connection: HTTPClientConnection) {
    active[ObjectIdentifier(connection)] = connection
    connection.run(call)
  }

  /// A connection has finished its request.
  func finished(_ connection: HTTPClientConnection, reusable: Bool) {
    active[ObjectIdentifier(connection)] = nil
    guard reusable, !closed, idle[connection.origin, default: []].count < idlePerOriginMax
    else {
      connection.channel.closeAfterFlush()
      return
    }
    idle[connection.origin, default: []].append(connection)
    connection.becomeIdle(Self.idleTimeout)
  }

  /// A connection is gone.
  func lost(_ connection: HTTPClientConnection) {
    active[ObjectIdentifier(connection)] = nil
    idle[connection.origin]?.removeAll { $0 === connection }
  }

  /// A kept connection was closed by the peer before it answered: once more on a new one.
  func retry(_ call: HTTPClientCall) { begin(call, mayReuse: false) }
}

/// Collects a response.
private final class ResponseCollector: HTTPResponseHandler {
  private let limit: Int
  private var head: HTTPResponseHead?
  private var body = ByteWriter(capacity: 256)
  private var done: ((Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>) -> Void)?
  weak var call: HTTPClientCall?

  init(
    limit: Int,
    _ done: @escaping (Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>) -> Void
  ) {
    self.limit = limit
    self.done = done
  }

  func responseHead(_ head: HTTPResponseHead) { self.head = head }

  func responseData(_ bytes: Bytes) {
    guard done != nil else { return }
    guard body.count + bytes.count <= limit else {
      finish(.failure(.tooLarge(limit: limit)))
      call?.cancel()
      return
    }
    body.append(bytes)
  }

  func responseEnded() {
    guard let head else { return }
    var whole = ByteWriter(capacity: 0)
    swap(&whole, &body)
    finish(.success((head, whole.finish())))
  }

  func responseFailed(_ error: HTTPClientError) { finish(.failure(error)) }
  func requestWritable() {}

  private func finish(
    _ result: Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>
  ) {
    let callback = done
    done = nil
    callback?(result)
  }
}
