import Bytes
import Runtime

/// Limits and deadlines of a server connection.
public struct HTTPServerLimits: Sendable {
  public var head = HTTPHeadLimits()
  /// From the first moment a request may arrive (connection) or its first byte (kept alive) to the
  /// end of its head.
  public var headTimeout: Duration = .seconds(10)
  /// Between requests of a kept-alive connection.
  public var idleTimeout: Duration = .seconds(180)
  /// Longest silence inside a request body that is being read.
  public var bodyTimeout: Duration = .seconds(60)
  /// Bytes of an unread body that are skipped to keep the connection; beyond, it is closed.
  public var discardedBodyBytesMax = 262_144
  public init() {}
}

/// The server side of one HTTP/1 connection: requests one after another, pipelined ones wait.
///
/// Confined to its channel's loop.
public final class HTTP1ServerConnection: ByteChannelHandler {
  let channel: any ByteChannel
  private let limits: HTTPServerLimits
  private let handler: (HTTPExchange) -> Void
  private var head: HeadAccumulator
  private var body: HTTPBodyDecoder?
  private var exchange: HTTPExchange?
  private var input: [Bytes] = []
  private var keepAlive = true
  private var owesContinue = false
  private var bodyPaused = false
  private var discarded = 0
  private var readEnded = false
  private var processing = false
  private var draining = false
  private var date = HTTPDate()
  private var watchdog: Watchdog?

  /// Takes over a channel that is already started or about to be.
  /// - Parameters:
  ///   - initial: bytes read before, such as by protocol detection.
  ///   - handler: called on the loop with each request.
  public init(
    channel: any ByteChannel, limits: HTTPServerLimits = .init(), initial: Bytes = Bytes(),
    handler: @escaping (HTTPExchange) -> Void
  ) {
    self.channel = channel
    self.limits = limits
    self.handler = handler
    head = HeadAccumulator(limits.head)
    channel.handler = self
    watchdog = Watchdog(loop: channel.loop) { [unowned self] in self.deadlinePassed() }
    watchdog?.set(after: limits.headTimeout)
    if !initial.isEmpty { channelRead(initial) }
  }

  /// Closes when idle, else after the current response. For a graceful stop.
  public func drain() {
    draining = true
    keepAlive = false
    if exchange == nil && head.isEmpty { channel.closeAfterFlush() }
  }

  // MARK: channel events

  public func channelRead(_ bytes: Bytes) {
    input.append(bytes)
    process()
  }

  public func channelReadEnded() {
    readEnded = true
    process()
    guard readEnded, let exchange else {
      channel.closeAfterFlush()
      return
    }
    if body != nil { failBody(.disconnected) }
    exchange.disconnected()
  }

  public func channelWritable() {
    exchange?.onWritable?()
  }

  public func channelClosed(_ error: ChannelError?) {
    watchdog?.cancel()
    watchdog = nil
    guard let exchange else { return }
    self.exchange = nil
    if body != nil { failBody(.disconnected, of: exchange) }
    exchange.connection = nil
    exchange.disconnected()
    exchange.onWritable = nil
  }

  private func deadlinePassed() {
    if let exchange {
      guard body != nil else { return }
      keepAlive = false
      failBody(.timedOut)
      if case .none = exchange.response {} else { channel.abort() }
    } else if head.isEmpty {
      channel.closeAfterFlush()
    } else {
      refuse(HTTPParseError(408, "request header timeout"))
    }
  }

  // MARK: input

  /// Works on the input until it is used up or something has to happen first.
  private func process() {
    guard !processing else { return }
    processing = true
    defer { processing = false }
    do throws(HTTPParseError) {
      while !channel.isClosed, try step() {}
    } catch {
      if body != nil, let exchange {
        keepAlive = false
        failBody(.malformed(error.reason))
        if case .finished = exchange.response { channel.closeAfterFlush() }
      } else {
        refuse(error)
      }
    }
    // Back-pressure: nothing more is read while earlier input waits.
    if input.isEmpty && !bodyPaused { channel.resumeReading() } else { channel.pauseReading() }
  }

  /// One piece of input; `false` when nothing can be done now.
  private func step() throws(HTTPParseError) -> Bool {
    if body != nil { return try stepBody() }
    guard exchange == nil, !input.isEmpty, keepAlive else { return false }
    if head.isEmpty { watchdog?.set(after: limits.headTimeout) }
    guard let bytes = try head.take(&input[0]) else {
      input.removeFirst()
      return true
    }
    if input[0].isEmpty { input.removeFirst() }
    try begin(try HeadParser.request(bytes, limits.head))
    return true
  }

  private func begin(_ request: HTTPRequestHead) throws(HTTPParseError) {
    let decoder = try HTTPBodyDecoder(request: request)
    if let expected = request.headers["expect"] {
      guard HTTPHeaders.same(expected, "100-continue") else {
        throw HTTPParseError(417, "unknown expectation")
      }
      owesContinue = request.minorVersion >= 1 && !decoder.isEnded
    }
    keepAlive = keepAlive && !draining && request.wantsKeepAlive
    body = decoder.isEnded ? nil : decoder
    discarded = 0
    watchdog?.clear()
    let exchange = HTTPExchange(self, request)
    self.exchange = exchange
    handler(exchange)
  }

  private func stepBody() throws(HTTPParseError) -> Bool {
    guard let exchange, !bodyPaused, !input.isEmpty else { return false }
    let isDiscarding = exchange.consumer == nil
    if isDiscarding, case .none = exchange.response { return false }
    owesContinue = false
    guard let event = try body!.next(&input[0]) else {
      input.removeFirst()
      return true
    }
    if input[0].isEmpty { input.removeFirst() }
    deliver(event, exchange)
    if body?.isEnded == true { deliver(.end, exchange) }
    return true
  }

  private func deliver(_ event: HTTPBodyDecoder.Event, _ exchange: HTTPExchange) {
    switch event {
    case .data(let bytes):
      watchdog?.set(after: limits.bodyTimeout)
      if let consumer = exchange.consumer {
        consumer.bodyData(bytes)
      } else {
        discarded += bytes.count
        if discarded > limits.discardedBodyBytesMax { endUnread() }
      }
    case .end:
      body = nil
      watchdog?.clear()
      let consumer = exchange.consumer
      exchange.consumer = nil
      consumer?.bodyEnded()
      if case .finished = exchange.response { next() }
    }
  }

  func startBody() {
    guard body != nil else {
      let consumer = exchange?.consumer
      exchange?.consumer = nil
      consumer?.bodyEnded()
      return
    }
    if owesContinue {
      owesContinue = false
      channel.write("HTTP/1.1 100 Continue\r\n\r\n")
    }
    watchdog?.set(after: limits.bodyTimeout)
    process()
  }

  func setBodyPaused(_ paused: Bool) {
    guard bodyPaused != paused else { return }
    bodyPaused = paused
    if paused { watchdog?.clear() } else if body != nil { watchdog?.set(after: limits.bodyTimeout) }
    process()
    if paused { channel.pauseReading() }
  }

  private func failBody(_ error: HTTPBodyError, of given: HTTPExchange? = nil) {
    body = nil
    bodyPaused = false
    let failed = given ?? exchange
    let consumer = failed?.consumer
    failed?.consumer = nil
    consumer?.bodyFailed(error)
  }

  /// Answers input that is no request and closes.
  private func refuse(_ error: HTTPParseError) {
    keepAlive = false
    input.removeAll()
    let text = "\(error.status) \(HTTPResponseHead.reason(error.status)): \(error.reason)"
    let head = HTTPResponseHead(
      status: error.status, headers: ["Content-Type": "text/plain; charset=utf-8"])
    channel.write([encode(head, length: text.utf8.count, chunked: false), Bytes(text)])
    channel.closeAfterFlush()
  }

  // MARK: output

  func respond(_ exchange: HTTPExchange, _ head: HTTPResponseHead, _ content: Bytes) {
    let length = head.isBodyless ? nil : content.count
    let hasBody = length != nil && exchange.request.method != "HEAD"
    noteUnsentBody()
    let encoded = encode(head, length: length, chunked: false)
    if hasBody { channel.write([encoded, content]) } else { channel.write(encoded) }
    responseFinished()
  }

  /// Returns whether the body is chunked.
  func startResponse(_ exchange: HTTPExchange, _ head: HTTPResponseHead) -> Bool {
    let counted = head.headers["content-length"] != nil || head.isBodyless
    let chunked = !counted && exchange.request.minorVersion >= 1
    if !counted && !chunked { keepAlive = false }
    noteUnsentBody()
    channel.write(encode(head, length: nil, chunked: chunked))
    return chunked
  }

  /// A client that still waits for 100 was refused: it may or may not send its body, so the
  /// connection cannot be used again.
  private func noteUnsentBody() {
    if owesContinue { keepAlive = false }
  }

  func responseFinished() {
    guard exchange != nil else { return }
    guard body == nil else {
      // The rest of the body is skipped, or the connection given up.
      if exchange?.consumer == nil {
        if keepAlive && !readEnded {
          watchdog?.set(after: limits.bodyTimeout)
          process()
        } else {
          endUnread()
        }
      }
      return
    }
    next()
  }

  private func endUnread() {
    body = nil
    keepAlive = false
    next()
  }

  /// The response has been written and the request read.
  private func next() {
    exchange?.connection = nil
    exchange?.onWritable = nil
    exchange?.onDisconnect = nil
    exchange = nil
    guard keepAlive, !readEnded || !input.isEmpty else {
      input.removeAll()
      watchdog?.cancel()
      channel.closeAfterFlush()
      return
    }
    watchdog?.set(after: limits.idleTimeout)
    process()
  }

  private func encode(_ head: HTTPResponseHead, length: Int?, chunked: Bool) -> Bytes {
    var out = ByteWriter(capacity: 512)
    let reason = HTTPResponseHead.reason(head.status)
    out.append("HTTP/1.1 \(head.status) \(reason)\r\n")
    for field in head.headers.fields {
      HTTPFieldWriter.append(field.name, field.value, &out)
    }
    if head.headers["date"] == nil { HTTPFieldWriter.append("Date", date.current(), &out) }
    if let length, head.headers["content-length"] == nil {
      out.append("Content-Length: \(length)\r\n")
    }
    if chunked { out.append("Transfer-Encoding: chunked\r\n") }
    if !keepAlive {
      out.append("Connection: close\r\n")
    } else if exchange?.request.minorVersion == 0 {
      out.append("Connection: keep-alive\r\n")
    }
    out.append("\r\n")
    return out.finish()
  }
}

/// Writes header fields so that a value can never start a new line.
enum HTTPFieldWriter {
  static func append(_ name: String, _ value: String, _ out: inout ByteWriter) {
    for byte in name.utf8 where HeadParser.isToken(byte) { out.append(byte) }
    out.append(": ")
    for byte in value.utf8 { out.append(byte == 0x0d || byte == 0x0a || byte == 0 ? 0x20 : byte) }
    out.append("\r\n")
  }
}
