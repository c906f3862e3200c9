import Bytes
import CNghttp2
import Calls
import EventLoops
import Protobuf

/// The client side of one HTTP/2 connection. Confined to its loop.
final class GRPCClientConnection: HTTP2Connection, @unchecked Sendable {
  // @unchecked: confined to `loop`, like its superclass.
  private let configuration: GRPCClientConfiguration
  private let authority: Bytes
  private let scheme: Bytes
  private var keepalive: Keepalive
  private var watchdog: Watchdog?
  private var handshakeDone = false
  /// No ping is due before the next call.
  private var rests = false
  private(set) var goAway: GRPCStatus?
  /// Why the channel broke.
  private(set) var lossReason: ChannelError?
  /// Called once when the connection takes no more calls.
  var onDown: ((GRPCStatus) -> Void)?
  /// Called once with the server's SETTINGS.
  var onReady: (() -> Void)?

  private static let keepalivePing: UInt64 = 0x0202_0202_0202_0202

  init(
    channel: any ByteChannel, configuration: GRPCClientConfiguration, authority: String,
    scheme: String
  ) {
    self.configuration = configuration
    self.authority = Bytes(authority)
    self.scheme = Bytes(scheme)
    keepalive = Keepalive(
      interval: configuration.keepaliveInterval ?? .seconds(0),
      timeout: configuration.keepaliveTimeout)
    super.init(
      channel: channel, isServer: false,
      settings: HTTP2Settings(
        maxConcurrentStreams: 0, streamWindowBytes: configuration.streamWindowBytes,
        connectionWindowBytes: configuration.connectionWindowBytes, headerListBytesMax: 65_536))
    watchdog = Watchdog(loop: loop) { [unowned self] in self.watchdogFired() }
    watchdog?.set(after: configuration.handshakeTimeout)
  }

  /// Whether calls may be started.
  var isUsable: Bool {
    !isClosed && goAway == nil && nghttp2_session_check_request_allowed(session) != 0
  }

  /// Opens a stream for a call.
  func open(
    _ call: ClientCall, path: String, metadata: Metadata, timeout: Duration?
  ) throws(GRPCStatus) {
    guard isUsable else { throw .unprocessed }
    var block = HeaderBlock()
    block.add(":method", "POST")
    block.add(":scheme", scheme)
    block.add(":path", Bytes(path))
    block.add(":authority", authority)
    block.add("content-type", "application/grpc")
    block.add("user-agent", Bytes(configuration.userAgent))
    block.add("te", "trailers")
    block.add("grpc-accept-encoding", "gzip")
    if configuration.sendsGzip { block.add("grpc-encoding", "gzip") }
    if let timeout {
      let text = TimeoutCoding.encode(nanoseconds: max(timeout.nanoseconds, 1))
      block.add("grpc-timeout", Bytes(text))
      call.setDeadline(timeout)
    }
    block.add(metadata)
    var provider = call.makeProvider()
    let raw = Unmanaged.passUnretained(call).toOpaque()
    let id = block.withNV { nghttp2_submit_request(session, nil, $0, $1, &provider, raw) }
    guard id > 0 else { throw .unprocessed }
    add(call, id: id)
    scheduleFlush()
    if rests {
      // Calls that are shorter than the interval would otherwise come and go on a dead connection.
      rests = false
      watchdogFired()
    }
  }

  override func settingsReceived() {
    guard !handshakeDone else { return }
    handshakeDone = true
    rearm(configuration.keepaliveInterval)
    let callback = onReady
    onReady = nil
    callback?()
  }

  private func rearm(_ delay: Duration?) {
    if let delay { watchdog?.set(after: delay) } else { watchdog?.clear() }
  }

  private func watchdogFired() {
    guard handshakeDone else {
      channel.abort()
      return
    }
    guard configuration.keepaliveInterval != nil else { return }
    let isIdle = streams.isEmpty && !configuration.keepaliveWithoutCalls
    switch keepalive.check(now: loop.now, lastRead: lastReadAt, isIdle: isIdle) {
    case .wait(let time): rearm(time)
    case .rest: rests = true
    case .ping(let time):
      sendPing(Self.keepalivePing)
      rearm(time)
    case .dead:
      down(GRPCStatus(.unavailable, "keepalive ping failed to receive ACK within timeout"))
      channel.abort()
    }
  }

  override func goAwayReceived(_ lastStream: Int32, _ code: UInt32, _ text: String) {
    let detail = text.isEmpty ? "" : ", debug data: \"\(text)\""
    down(GRPCStatus(.unavailable, "closing transport due to: GOAWAY, code: \(code)\(detail)"))
    // Streams above the last one were not seen by the server; nghttp2 closes them as refused.
    if streams.isEmpty { channel.closeAfterFlush() }
  }

  override func streamsChanged() {
    if goAway != nil && streams.isEmpty && !isClosed {
      loop.execute { self.channel.closeAfterFlush() }
    }
  }

  private func down(_ status: GRPCStatus) {
    guard goAway == nil else { return }
    goAway = status
    for stream in streams { (stream as! ClientCall).lostReason = status }
    let callback = onDown
    onDown = nil
    callback?(status)
  }

  override func didLose(_ error: ChannelError?) {
    lossReason = error
    let text = error.map { "\($0)" } ?? "EOF"
    let status = GRPCStatus(.unavailable, "error reading from server: \(text)")
    for stream in streams {
      let call = stream as! ClientCall
      call.lostReason = call.lostReason ?? status
    }
    down(status)
  }

  override func didClose(_ error: ChannelError?) {
    watchdog?.cancel()
    watchdog = nil
    onReady = nil
  }

  /// Closes once the running calls have ended.
  func closeGently() {
    down(GRPCStatus(.cancelled, "grpc: the client connection is closing"))
    if streams.isEmpty { channel.closeAfterFlush() }
  }
}
