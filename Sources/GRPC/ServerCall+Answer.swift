import Bytes
import CNghttp2
import Calls
import EventLoops
import Protobuf

/// The answer of a call.
extension ServerCall {
  /// Answers a unary call.
  func respond(_ body: MessageBody, trailers: Metadata) {
    guard !isFinished, !isClosed else { return }
    let limit = server.configuration.sentMessageBytesMax
    guard body.length <= limit else {
      let text = "grpc: trying to send message larger than max (\(body.length) vs. \(limit))"
      finish(GRPCStatus(.resourceExhausted, text), Metadata())
      return
    }
    count(body)
    responseBytes = body.length
    append(body)
    finish(.ok, trailers)
  }

  /// Queues a message of a stream.
  func send(_ body: MessageBody) {
    guard !isFinished, !isClosed else { return }
    count(body)
    append(body)
    if hasProvider { resume() } else { sendHead() }
  }

  private func count(_ body: MessageBody) {
    guard let counters = route?.counters else { return }
    counters.sent.add()
    counters.sentBytes.add(body.length)
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
    dropInput()
    onCancel = nil
    timer?.cancel()
    timer = nil
    count(status.code)
    tell(status)
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

  /// The handler of a stream has ended.
  func handlerEnded(_ status: GRPCStatus, _ trailers: Metadata) {
    finish(status, trailers)
    stream = nil
  }

  private func count(_ code: GRPCCode) {
    guard let counters = route?.counters else { return }
    counters.handled[code.rawValue].add()
    counters.seconds?.observe(Double(loop.now &- startedAt) / 1e9)
  }

  /// Tells of the call to those who want to hear: of each, or of a slow one.
  private func tell(_ status: GRPCStatus) {
    let spent = loop.now &- startedAt
    guard let route else { return }
    let isSlow = spent > server.slowCallNanoseconds && route.isUnary
    guard isSlow || server.tellsOfEveryCall else { return }
    let call = FinishedCall(
      path: route.path, isUnary: route.isUnary, metadata: metadata, remoteAddress: remoteAddress,
      status: status, time: .nanoseconds(Int64(clamping: spent)), requestBytes: requestBytes,
      responseBytes: responseBytes)
    if isSlow { server.configuration.slowCallObserver?(call) }
    server.configuration.endedCallObserver?(call)
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
  func refuse(_ httpStatus: Int, _ status: GRPCStatus) {
    state = .refused
    sendTrailersOnly(httpStatus, status, Metadata())
  }

  /// The call ends before its handler has answered.
  func cancelled(_ status: GRPCStatus) {
    guard !isFinished else { return }
    let callback = onCancel
    onCancel = nil
    // What is queued for a reader that has given up is not waited for.
    finish(status, Metadata())
    stream?.cancel(status)
    callback?()
  }
}
