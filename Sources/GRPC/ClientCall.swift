import Bytes
import CNghttp2
import Calls
import EventLoops
import Protobuf

/// What a server said besides messages.
public struct GRPCReplyInfo: Sendable {
  public var metadata = Metadata()
  public var trailers = Metadata()
}

/// One call of a client, unary or streaming. Confined to the connection's loop.
final class ClientCall: HTTP2Stream, @unchecked Sendable {
  // @unchecked: confined to `loop`.
  let loop: EventLoop
  let reader: MessageReader
  var info = GRPCReplyInfo()
  /// Set once; `ok` or why the call failed.
  private(set) var status: GRPCStatus?
  /// Called once with the status.
  var onEnd: ((GRPCStatus) -> Void)?
  /// Gets messages instead of the reader; for unary calls.
  var onMessage: ((Bytes) -> Void)?
  private var deframer: MessageDeframer
  private let room: SendGate
  private var timer: LoopTimer?
  private var httpStatus: Int?
  private var isGRPCReply = false
  private var encodingError: GRPCStatus?
  private var grpcCode: Int?
  private var grpcMessage = Bytes()
  private var grpcDetails: Bytes?
  private var headDone = false
  private let receivedMessageBytesMax: Int

  init(loop: EventLoop, receivedMessageBytesMax: Int) {
    self.loop = loop
    self.receivedMessageBytesMax = receivedMessageBytesMax
    reader = MessageReader(loop: loop)
    room = SendGate(loop: loop)
    deframer = MessageDeframer(limit: receivedMessageBytesMax)
    super.init()
    reader.source = self
  }

  func setDeadline(_ timeout: Duration) {
    timer = loop.schedule(after: timeout) { [weak self] in
      self?.fail(.deadlineExceeded, NGHTTP2_CANCEL)
    }
  }

  // MARK: input

  override func header(_ name: OpaquePointer, _ value: OpaquePointer) -> Int? {
    let key = Bytes(copying: UnsafeRawBufferPointer(bytes(of: name)))
    let content = Bytes(copying: UnsafeRawBufferPointer(bytes(of: value)))
    switch key {
    case ":status": httpStatus = Int(content.string)
    case "content-type": isGRPCReply = ServerCall.isGRPC(content)
    case "grpc-encoding":
      if content == "gzip" {
        deframer.coding = .gzip
      } else if content != "identity" {
        encodingError = GRPCStatus(
          .internal,
          "grpc: Decompressor is not installed for grpc-encoding \"\(content.string)\"")
      }
    case "grpc-status": grpcCode = Int(content.string)
    case "grpc-message": grpcMessage = content
    case "grpc-status-details-bin": grpcDetails = Metadata.decodeBinary(content)
    default:
      var decoded: Bytes? = content
      if Metadata.isBinary(key) { decoded = Metadata.decodeBinary(content) }
      guard let decoded else { break }
      let field = Metadata.Field(name: key, value: decoded)
      if headDone { info.trailers.append(field) } else { info.metadata.append(field) }
    }
    return headerSize(name, value)
  }

  override func headersEnded() {
    // Interim responses are skipped.
    if let httpStatus, httpStatus < 200, !headDone { return }
    if !headDone && remoteEnded {
      // Trailers-only: what was read is the trailers.
      info.trailers = info.metadata
      info.metadata = Metadata()
    }
    headDone = true
    if let encodingError { fail(encodingError, NGHTTP2_CANCEL) }
  }

  override func data(_ bytes: Bytes) {
    guard status == nil, isGRPCReply, httpStatus == 200 else {
      consumed(bytes.count)
      return
    }
    credit.add(bytes.count)
    deframer.feed(bytes)
    do throws(GRPCStatus) {
      while let piece = try deframer.next() {
        let message =
          piece.isCompressed
          ? try Gzip.decompress(piece.bytes, limit: receivedMessageBytesMax) : piece.bytes
        let owed = credit.finishMessage(piece.wireBytes, readLater: onMessage == nil)
        if let onMessage {
          onMessage(message)
        } else {
          reader.deliver(message, wireBytes: owed)
        }
      }
      let now = credit.settle()
      if now > 0 { consumed(now) }
    } catch {
      fail(error, NGHTTP2_CANCEL)
    }
  }

  override func inputEnded() {
    guard status == nil else { return }
    guard let grpcCode else {
      let code = GRPCCode(httpStatus: httpStatus ?? 0)
      finish(
        httpStatus == 200 && isGRPCReply
          ? GRPCStatus(.internal, "server closed the stream without sending trailers")
          : GRPCStatus(
            code, "unexpected HTTP status code received from server: \(httpStatus ?? 0)"))
      return
    }
    let code = GRPCCode(rawValue: grpcCode) ?? .unknown
    if code == .ok && !deframer.isAtBoundary {
      finish(GRPCStatus(.internal, "unexpected EOF"))
    } else {
      finish(GRPCStatus(code, PercentCoding.decode(grpcMessage), details: grpcDetails))
    }
  }

  override func closed(_ errorCode: UInt32) {
    guard status == nil else { return }
    let connection = lostReason
    switch nghttp2_error_code(errorCode) {
    case NGHTTP2_REFUSED_STREAM:
      finish(.unprocessed)
    case NGHTTP2_CANCEL where connection == nil:
      finish(GRPCStatus(.cancelled, "stream terminated by RST_STREAM with error code: CANCEL"))
    case NGHTTP2_ENHANCE_YOUR_CALM:
      finish(GRPCStatus(.resourceExhausted, "stream terminated by RST_STREAM"))
    default:
      finish(
        connection
          ?? GRPCStatus(
            .internal, "stream terminated by RST_STREAM with error code: \(errorCode)"))
    }
  }

  /// Why the whole connection went, when it did.
  var lostReason: GRPCStatus?

  override func outboundProgressed() {
    if !room.isEmpty && outbound.queuedBytes < SendGate.highBytes / 4 { room.open() }
  }

  // MARK: the caller's side

  func send(_ message: Bytes) async throws {
    guard status == nil, !outboundEnded else { throw status ?? .cancelled }
    enqueue(.bytes(message))
    guard outbound.queuedBytes > SendGate.highBytes else { return }
    try await room.wait { [self] in outbound.queuedBytes > SendGate.highBytes && !isClosed }
  }

  func endInput() {
    guard status == nil, !outboundEnded else { return }
    outboundEnded = true
    resume()
  }

  /// Gives the call up, telling the server.
  func fail(_ status: GRPCStatus, _ code: nghttp2_error_code) {
    guard self.status == nil else { return }
    finish(status)
    reset(UInt32(code.rawValue))
  }

  private func finish(_ status: GRPCStatus) {
    guard self.status == nil else { return }
    self.status = status
    timer?.cancel()
    timer = nil
    if status.code == .ok { reader.finish() } else { reader.fail(status) }
    room.open(status)
    onMessage = nil
    let callback = onEnd
    onEnd = nil
    callback?(status)
  }
}
