import Bytes
import CNghttp2
import Runtime

/// One call on a server connection: the request's head, its messages, and the answer.
///
/// Confined to the connection's loop.
final class ServerCall: HTTP2Stream {
  enum State {
    /// The head is not complete.
    case head
    /// Refused or unknown; input is thrown away.
    case refused
    /// A unary call before its request is complete.
    case collecting(GRPCRouter.UnaryHandler, Bytes?)
    /// The handler has the request.
    case running
    /// The handler is a task that reads with `ServerStream`.
    case streaming
    /// Status decided.
    case finished
  }

  let server: GRPCServer
  let loop: EventLoop
  let remoteAddress: SocketAddress?
  var state = State.head
  var route: GRPCRouter.Route?
  var requestMetadata = Metadata()
  var deframer: MessageDeframer
  var deadline: UInt64?
  /// Initial metadata to be sent with the first message or the status.
  var replyMetadata = Metadata()
  var headSent = false
  var replyGzip = false
  /// Called once when the call ends before the handler has answered it.
  var onCancel: (() -> Void)?
  var stream: ServerStream?
  private var head = RequestHead()
  private let memo: HeaderMemo
  private var timer: LoopTimer?
  private var startedAt: UInt64 = 0

  /// What the head said, until it is judged.
  private struct RequestHead {
    var path = Bytes()
    var isPost = false
    var contentType = Bytes()
    var encoding: Bytes?
    var timeout: UInt64?
    var badTimeout = false
    /// Fields of metadata so far, while they are the first ones of the request before.
    var sharedFields: Int? = 0
  }

  init(server: GRPCServer, connection: GRPCServerConnection) {
    self.server = server
    loop = connection.loop
    remoteAddress = connection.remoteAddress
    memo = connection.memo
    deframer = MessageDeframer(limit: server.configuration.receivedMessageBytesMax)
  }

  var isFinished: Bool { if case .finished = state { true } else { false } }

  // MARK: head

  override func header(_ name: OpaquePointer, _ value: OpaquePointer) -> Int? {
    guard case .head = state else { return headerSize(name, value) }
    guard let known = memo.find(name, value) else {
      return decode(name, value) ? headerSize(name, value) : nil
    }
    switch known.pointee.meaning {
    case .post: head.isPost = true
    case .grpcContent: head.contentType = Self.contentType
    case .ignored: break
    case .metadata(let field): add(field)
    }
    return known.pointee.size
  }

  /// Adds metadata. As long as it is what the request before brought, nothing is built.
  private func add(_ field: Metadata.Field) {
    if let shared = head.sharedFields {
      let last = memo.lastMetadata.fields
      if shared < last.count, last[shared].isIdentical(to: field) {
        head.sharedFields = shared + 1
        return
      }
      shareMetadata(shared)
      head.sharedFields = nil
    }
    requestMetadata.append(field)
  }

  /// Takes the first fields of the request before.
  private func shareMetadata(_ count: Int) {
    requestMetadata = memo.lastMetadata
    if count < requestMetadata.fields.count { requestMetadata.keepFirst(count) }
  }

  /// A field that is not remembered by address.
  private func decode(_ name: OpaquePointer, _ value: OpaquePointer) -> Bool {
    let nameBytes = bytes(of: name)
    let kind = ReservedHeader(nameBytes)
    if kind == .path {
      // Some clients never index it, so its address says nothing.
      route = memo.route(bytes(of: value), server.router)
      if route == nil { head.path = Bytes(copying: UnsafeRawBufferPointer(bytes(of: value))) }
      return true
    }
    if kind == .unindexed { return true }
    let content = Bytes(copying: UnsafeRawBufferPointer(bytes(of: value)))
    switch kind {
    case .path, .unindexed: break
    case .method:
      head.isPost = content == "POST"
      if head.isPost { memo.remember(name, value, .post) }
    case .contentType:
      head.contentType = content
      if content == Self.contentType { memo.remember(name, value, .grpcContent) }
    case .encoding: head.encoding = content
    case .timeout:
      head.timeout = TimeoutCoding.decode(bytes(of: value))
      head.badTimeout = head.timeout == nil
    case .ignored: memo.remember(name, value, .ignored)
    case .metadata:
      let key = Bytes(copying: UnsafeRawBufferPointer(nameBytes))
      guard let plain = Metadata.isBinary(key) ? Base64.decode(content) : content else {
        return false
      }
      let field = Metadata.Field(name: key, value: plain)
      memo.remember(name, value, .metadata(field))
      add(field)
    }
    return true
  }

  private static let contentType: Bytes = "application/grpc"

  override func headersEnded() {
    guard case .head = state else { return }
    if let shared = head.sharedFields {
      shareMetadata(shared)
    } else {
      memo.lastMetadata = requestMetadata
    }
    startedAt = loop.now
    guard head.isPost else {
      refuse(405, GRPCStatus(.internal, "received a :method that should be POST"))
      return
    }
    guard Self.isGRPC(head.contentType) else {
      let text = "invalid gRPC request content-type \"\(head.contentType.string)\""
      refuse(415, GRPCStatus(.invalidArgument, text))
      return
    }
    guard !head.badTimeout else {
      refuse(400, GRPCStatus(.internal, "malformed grpc-timeout"))
      return
    }
    if let encoding = head.encoding, encoding != "identity" {
      guard encoding == "gzip", server.configuration.acceptsGzip else {
        let text = "grpc: Decompressor is not installed for grpc-encoding \"\(encoding.string)\""
        refuse(200, GRPCStatus(.unimplemented, text))
        return
      }
      deframer.coding = .gzip
      replyGzip = true
    }
    guard let route else {
      refuse(200, server.router.missing(head.path.string))
      return
    }
    self.route = route
    route.counters?.started.add()
    if let timeout = head.timeout { deadline = loop.now &+ timeout }
    begin(route)
  }

  private func begin(_ route: GRPCRouter.Route) {
    switch route.handler {
    case .unary(let handler): state = .collecting(handler, nil)
    case .stream(let handler):
      state = .streaming
      let stream = ServerStream(self)
      self.stream = stream
      armDeadline()
      stream.start(handler)
    }
  }

  /// `application/grpc` alone or with a subtype or parameters.
  static func isGRPC(_ type: Bytes) -> Bool {
    let base = contentType
    if type == base { return true }
    guard type.count >= base.count else { return false }
    guard type.hasPrefix(base) || type[0..<base.count].string.lowercased() == base.string else {
      return false
    }
    return type.count == base.count || type[base.count] == 0x2b || type[base.count] == 0x3b
  }

  private func armDeadline() {
    guard let deadline, timer == nil else { return }
    let left = deadline > loop.now ? deadline - loop.now : 0
    timer = loop.schedule(after: .nanoseconds(Int64(clamping: left))) { [weak self] in
      self?.cancelled(.deadlineExceeded)
    }
  }

  // MARK: input

  override func data(_ bytes: Bytes) {
    switch state {
    case .collecting, .streaming: break
    default:
      consumed(bytes.count)
      return
    }
    deframer.feed(bytes)
    do throws(GRPCStatus) {
      while let (message, wireBytes) = try deframer.next() {
        try received(message, wireBytes)
      }
      // A message that is not complete must not wait for its own window.
      if case .collecting = state { consumed(bytes.count) } else { consumePartial(bytes.count) }
    } catch {
      cancelled(error)
    }
  }

  /// Bytes of complete messages are given back when they are read; those of a partial one at once,
  /// as its size is limited.
  private var unreadWireBytes = 0
  private func consumePartial(_ count: Int) {
    let complete = unreadWireBytes
    unreadWireBytes = 0
    if count > complete { consumed(count - complete) }
  }

  private func received(_ message: Bytes, _ wireBytes: Int) throws(GRPCStatus) {
    route?.counters?.received.add()
    switch state {
    case .collecting(let handler, nil): state = .collecting(handler, message)
    case .collecting:
      throw GRPCStatus(.internal, "grpc: unary call with more than one request message")
    case .streaming:
      unreadWireBytes += wireBytes
      stream?.reader.deliver(message, wireBytes: wireBytes)
    default: break
    }
  }

  override func inputEnded() {
    switch state {
    case .collecting(let handler, let message):
      guard let message, deframer.isAtBoundary else {
        cancelled(GRPCStatus(.internal, "unexpected EOF"))
        return
      }
      state = .running
      handler(UnaryCall(self), message)
      // Only a call that is still open needs a timer.
      if case .running = state { armDeadline() }
    case .streaming:
      if deframer.isAtBoundary {
        stream?.reader.finish()
      } else {
        cancelled(GRPCStatus(.internal, "unexpected EOF"))
      }
    default: break
    }
  }

  // MARK: answer

  /// Answers a unary call.
  func respond(_ body: MessageBody, trailers: Metadata) {
    guard !isFinished, !isClosed else { return }
    let limit = server.configuration.sentMessageBytesMax
    guard body.length <= limit else {
      let text = "grpc: trying to send message larger than max (\(body.length) vs. \(limit))"
      finish(GRPCStatus(.resourceExhausted, text), Metadata())
      return
    }
    route?.counters?.sent.add()
    append(body)
    finish(.ok, trailers)
  }

  /// Queues a message of a stream.
  func send(_ body: MessageBody) {
    guard !isFinished, !isClosed else { return }
    route?.counters?.sent.add()
    append(body)
    if hasProvider { resume() } else { sendHead() }
  }

  private func append(_ body: MessageBody) {
    guard replyGzip, let joined = Self.compressed(body) else {
      outbound.append(body)
      return
    }
    outbound.append(.bytes(joined), compressed: true)
  }

  /// A pulled message is too large to be worth holding; it goes out as it is.
  private static func compressed(_ body: MessageBody) -> Bytes? {
    switch body {
    case .bytes(let bytes): Gzip.compress([bytes])
    case .framed(let bytes): Gzip.compress([bytes[MessageBody.prefixBytes..<bytes.count]])
    case .chunks(let parts): Gzip.compress(parts)
    case .pull: nil
    }
  }

  /// Sends the reply's head and starts the flow of messages.
  func sendHead() {
    guard let connection, !headSent else { return }
    headSent = true
    var provider = makeProvider()
    if replyMetadata.isEmpty && !replyGzip {
      nghttp2_submit_response(connection.session, id, NV.replyHead, 2, &provider)
    } else {
      var block = HeaderBlock()
      block.add(":status", "200")
      block.add("content-type", "application/grpc")
      if replyGzip { block.add("grpc-encoding", "gzip") }
      block.add(replyMetadata)
      _ = block.withNV { nghttp2_submit_response(connection.session, id, $0, $1, &provider) }
    }
    connection.scheduleFlush()
  }

  /// Decides the status. Only the first call counts.
  func finish(_ status: GRPCStatus, _ trailers: Metadata) {
    guard !isFinished else { return }
    state = .finished
    onCancel = nil
    timer?.cancel()
    timer = nil
    count(status.code)
    guard !isClosed else { return }
    guard headSent || !outbound.isEmpty else {
      sendTrailersOnly(200, status, trailers)
      return
    }
    outboundEnded = true
    if status == .ok && trailers.isEmpty {
      self.trailers = .ok
    } else {
      var block = HeaderBlock()
      block.add(status)
      block.add(trailers)
      self.trailers = .block(block)
    }
    if headSent { resume() } else { sendHead() }
  }

  private func count(_ code: GRPCCode) {
    guard let counters = route?.counters else { return }
    counters.handled[code.rawValue].add()
    counters.seconds?.observe(Double(loop.now &- startedAt) / 1e9)
  }

  private func sendTrailersOnly(_ httpStatus: Int, _ status: GRPCStatus, _ trailers: Metadata) {
    guard let connection else { return }
    headSent = true
    var block = HeaderBlock()
    block.add(":status", Bytes(String(httpStatus)))
    block.add("content-type", "application/grpc")
    block.add(status)
    block.add(replyMetadata)
    block.add(trailers)
    _ = block.withNV { nghttp2_submit_response(connection.session, id, $0, $1, nil) }
    connection.scheduleFlush()
  }

  /// Answers a head that starts no call.
  private func refuse(_ httpStatus: Int, _ status: GRPCStatus) {
    state = .refused
    sendTrailersOnly(httpStatus, status, Metadata())
  }

  /// The call ends before its handler has answered.
  func cancelled(_ status: GRPCStatus) {
    guard !isFinished else { return }
    let callback = onCancel
    onCancel = nil
    // What was queued for a reader that has given up is of no use.
    finish(status, Metadata())
    stream?.cancel(status)
    callback?()
  }

  override func closed(_ errorCode: UInt32) {
    if case .head = state { return }
    if case .refused = state { return }
    if isFinished {
      stream?.cancel(.cancelled)
    } else {
      cancelled(.cancelled)
    }
    timer?.cancel()
  }

  override func outboundProgressed() { stream?.outboundProgressed() }
}
