import Bytes
import CNghttp2
import EventLoops

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
class HTTP2Connection: ByteChannelHandler, TurnEndHandler, NextTurnHandler, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted by the channel underneath.
  final let channel: any ByteChannel
  final let loop: EventLoop
  final let settings: HTTP2Settings
  /// Whether this is the server's side.
  final let answersRequests: Bool
  /// nghttp2's session; valid until deinit.
  final private(set) var session: OpaquePointer
  private final let memory = SessionMemory()
  final private(set) var streams: ContiguousArray<HTTP2Stream> = []
  /// Most streams since the last flood of them ended.
  private final var streamsHigh = 0
  final private(set) var isClosed = false
  /// When anything last arrived, in the loop's time.
  final private(set) var lastReadAt: UInt64

  /// The stream whose header block arrives; `streams` holds it.
  final var currentStream: Unmanaged<HTTP2Stream>?
  /// What nghttp2 works on, so that pieces of it are found again.
  final private(set) var input = Bytes()
  /// Input for the next turns.
  private final var waiting = InputQueue()
  final var resets = ResetBudget()
  /// Nothing that arrives counts any more.
  final var isEnding = false
  private final var output = OutputBuffer()
  private final var isScheduled = false
  /// The peer does not read; what is being worked on is enough.
  private final var isBlocked = false
  private final var isHeld = false
  private final var isContinued = false
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

  /// Streams less that are a flood gone, and what one holds.
  private static let streamsNoted = 4_096
  private static let streamBytes = 900

  final func add(_ stream: HTTP2Stream, id: Int32) {
    stream.id = id
    stream.connection = self
    stream.slot = streams.count
    streams.append(stream)
    if streams.count > streamsHigh { streamsHigh = streams.count }
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
    if streamsHigh - streams.count >= Self.streamsNoted {
      noteFreedMemory(Self.streamsNoted * Self.streamBytes)
      streamsHigh = streams.count
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

  /// Input given to nghttp2 before the time is looked at: a few hundred small calls.
  private static let pieceBytes = 16_384
  /// Of a turn that has more to do, what one connection may take.
  private static let turnNanoseconds: UInt64 = 5_000_000

  final func channelRead(_ bytes: Bytes) {
    guard !isClosed else { return }
    lastReadAt = loop.now
    if waiting.isEmpty && !isHeld && bytes.count <= Self.pieceBytes {
      feed(bytes)
    } else {
      waiting.append(bytes)
      feedWaiting()
    }
  }

  /// Works on input that waits, until the connection has had its part of the turn.
  private final func feedWaiting() {
    let end = loop.preciseNow &+ Self.turnNanoseconds
    while !isHeld, !isContinued, !isEnding, !isClosed, let piece = waiting.take(Self.pieceBytes) {
      feed(piece)
      if !waiting.isEmpty && loop.preciseNow >= end {
        isContinued = true
        loop.atNextTurn(self)
      }
    }
    if isEnding { waiting.removeAll() }
    updateReading()
  }

  final func nextTurn() {
    isContinued = false
    feedWaiting()
  }

  private final func feed(_ bytes: Bytes) {
    input = bytes
    let used = bytes.withUnsafeBytes {
      nghttp2_session_mem_recv(
        session, $0.baseAddress!.assumingMemoryBound(to: UInt8.self), $0.count)
    }
    input = Bytes()
    if used < 0 {
      // Not HTTP/2, or a flood that nghttp2 refuses to answer.
      isEnding = true
      flush()
      channel.closeAfterFlush()
      return
    }
    scheduleFlush()
  }

  /// Stops working on input, or goes on with it.
  final func holdInput(_ held: Bool) {
    guard isHeld != held, !isClosed else { return }
    isHeld = held
    if !held && !waiting.isEmpty && !isContinued {
      // Not inside a callback of nghttp2.
      isContinued = true
      loop.atNextTurn(self)
    }
    updateReading()
  }

  private final func updateReading() {
    guard !isClosed else { return }
    if isBlocked || isHeld || !waiting.isEmpty {
      channel.pauseReading()
    } else {
      channel.resumeReading()
    }
  }

  final func channelReadEnded() { channel.closeAfterFlush() }

  final func channelWritable() {
    if isBlocked {
      isBlocked = false
      updateReading()
    }
    scheduleFlush()
  }

  final func channelClosed(_ error: ChannelError?) {
    guard !isClosed else { return }
    isClosed = true
    waiting.removeAll()
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
  final func sendData(
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
}
