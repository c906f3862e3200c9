import Bytes
import CNghttp2
import EventLoops

/// What nghttp2 tells.
extension HTTP2Connection {
  final func beganHeaders(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
    let id = frame.pointee.hd.stream_id
    if let known = stream(id) {
      currentStream = .passUnretained(known)
      return 0
    }
    guard frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST, let made = openedByPeer() else {
      return Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }
    add(made, id: id)
    currentStream = .passUnretained(made)
    streamsChanged()
    return 0
  }

  final func header(
    _ frame: UnsafePointer<nghttp2_frame>, _ name: OpaquePointer, _ value: OpaquePointer
  ) -> Int32 {
    guard let currentStream else { return 0 }
    let refused = Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    return currentStream._withUnsafeGuaranteedRef { stream in
      guard stream.id == frame.pointee.hd.stream_id else { return 0 }
      guard let size = stream.header(name, value) else { return refused }
      stream.headerBytes += size
      return stream.headerBytes <= settings.headerListBytesMax ? 0 : refused
    }
  }

  final func received(_ frame: UnsafePointer<nghttp2_frame>) {
    let head = frame.pointee.hd
    switch UInt32(head.type) {
    case UInt32(NGHTTP2_DATA.rawValue), UInt32(NGHTTP2_HEADERS.rawValue):
      let isHeaders = UInt32(head.type) == UInt32(NGHTTP2_HEADERS.rawValue)
      let found = isHeaders ? currentStream?.takeUnretainedValue() : stream(head.stream_id)
      guard let found, found.id == head.stream_id else { return }
      let ends = head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
      if ends { found.remoteEnded = true }
      if isHeaders {
        currentStream = nil
        found.headersEnded()
      }
      if ends && !found.isClosed { found.inputEnded() }
    case UInt32(NGHTTP2_PING.rawValue):
      if head.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 {
        pongReceived(
          withUnsafeBytes(of: frame.pointee.ping.opaque_data) { $0.loadUnaligned(as: UInt64.self) })
      } else {
        pingReceived()
      }
    case UInt32(NGHTTP2_SETTINGS.rawValue):
      if head.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { settingsReceived() }
    case UInt32(NGHTTP2_GOAWAY.rawValue):
      let goaway = frame.pointee.goaway
      let text = UnsafeBufferPointer(start: goaway.opaque_data, count: goaway.opaque_data_len)
      goAwayReceived(
        goaway.last_stream_id, goaway.error_code, String(decoding: text, as: UTF8.self))
    case UInt32(NGHTTP2_RST_STREAM.rawValue): countReset()
    default: break
    }
  }

  /// A stream was reset by the peer, or by what the peer sent.
  private final func countReset() {
    guard answersRequests, !isEnding, !resets.take(now: loop.now) else { return }
    isEnding = true
    closeWithGoAway(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets")
  }

  /// A frame of ours resets a stream. The codes are those that nghttp2 answers wrong frames with; calls
  /// that end early and streams beyond the limit have others.
  final func sentReset(_ code: UInt32) {
    switch nghttp2_error_code(code) {
    case NGHTTP2_PROTOCOL_ERROR, NGHTTP2_INTERNAL_ERROR, NGHTTP2_FLOW_CONTROL_ERROR,
      NGHTTP2_STREAM_CLOSED, NGHTTP2_FRAME_SIZE_ERROR, NGHTTP2_COMPRESSION_ERROR:
      countReset()
    default: break
    }
  }

  final func receivedData(
    _ id: Int32, _ start: UnsafePointer<UInt8>, _ count: Int
  ) {
    // The connection's window is given back at once, the stream's when its reader has read.
    nghttp2_session_consume_connection(session, count)
    guard let stream = stream(id), count > 0 else {
      nghttp2_session_consume_stream(session, id, count)
      return
    }
    // nghttp2 hands out pieces of the input where it can; anything else is copied.
    let slice = input.withUnsafeBytes { memory -> Range<Int>? in
      let offset = UnsafeRawPointer(start) - memory.baseAddress!
      return offset >= 0 && offset + count <= memory.count ? offset..<(offset + count) : nil
    }
    let copied = UnsafeRawBufferPointer(start: start, count: count)
    stream.data(slice.map { input[$0] } ?? Bytes(copying: copied))
  }

  final func closedStream(_ id: Int32, _ code: UInt32) {
    if let stream = stream(id) { close(stream, code) }
  }

  /// An answer is complete. A peer that still sends is told to stop (RFC 9113 §8.1); earlier,
  /// nghttp2 would have dropped the answer with the stream.
  final func sentLastHeaders(_ id: Int32) {
    guard answersRequests, let stream = stream(id), !stream.remoteEnded else { return }
    stream.reset(UInt32(NGHTTP2_NO_ERROR.rawValue))
  }

  final func notSent(_ id: Int32) {
    // nghttp2 closes the stream only after this, when there is nothing of ours any more.
    nghttp2_session_set_stream_user_data(session, id, nil)
    if let stream = streams.first(where: { $0.id == id }) {
      close(stream, UInt32(NGHTTP2_REFUSED_STREAM.rawValue))
    }
  }
}

/// The callbacks given to nghttp2, which copies them into each session.
enum HTTP2Callbacks {
  /// Calls `body` with the connection, which lives as long as its session.
  @inline(__always)
  private static func owner<R>(
    _ user: UnsafeMutableRawPointer?, _ body: (HTTP2Connection) -> R
  ) -> R {
    Unmanaged<HTTP2Connection>.fromOpaque(user!)._withUnsafeGuaranteedRef(body)
  }

  static func makeOption() -> OpaquePointer {
    var option: OpaquePointer?
    let result = nghttp2_option_new(&option)
    precondition(result == 0, "nghttp2 option: out of memory")
    nghttp2_option_set_no_auto_window_update(option, 1)
    nghttp2_option_set_no_closed_streams(option, 1)
    // etcd's clients send a whole URL as `:authority`, which Go's server takes and nghttp2's checks
    // of HTTP semantics refuse. What gRPC needs of a head is checked in `ServerCall`.
    nghttp2_option_set_no_http_messaging(option, 1)
    // Rapid reset (CVE-2023-44487): bursts of cancelled calls are ordinary, floods are not.
    nghttp2_option_set_stream_reset_rate_limit(
      option, UInt64(ResetBudget.burst), UInt64(ResetBudget.perSecond))
    nghttp2_option_set_max_outbound_ack(option, 1_000)
    return option!
  }

  // Written once, then only read by nghttp2.
  nonisolated(unsafe) static let shared: OpaquePointer = {
    var callbacks: OpaquePointer?
    let result = nghttp2_session_callbacks_new(&callbacks)
    precondition(result == 0, "nghttp2 callbacks: out of memory")
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
      owner(user) { $0.beganHeaders(frame!) }
    }
    nghttp2_session_callbacks_set_on_header_callback2(callbacks) {
      _, frame, name, value, _, user in owner(user) { $0.header(frame!, name!, value!) }
    }
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
      owner(user) { $0.received(frame!) }
      return 0
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
      _, _, id, start, count, user in
      owner(user) { $0.receivedData(id, start!, count) }
      return 0
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
      owner(user) { $0.closedStream(id, code) }
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) { _, frame, _, user in
      let head = frame!.pointee.hd
      if UInt32(head.type) == UInt32(NGHTTP2_HEADERS.rawValue) {
        owner(user) { $0.notSent(head.stream_id) }
      }
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { session, frame, user in
      let head = frame!.pointee.hd
      let ends = UInt8(NGHTTP2_FLAG_END_STREAM.rawValue)
      if UInt32(head.type) == UInt32(NGHTTP2_HEADERS.rawValue) && head.flags & ends != 0 {
        owner(user) { $0.sentLastHeaders(head.stream_id) }
      } else if UInt32(head.type) == UInt32(NGHTTP2_RST_STREAM.rawValue) {
        let code = frame!.pointee.rst_stream.error_code
        owner(user) { $0.sentReset(code) }
      }
      return 0
    }
    nghttp2_session_callbacks_set_send_data_callback(callbacks) {
      _, _, head, length, source, user in
      Unmanaged<HTTP2Stream>.fromOpaque(source!.pointee.ptr)._withUnsafeGuaranteedRef { stream in
        owner(user) { $0.sendData(stream, head!, length) }
      }
    }
    return callbacks!
  }()
}
