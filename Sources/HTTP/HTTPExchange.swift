import Bytes
import EventLoops

/// Who gets a streamed request or response body. Called on the connection's loop.
public protocol HTTPBodyConsumer: AnyObject {
  func bodyData(_ bytes: Bytes)
  /// The body is complete; nothing follows.
  func bodyEnded()
  /// The body will not be complete; nothing follows.
  func bodyFailed(_ error: HTTPBodyError)
  /// Whether what is left of the body is of use once the request was answered. If not, nothing more is
  /// told, and the rest is skipped or the connection closed.
  var wantsRest: Bool { get }
}

extension HTTPBodyConsumer {
  public var wantsRest: Bool { true }
}

/// Why a body is not complete.
public enum HTTPBodyError: Error, Sendable, Equatable, CustomStringConvertible {
  /// More bytes than the limit given.
  case tooLarge(limit: Int)
  /// All bodies together have more bytes than the limit given.
  case noRoom(limit: Int)
  /// It came so slowly that others were waiting for its end.
  case tooSlow
  case malformed(String)
  case disconnected
  case timedOut

  public var description: String {
    switch self {
    case .tooLarge: "http: request body too large"
    case .noRoom(let limit): "http: request bodies take more than \(limit) bytes together"
    case .tooSlow: "http: request body came too slowly while others were waiting"
    case .malformed(let reason): reason
    case .disconnected: "unexpected EOF"
    case .timedOut: "i/o timeout"
    }
  }
}

/// One request and its response on a server connection. Confined to `loop`.
///
/// A handler answers exactly once: `respond`, or `startResponse`, any number of `write`s, `finish`.
/// It may do so later, on the loop. Calls after a disconnect are ignored.
public final class HTTPExchange: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted by the channel underneath.

  public let loop: EventLoop
  public let request: HTTPRequestHead
  public let remoteAddress: SocketAddress?
  /// The channel, to ask a TLS layer about the peer. Not for writing.
  public var channel: (any ByteChannel)? { connection?.channel }
  /// Fields that go in front of those of the response, whoever answers.
  public var extraHeaders: HTTPHeaders = [:]
  /// Called once when the client has gone or stopped sending while the answer is not complete.
  public var onDisconnect: (() -> Void)?
  /// Called when the output queue has room again after `isWritable` was false.
  public var onWritable: (() -> Void)?

  enum ResponseState {
    case none
    case streaming(chunked: Bool)
    case finished
  }
  var response = ResponseState.none
  weak var connection: HTTP1ServerConnection?
  var consumer: (any HTTPBodyConsumer)?
  private(set) var sawDisconnect = false

  init(_ connection: HTTP1ServerConnection, _ request: HTTPRequestHead) {
    loop = connection.channel.loop
    self.connection = connection
    self.request = request
    remoteAddress = connection.channel.remoteAddress
  }

  // MARK: request body

  /// Collects the body, then calls `done` once.
  /// - Parameters:
  ///   - limit: bytes of this body.
  ///   - budget: shares a limit with other bodies until `done` has returned.
  public func collectBody(
    limit: Int, budget: HTTPBodyBudget? = nil,
    _ done: @escaping (Result<Bytes, HTTPBodyError>) -> Void
  ) {
    let length = request.headers["content-length"].flatMap { HeadParser.decimal(Bytes($0)) }
    let collector = BodyCollector(limit: limit, length: length, done)
    collector.share = budget?.join(self) { [weak collector] in collector?.giveUp($0) }
    streamBody(collector)
  }

  /// Streams the body to `consumer`, held until its end. Reading starts only with this call, so a
  /// client that sent `Expect: 100-continue` may be refused before it sends the body.
  public func streamBody(_ consumer: any HTTPBodyConsumer) {
    precondition(self.consumer == nil, "a body can be read once")
    self.consumer = consumer
    guard let connection else {
      consumer.bodyFailed(.disconnected)
      return
    }
    connection.startBody()
  }

  /// Whether the rest of the body may come whenever it likes: the client of a stream need not say anything
  /// for hours. Otherwise silence has a limit.
  public var mayBeSilent = false {
    didSet { if mayBeSilent { connection?.bodyMayBeSilent() } }
  }

  /// Stops and restarts the body's delivery.
  public func pauseBody() { connection?.setBodyPaused(true) }
  public func resumeBody() { connection?.setBodyPaused(false) }

  // MARK: response

  /// Whether the peer is still there.
  public var isConnected: Bool { connection != nil && !sawDisconnect }

  /// Whether more should be written now.
  public var isWritable: Bool { connection?.channel.isWritable ?? false }

  /// Answers 101 and leaves HTTP: whatever the client sends goes to `consumer`, in the end as a body that
  /// failed, and what is written goes out as it is. `finish` closes the connection.
  /// - Precondition: the request has no body.
  public func upgrade(_ headers: HTTPHeaders, consumer: any HTTPBodyConsumer) {
    guard case .none = response else { preconditionFailure("a request is answered once") }
    response = .streaming(chunked: false)
    self.consumer = consumer
    mayBeSilent = true
    connection?.upgrade(self, extraHeaders.followed(by: headers))
  }

  /// The whole response.
  public func respond(status: Int, headers: HTTPHeaders = [:], body: Bytes = Bytes()) {
    guard case .none = response else { preconditionFailure("a request is answered once") }
    response = .finished
    let head = HTTPResponseHead(status: status, headers: extraHeaders.followed(by: headers))
    connection?.respond(self, head, body)
  }

  /// Sends the head at once; the body follows with `write`. Without a `Content-Length` field the
  /// body is chunked (HTTP/1.1) or ended by closing (HTTP/1.0).
  public func startResponse(status: Int, headers: HTTPHeaders = [:]) {
    guard case .none = response else { preconditionFailure("a request is answered once") }
    response = .streaming(chunked: false)
    guard let connection else { return }
    let head = HTTPResponseHead(status: status, headers: extraHeaders.followed(by: headers))
    response = .streaming(chunked: connection.startResponse(self, head))
  }

  /// Sends a part of a streamed body.
  public func write(_ bytes: Bytes) {
    guard case .streaming(let chunked) = response, !bytes.isEmpty, let connection else { return }
    guard request.method != "HEAD" else { return }
    if chunked {
      connection.channel.write([
        Bytes(String(bytes.count, radix: 16) + "\r\n"), bytes, "\r\n",
      ])
    } else {
      connection.channel.write(bytes)
    }
  }

  /// Ends a streamed body.
  public func finish() {
    guard case .streaming(let chunked) = response else { return }
    response = .finished
    if chunked && request.method != "HEAD" { connection?.channel.write("0\r\n\r\n") }
    connection?.responseFinished()
  }

  /// Breaks a streamed body off, so that the client sees it is not complete.
  public func abort() {
    response = .finished
    connection?.channel.abort()
  }

  func disconnected() {
    guard !sawDisconnect else { return }
    sawDisconnect = true
    let callback = onDisconnect
    onDisconnect = nil
    if case .finished = response { return }
    callback?()
  }
}
