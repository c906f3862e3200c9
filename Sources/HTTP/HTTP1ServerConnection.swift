import Bytes
import EventLoops

/// The server side of one HTTP/1 connection: requests one after another, pipelined ones wait.
///
/// What waits is bounded: while answers wait in the socket's buffer no request is begun and nothing is read.
/// Which part of which message is due is `HTTP1Life`'s matter. Confined to its channel's loop.
public final class HTTP1ServerConnection: ByteChannelHandler, NextTurnHandler, @unchecked Sendable {
  // @unchecked: confined to its channel's loop, which the channel asserts.
  let channel: any ByteChannel
  private let limits: HTTPServerLimits
  private let handler: (HTTPExchange) -> Void
  private var life: HTTP1Life
  private var head: HeadAccumulator
  private var body: HTTPBodyDecoder?
  private var exchange: HTTPExchange?
  private var input: [Bytes] = []
  /// Requests begun of one run of input.
  private var begun = 0
  /// Guards against being called from what it calls.
  private var isProcessing = false
  private var isContinued = false
  private var date = HTTPDate()
  private var watchdog: Watchdog?
  /// Called once when the channel has gone.
  var onClosed: (() -> Void)?

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
    life = HTTP1Life(discardedBytesMax: limits.discardedBodyBytesMax)
    head = HeadAccumulator(limits.head)
    channel.handler = self
    watchdog = Watchdog(loop: channel.loop) { [unowned self] in self.deadlinePassed() }
    watchdog?.set(after: limits.headTimeout)
    if !initial.isEmpty { channelRead(initial) }
  }

  /// Closes when idle, else after the current response. For a graceful stop (`HTTPConnections`).
  func drain() {
    if life.drain(isIdle: head.isEmpty && input.isEmpty) { shutDown() }
  }

  // MARK: channel events

  public func channelRead(_ bytes: Bytes) {
    input.append(bytes)
    process()
  }

  public func channelReadEnded() {
    process()
    switch life.endInput(hasInput: !input.isEmpty) {
    case .goOn: break
    case .close: shutDown()
    case .tell: exchange?.disconnected()
    case .cutBody:
      let cut = exchange
      failBody(.disconnected)
      cut?.disconnected()
    }
  }

  public func channelWritable() {
    exchange?.onWritable?()
    process()
  }

  public func nextTurn() {
    isContinued = false
    begun = 0
    process()
  }

  public func channelClosed(_ error: ChannelError?) {
    watchdog?.cancel()
    watchdog = nil
    input.removeAll()
    life.closed()
    let closed = onClosed
    onClosed = nil
    defer { closed?() }
    guard let exchange else { return }
    self.exchange = nil
    let consumer = exchange.consumer
    exchange.consumer = nil
    if body != nil { consumer?.bodyFailed(.disconnected) }
    body = nil
    exchange.connection = nil
    exchange.disconnected()
    exchange.onWritable = nil
  }

  private func deadlinePassed() {
    switch life.deadlinePassed(isIdle: head.isEmpty) {
    case .nothing: break
    case .close: shutDown()
    case .refuse: refuse(HTTPParseError(408, "request header timeout"))
    case .failBody: failBody(.timedOut)
    case .abort: channel.abort()
    }
  }

  // MARK: input

  /// Works on the input until it is used up or something has to happen first.
  private func process() {
    guard !isProcessing else { return }
    isProcessing = true
    do throws(HTTPParseError) {
      while try step() {}
    } catch {
      if life.malformed() { failBody(.malformed(error.reason)) } else { refuse(error) }
    }
    isProcessing = false
    if input.isEmpty { begun = 0 }
    if life.isExhausted(hasInput: !input.isEmpty) { shutDown() }
    updateReading()
  }

  /// Back-pressure: nothing more is read while earlier input waits, or answers do.
  private func updateReading() {
    let isFull = life.want == .head && !channel.isWritable
    if input.isEmpty && !isFull && !life.isBodyPaused {
      channel.resumeReading()
    } else {
      channel.pauseReading()
    }
  }

  /// One piece of input; `false` when nothing can be done now.
  private func step() throws(HTTPParseError) -> Bool {
    guard !channel.isClosed, !input.isEmpty else { return false }
    switch life.want {
    case .nothing: return false
    case .body: try stepBody()
    case .head:
      guard channel.isWritable, mayBegin() else { return false }
      try stepHead()
    }
    return true
  }

  /// Whether another request may be begun in this turn; if not, the next turn goes on.
  private func mayBegin() -> Bool {
    if isContinued { return false }
    guard begun >= limits.requestsPerTurn else { return true }
    isContinued = true
    channel.loop.atNextTurn(self)
    return false
  }

  private func stepHead() throws(HTTPParseError) {
    if head.isEmpty { watchdog?.set(after: limits.headTimeout) }
    guard let bytes = try head.take(&input[0]) else {
      input.removeFirst()
      return
    }
    if input[0].isEmpty { input.removeFirst() }
    begun += 1
    try begin(try HeadParser.request(bytes, limits.head))
  }

  private func begin(_ request: HTTPRequestHead) throws(HTTPParseError) {
    let decoder = try HTTPBodyDecoder(request: request)
    var owesContinue = false
    if let expected = request.headers["expect"] {
      guard HTTPHeaders.same(expected, "100-continue") else {
        throw HTTPParseError(417, "unknown expectation")
      }
      owesContinue = request.minorVersion >= 1 && !decoder.isEnded
    }
    life.began(
      hasBody: !decoder.isEnded, owesContinue: owesContinue, keepsAlive: request.wantsKeepAlive)
    body = decoder.isEnded ? nil : decoder
    watchdog?.clear()
    let exchange = HTTPExchange(self, request)
    self.exchange = exchange
    handler(exchange)
  }

  private func stepBody() throws(HTTPParseError) {
    guard let event = try body?.next(&input[0]) else {
      input.removeFirst()
      return
    }
    if input[0].isEmpty { input.removeFirst() }
    if case .data(let bytes) = event { deliver(bytes) }
    if event == .end || body?.isEnded == true { endBody() }
  }

  private func deliver(_ bytes: Bytes) {
    armForBody()
    switch life.bodyPiece(bytes.count) {
    case .deliver: exchange?.consumer?.bodyData(bytes)
    case .skip: break
    case .giveUp: proceed(.close)
    }
  }

  private func endBody() {
    body = nil
    watchdog?.clear()
    let consumer = exchange?.consumer
    exchange?.consumer = nil
    let next = life.bodyRead()
    consumer?.bodyEnded()
    proceed(next)
  }

  /// The handler wants the body.
  func startBody() {
    switch life.bodyWanted() {
    case .isOver:
      let consumer = exchange?.consumer
      exchange?.consumer = nil
      consumer?.bodyEnded()
    case .isLost:
      let consumer = exchange?.consumer
      exchange?.consumer = nil
      consumer?.bodyFailed(.disconnected)
    case .read(let sendContinue):
      if sendContinue { channel.write("HTTP/1.1 100 Continue\r\n\r\n") }
      armForBody()
      process()
    }
  }

  /// The rest of a body has its time, unless it may be silent.
  private func armForBody() {
    if exchange?.mayBeSilent == true {
      watchdog?.clear()
    } else {
      watchdog?.set(after: limits.bodyTimeout)
    }
  }

  /// The body may be silent from now on.
  func bodyMayBeSilent() { if life.want == .body { watchdog?.clear() } }

  /// Answers 101; the connection belongs to the exchange from here on.
  func upgrade(_ exchange: HTTPExchange, _ headers: HTTPHeaders) {
    life.upgraded()
    body = .raw
    channel.write(
      encode(HTTPResponseHead(status: 101, headers: headers), length: nil, chunked: false))
    process()
  }

  func setBodyPaused(_ paused: Bool) {
    guard life.bodyPaused(paused) else { return }
    if paused { watchdog?.clear() } else { armForBody() }
    process()
    if paused { channel.pauseReading() }
  }

  /// The body will not come whole: its reader is told.
  private func failBody(_ error: HTTPBodyError) {
    body = nil
    let consumer = exchange?.consumer
    exchange?.consumer = nil
    let next = life.bodyFailed()
    consumer?.bodyFailed(error)
    proceed(next)
  }

  /// Answers input that is no request and closes.
  private func refuse(_ error: HTTPParseError) {
    let text = "\(error.status) \(HTTPResponseHead.reason(error.status)): \(error.reason)"
    let head = HTTPResponseHead(
      status: error.status, headers: ["Content-Type": "text/plain; charset=utf-8"])
    life.close()
    channel.write([encode(head, length: text.utf8.count, chunked: false), Bytes(text)])
    shutDown()
  }

  // MARK: output

  func respond(_ exchange: HTTPExchange, _ head: HTTPResponseHead, _ content: Bytes) {
    let length = head.isBodyless ? nil : content.count
    let hasBody = length != nil && exchange.request.method != "HEAD"
    life.answerBegan(endsByClosing: false)
    let encoded = encode(head, length: length, chunked: false)
    if hasBody { channel.write([encoded, content]) } else { channel.write(encoded) }
    responseFinished()
  }

  /// Returns whether the body is chunked.
  func startResponse(_ exchange: HTTPExchange, _ head: HTTPResponseHead) -> Bool {
    let counted = head.headers["content-length"] != nil || head.isBodyless
    let chunked = !counted && exchange.request.minorVersion >= 1
    life.answerBegan(endsByClosing: !counted && !chunked)
    channel.write(encode(head, length: nil, chunked: chunked))
    return chunked
  }

  func responseFinished() {
    guard let exchange else { return }
    let wantsRest = exchange.consumer?.wantsRest ?? false
    let next = life.answered(wantsRest: wantsRest)
    if case .skipBody = next { exchange.consumer = nil }
    proceed(next)
  }

  private func proceed(_ next: HTTP1Life.Next) {
    switch next {
    case .wait: break
    case .skipBody:
      watchdog?.set(after: limits.bodyTimeout)
      process()
    case .head:
      endExchange()
      watchdog?.set(after: limits.idleTimeout)
      process()
    case .close: shutDown()
    }
  }

  private func endExchange() {
    body = nil
    exchange?.connection = nil
    exchange?.onWritable = nil
    exchange?.onDisconnect = nil
    exchange?.consumer = nil
    exchange = nil
  }

  /// Nothing more is said or heard.
  private func shutDown() {
    life.close()
    endExchange()
    input.removeAll()
    watchdog?.cancel()
    channel.closeAfterFlush()
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
    if head.status == 101 {
      out.append("Connection: Upgrade\r\n")
    } else if life.isLast {
      out.append("Connection: close\r\n")
    } else if exchange?.request.minorVersion == 0 {
      out.append("Connection: keep-alive\r\n")
    }
    out.append("\r\n")
    return out.finish()
  }
}
