import Bytes
import CNghttp2
import Runtime

/// Sizes and limits of an HTTP/2 connection.
struct HTTP2Settings {
  var maxConcurrentStreams: UInt32
  var streamWindowBytes: Int32
  var connectionWindowBytes: Int32
  var headerListBytesMax: Int
}

/// nghttp2 on a byte channel: the part that server and client connections share.
///
/// Input goes to nghttp2 as it comes; output is asked from it once a turn, as long as the channel
/// takes it, so a slow reader leaves messages unfetched instead of memory filled. Confined to the
/// channel's loop.
class HTTP2Connection: ByteChannelHandler, TurnEndHandler, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted by the channel underneath.
  final let channel: any ByteChannel
  final let loop: EventLoop
  final let settings: HTTP2Settings
  /// Whether this is the server's side.
  private final let answersRequests: Bool
  /// nghttp2's session; valid until deinit.
  final private(set) var session: OpaquePointer
  private final let memory = SessionMemory()
  final private(set) var streams: ContiguousArray<HTTP2Stream> = []
  final private(set) var isClosed = false
  /// When anything last arrived, in the loop's time.
  final private(set) var lastReadAt: UInt64

  /// The stream whose header block arrives; `streams` holds it.
  private final var currentStream: Unmanaged<HTTP2Stream>?
  private final var input = Bytes()
  private final var output = OutputBuffer()
  private final var isScheduled = false
  private final var isBlocked = false
  private final let highWatermark: Int

  init(channel: any ByteChannel, isServer: Bool, settings: HTTP2Settings) {
    self.channel = channel
    self.settings = settings
    answersRequests = isServer
    highWatermark = channel.watermarks.high
    loop = channel.loop
    lastReadAt = channel.loop.now
    session = OpaquePointer(bitPattern: 1)!
    let option = HTTP2Callbacks.makeOption()
    defer { nghttp2_option_del(option) }
    let user = Unmanaged.passUnretained(self).toOpaque()
    var made: OpaquePointer?
    // nghttp2 keeps a copy.
    var allocator = memory.allocator
    let result =
      isServer
      ? nghttp2_session_server_new3(&made, HTTP2Callbacks.shared, user, option, &allocator)
      : nghttp2_session_client_new3(&made, HTTP2Callbacks.shared, user, option, &allocator)
    precondition(result == 0, "nghttp2 session: out of memory")
    session = made!
    submitSettings(isServer: isServer)
    channel.handler = self
    scheduleFlush()
  }

  deinit {
    nghttp2_session_del(session)
    memory.free()
  }

  private final func submitSettings(isServer: Bool) {
    func entry(_ id: nghttp2_settings_id, _ value: UInt32) -> nghttp2_settings_entry {
      nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
    }
    let entries = [
      isServer
        ? entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.maxConcurrentStreams)
        : entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
      entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(settings.streamWindowBytes)),
      entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(settings.headerListBytesMax)),
    ]
    let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
    nghttp2_submit_settings(session, none, entries, entries.count)
    nghttp2_session_set_local_window_size(session, none, 0, settings.connectionWindowBytes)
  }

  // MARK: hooks

  /// The peer opens a stream; `nil` refuses it.
  func openedByPeer() -> HTTP2Stream? { nil }
  func pingReceived() {}
  func pongReceived(_ payload: UInt64) {}
  func settingsReceived() {}
  func goAwayReceived(_ lastStream: Int32, _ code: UInt32, _ text: String) {}
  /// DATA or HEADERS was sent.
  func didSendStreamFrame() {}
  func streamsChanged() {}
  /// The connection is gone; its streams are closed next.
  func didLose(_ error: ChannelError?) {}
  /// The connection is gone; every stream was closed before.
  func didClose(_ error: ChannelError?) {}

  // MARK: streams

  final func add(_ stream: HTTP2Stream, id: Int32) {
    stream.id = id
    stream.connection = self
    stream.slot = streams.count
    streams.append(stream)
    nghttp2_session_set_stream_user_data(
      session, id, Unmanaged.passUnretained(stream).toOpaque())
  }

  final func close(_ stream: HTTP2Stream, _ code: UInt32) {
    guard !stream.isClosed else { return }
    let last = streams.removeLast()
    if last !== stream {
      streams[stream.slot] = last
      last.slot = stream.slot
    }
    if currentStream?.toOpaque() == Unmanaged.passUnretained(stream).toOpaque() {
      currentStream = nil
    }
    stream.outbound.removeAll()
    stream.connection = nil
    stream.closed(code)
    streamsChanged()
  }

  final func stream(_ id: Int32) -> HTTP2Stream? {
    guard id != 0, let raw = nghttp2_session_get_stream_user_data(session, id) else { return nil }
    return Unmanaged<HTTP2Stream>.fromOpaque(raw).takeUnretainedValue()
  }

  // MARK: channel events

  final func channelRead(_ bytes: Bytes) {
    guard !isClosed else { return }
    lastReadAt = loop.now
    input = bytes
    let used = bytes.withUnsafeBytes {
      nghttp2_session_mem_recv(
        session, $0.baseAddress!.assumingMemoryBound(to: UInt8.self), $0.count)
    }
    input = Bytes()
    if used < 0 {
      // Not HTTP/2, or a flood that nghttp2 refuses to answer.
      flush()
      channel.closeAfterFlush()
      return
    }
    scheduleFlush()
  }

  final func channelReadEnded() { channel.closeAfterFlush() }

  final func channelWritable() {
    if isBlocked {
      isBlocked = false
      channel.resumeReading()
    }
    scheduleFlush()
  }

  final func channelClosed(_ error: ChannelError?) {
    guard !isClosed else { return }
    isClosed = true
    didLose(error)
    while let stream = streams.last { close(stream, UInt32(NGHTTP2_CANCEL.rawValue)) }
    didClose(error)
  }

  // MARK: output

  @inline(__always)
  final func scheduleFlush() {
    guard !isScheduled, !isClosed else { return }
    isScheduled = true
    loop.atTurnEnd(self)
  }

  final func turnEnd() {
    isScheduled = false
    flush()
  }

  private final var hasRoom: Bool {
    channel.pendingWriteBytes + output.count <= highWatermark
  }

  final func flush() {
    guard !isClosed else { return }
    while hasRoom {
      var frame: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &frame)
      if count < 0 {
        channel.abort()
        return
      }
      if count == 0 { break }
      output.append(UnsafeRawBufferPointer(start: frame, count: count))
    }
    if output.count > 0 { channel.writeNow(output.take()) }
    if answersRequests && !isBlocked && !channel.isWritable {
      // What the client asks for next would only add to what it does not read.
      isBlocked = true
      channel.pauseReading()
    }
    if nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0 {
      channel.closeAfterFlush()
    }
  }

  /// Writes one DATA frame of `length` bytes of the stream's queue.
  fileprivate final func sendData(
    _ stream: HTTP2Stream, _ head: UnsafePointer<UInt8>, _ length: Int
  ) -> Int32 {
    guard hasRoom else { return Int32(NGHTTP2_ERR_WOULDBLOCK.rawValue) }
    let complete = output.appendFrame(head, length, of: &stream.outbound)
    guard complete else {
      // The frame head promised bytes that cannot be had; the stream's framing is lost with it.
      channel.abort()
      return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
    }
    didSendStreamFrame()
    stream.outboundProgressed()
    return 0
  }

  /// Sends GOAWAY with a text and closes once it has left.
  final func closeWithGoAway(_ code: nghttp2_error_code, _ text: StaticString) {
    guard !isClosed else { return }
    nghttp2_submit_goaway(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue),
      nghttp2_session_get_last_proc_stream_id(session), UInt32(code.rawValue), text.utf8Start,
      text.utf8CodeUnitCount)
    // Not inside a callback of nghttp2, which may be running.
    loop.execute {
      self.flush()
      self.channel.closeAfterFlush()
    }
  }

  /// Sends a PING whose acknowledgement brings `payload` back.
  final func sendPing(_ payload: UInt64) {
    withUnsafeBytes(of: payload) {
      _ = nghttp2_submit_ping(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue),
        $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
    }
    scheduleFlush()
  }

  // MARK: frames

  fileprivate final func beganHeaders(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
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

  fileprivate final func header(
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

  fileprivate final func received(_ frame: UnsafePointer<nghttp2_frame>) {
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
    default: break
    }
  }

  fileprivate final func receivedData(
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

  fileprivate final func closedStream(_ id: Int32, _ code: UInt32) {
    if let stream = stream(id) { close(stream, code) }
  }

  /// An answer is complete. A peer that still sends is told to stop (RFC 9113 §8.1); earlier,
  /// nghttp2 would have dropped the answer with the stream.
  fileprivate final func sentLastHeaders(_ id: Int32) {
    guard answersRequests, let stream = stream(id), !stream.remoteEnded else { return }
    stream.reset(UInt32(NGHTTP2_NO_ERROR.rawValue))
  }

  fileprivate final func notSent(_ id: Int32) {
    if let stream = streams.first(where: { $0.id == id }) {
      close(stream, UInt32(NGHTTP2_REFUSED_STREAM.rawValue))
    }
  }
}

/// The callbacks given to nghttp2, which copies them into each session.
private enum HTTP2Callbacks {
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
    nghttp2_option_set_stream_reset_rate_limit(option, 2_000, 500)
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
