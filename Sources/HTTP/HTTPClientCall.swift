import Bytes
import EventLoops

/// A running request. Confined to its client's loop.
public final class HTTPClientCall: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `cancel` and by the channel.

  public let loop: EventLoop
  let request: HTTPClientRequest
  var handler: (any HTTPResponseHandler)?
  weak var connection: HTTPClientConnection?
  /// Parts of a streamed body written before there is a connection.
  var early: [Bytes] = []
  var earlyEnd = false
  /// Whether the handler was told how it ended.
  public private(set) var isDone = false

  init(loop: EventLoop, request: HTTPClientRequest, handler: any HTTPResponseHandler) {
    self.loop = loop
    self.request = request
    self.handler = handler
  }

  /// Whether more of the request body should be written now.
  public var isWritable: Bool { connection?.channel.isWritable ?? false }

  /// The connection's channel once there is one, to ask a TLS layer about the peer.
  public var channel: (any ByteChannel)? { connection?.channel }

  /// Sends a part of a streamed request body.
  public func write(_ bytes: Bytes) {
    guard !isDone, !earlyEnd, !bytes.isEmpty else { return }
    if let connection { connection.writeBody(bytes) } else { early.append(bytes) }
  }

  /// Ends a streamed request body.
  public func finishBody() {
    guard !isDone, !earlyEnd else { return }
    earlyEnd = true
    connection?.endBody()
  }

  /// Stops and restarts the delivery of the response body.
  public func pause() { connection?.channel.pauseReading() }
  public func resume() { connection?.channel.resumeReading() }

  /// Gives the request up and closes its connection. The handler is told `.cancelled`.
  public func cancel() {
    loop.preconditionCurrent()
    guard !isDone else { return }
    let connection = connection
    fail(.cancelled)
    connection?.giveUp()
  }

  func fail(_ error: HTTPClientError) {
    guard !isDone else { return }
    isDone = true
    let last = handler
    handler = nil
    early = []
    last?.responseFailed(error)
  }

  func succeed() {
    guard !isDone else { return }
    isDone = true
    let last = handler
    handler = nil
    last?.responseEnded()
  }
}

/// One client connection: a request at a time. Confined to its loop.
final class HTTPClientConnection: ByteChannelHandler {
  let channel: any ByteChannel
  let origin: HTTPOrigin
  /// Strong: a client lives as long as its connections.
  private let owner: HTTPClient
  private var call: HTTPClientCall?
  private var head = HeadAccumulator(HTTPHeadLimits())
  private var response: HTTPResponseHead?
  private var body: HTTPBodyDecoder?
  private var watchdog: Watchdog?
  private var isReused = false
  private var sawInput = false
  private var bodySent = false
  private var keepAlive = true
  private var started = false

  init(channel: any ByteChannel, origin: HTTPOrigin, owner: HTTPClient) {
    self.channel = channel
    self.origin = origin
    self.owner = owner
    watchdog = Watchdog(loop: channel.loop) { [unowned self] in self.deadlinePassed() }
    channel.handler = self
  }

  func run(_ call: HTTPClientCall) {
    self.call = call
    call.connection = self
    response = nil
    body = nil
    sawInput = false
    bodySent = false
    watchdog?.clear()
    if !started {
      started = true
      channel.start()
    } else {
      isReused = true
      channel.resumeReading()
    }
    writeHead(call.request)
    switch call.request.body {
    case .none: requestSent()
    case .bytes(let bytes):
      channel.write(bytes)
      requestSent()
    case .stream:
      for part in call.early { writeBody(part) }
      call.early = []
      if call.earlyEnd { endBody() } else { call.handler?.requestWritable() }
    }
  }

  private var isChunked: Bool {
    if case .stream(length: nil)? = call?.request.body { true } else { false }
  }

  private func writeHead(_ request: HTTPClientRequest) {
    var out = ByteWriter(capacity: 512)
    out.append("\(request.method) \(request.target) HTTP/1.1\r\n")
    if request.headers["host"] == nil {
      HTTPFieldWriter.append("Host", request.origin.authority, &out)
    }
    for field in request.headers.fields { HTTPFieldWriter.append(field.name, field.value, &out) }
    switch request.body {
    case .none: break
    case .bytes(let bytes): out.append("Content-Length: \(bytes.count)\r\n")
    case .stream(let length?): out.append("Content-Length: \(length)\r\n")
    case .stream(nil): out.append("Transfer-Encoding: chunked\r\n")
    }
    out.append("\r\n")
    channel.write(out.finish())
  }

  func writeBody(_ bytes: Bytes) {
    if isChunked {
      channel.write([Bytes(String(bytes.count, radix: 16) + "\r\n"), bytes, "\r\n"])
    } else {
      channel.write(bytes)
    }
  }

  func endBody() {
    if isChunked { channel.write("0\r\n\r\n") }
    requestSent()
  }

  private func requestSent() {
    bodySent = true
    if response == nil, let timeout = call?.request.headTimeout { watchdog?.set(after: timeout) }
  }

  func becomeIdle(_ timeout: Duration) {
    channel.resumeReading()
    watchdog?.set(after: timeout)
  }

  func giveUp() {
    call = nil
    channel.abort()
  }

  private func deadlinePassed() {
    guard let call else {
      channel.closeAfterFlush()
      return
    }
    let what = response == nil ? "awaiting response headers" : "reading response body"
    self.call = nil
    call.fail(.timedOut("\(call.request.method) \(call.request.target): \(what)"))
    channel.abort()
  }

  // MARK: channel events

  func channelRead(_ bytes: Bytes) {
    guard call != nil else {
      // Bytes nobody asked for.
      channel.abort()
      return
    }
    sawInput = true
    var input = bytes
    do throws(HTTPParseError) {
      while call != nil, try step(&input) {}
      if call == nil && !input.isEmpty { channel.abort() }
    } catch {
      let failed = call
      call = nil
      failed?.fail(.malformed(error.reason))
      channel.abort()
    }
  }

  private func step(_ input: inout Bytes) throws(HTTPParseError) -> Bool {
    guard body != nil else {
      guard !input.isEmpty, let bytes = try head.take(&input) else { return false }
      try begin(try HeadParser.response(bytes, HTTPHeadLimits()))
      return true
    }
    guard let event = try body!.next(&input) else { return false }
    switch event {
    case .data(let data):
      if let timeout = call?.request.idleTimeout { watchdog?.set(after: timeout) }
      call?.handler?.responseData(data)
      if body?.isEnded == true { finish() }
    case .end: finish()
    }
    return true
  }

  private func begin(_ response: HTTPResponseHead) throws(HTTPParseError) {
    // Interim responses such as 100 are skipped; 101 was never asked for.
    guard response.status >= 200 else {
      guard response.status != 101 else { throw HTTPParseError(502, "unexpected 101") }
      return
    }
    let decoder = try HTTPBodyDecoder(response: response, method: call?.request.method ?? "")
    self.response = response
    keepAlive =
      !decoder.isUntilClose && !response.headers.hasToken("connection", "close")
      && (response.minorVersion >= 1 || response.headers.hasToken("connection", "keep-alive"))
    body = decoder
    watchdog?.clear()
    if let timeout = call?.request.idleTimeout { watchdog?.set(after: timeout) }
    call?.handler?.responseHead(response)
    if body?.isEnded == true { finish() }
  }

  private func finish() {
    guard let call else { return }
    self.call = nil
    body = nil
    call.connection = nil
    watchdog?.clear()
    owner.finished(self, reusable: keepAlive && bodySent)
    call.succeed()
  }

  func channelReadEnded() {
    if call != nil, body?.isUntilClose == true {
      finish()
    } else {
      channel.abort()
    }
  }

  /// Whether a request may be sent twice: its body is at hand and doing it twice does no harm.
  private func canRepeat(_ request: HTTPClientRequest) -> Bool {
    if case .stream = request.body { return false }
    return ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].contains(request.method)
  }

  func channelWritable() { call?.handler?.requestWritable() }

  func channelClosed(_ error: ChannelError?) {
    watchdog?.cancel()
    watchdog = nil
    owner.lost(self)
    guard let call else { return }
    self.call = nil
    call.connection = nil
    if isReused && !sawInput && !call.isDone && canRepeat(call.request) {
      owner.retry(call)
      return
    }
    call.fail(.disconnected(error == .aborted ? nil : error))
  }
}
