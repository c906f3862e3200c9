import Bytes
import CNghttp2
import Calls

/// Size of a header field (RFC 9113 §6.5.2).
func headerSize(_ name: OpaquePointer, _ value: OpaquePointer) -> Int {
  nghttp2_rcbuf_get_buf(name).len + nghttp2_rcbuf_get_buf(value).len + 32
}

/// One HTTP/2 stream as this side sees it; the base of server and client calls.
///
/// Confined to its connection's loop. The connection owns it from creation to `closed`.
class HTTP2Stream: MessageSource {
  final var id: Int32 = 0
  /// Place in the connection's list.
  final var slot = -1
  /// `nil` once the stream is closed.
  final var connection: HTTP2Connection?
  final var outbound = OutboundQueue()
  /// No message follows what is queued.
  final var outboundEnded = false
  /// Sent after the last message instead of a bare END_STREAM.
  final var trailers: Trailers = .none
  final var remoteEnded = false
  final var headerBytes = 0
  /// The data provider has run dry and must be resumed.
  final var isDeferred = false
  /// Whether a data provider was submitted.
  final var hasProvider = false
  /// The window of what the peer sends.
  final var credit = WindowCredit()

  enum Trailers {
    /// END_STREAM on the last DATA frame.
    case none
    /// `grpc-status: 0` alone.
    case ok
    case block(HeaderBlock)
  }

  final var isClosed: Bool { connection == nil }

  // What the peer does.

  /// A field of the head or the trailers, as nghttp2's buffers.
  /// - Returns: its size as HTTP/2 counts it (`headerSize`); `nil` refuses the stream.
  func header(_ name: OpaquePointer, _ value: OpaquePointer) -> Int? { headerSize(name, value) }
  func headersEnded() {}
  func data(_ bytes: Bytes) {}
  func inputEnded() {}
  /// The stream is gone; `errorCode` is HTTP/2's.
  func closed(_ errorCode: UInt32) {}
  /// Some of the queue has left.
  func outboundProgressed() {}

  /// Queues a message and lets the connection send it.
  final func enqueue(_ body: MessageBody, compressed: Bool = false) {
    outbound.append(body, compressed: compressed)
    resume()
  }

  /// Tells nghttp2 that there is something to send again.
  final func resume() {
    guard let connection else { return }
    if isDeferred {
      isDeferred = false
      nghttp2_session_resume_data(connection.session, id)
    }
    connection.scheduleFlush()
  }

  /// Ends the stream at once.
  final func reset(_ code: UInt32) {
    guard let connection else { return }
    nghttp2_submit_rst_stream(connection.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code)
    connection.scheduleFlush()
  }

  /// Gives the peer room for `count` more bytes on this stream.
  final func consumed(_ count: Int) {
    guard let connection else { return }
    nghttp2_session_consume_stream(connection.session, id, count)
    connection.scheduleFlush()
  }

  /// A message was read: its bytes may come again.
  final func taken(_ wireBytes: Int) { consumed(wireBytes + credit.taken()) }

  /// nghttp2's data provider for this stream.
  final func makeProvider() -> nghttp2_data_provider {
    hasProvider = true
    var provider = nghttp2_data_provider()
    provider.source.ptr = Unmanaged.passUnretained(self).toOpaque()
    provider.read_callback = HTTP2Stream.read
    return provider
  }

  /// Says how much can be sent; the bytes themselves are handed over in `HTTP2Connection.sendData`.
  private static let read: nghttp2_data_source_read_callback = {
    session, id, _, length, flags, source, _ in
    let stream = Unmanaged<HTTP2Stream>.fromOpaque(source!.pointee.ptr).takeUnretainedValue()
    let count = min(length, stream.outbound.available)
    guard count > 0 || stream.outboundEnded else {
      stream.isDeferred = true
      return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    flags!.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue)
    if stream.outboundEnded && count == stream.outbound.available {
      flags!.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
      stream.submitTrailers(session!, flags!)
    }
    return count
  }

  private final func submitTrailers(_ session: OpaquePointer, _ flags: UnsafeMutablePointer<UInt32>)
  {
    switch trailers {
    case .none: return
    case .ok: nghttp2_submit_trailer(session, id, NV.replyOK, 1)
    case .block(let block):
      _ = block.withNV { nghttp2_submit_trailer(session, id, $0, $1) }
    }
    flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
  }
}
