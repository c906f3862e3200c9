import Bytes
import CNghttp2
import Calls
import EventLoops

/// The server side of one HTTP/2 connection: opens calls, watches the client's pings, keeps the
/// connection alive and drains it.
final class GRPCServerConnection: HTTP2Connection, @unchecked Sendable {
  // @unchecked: confined to `loop`, like its superclass.
  let server: GRPCServer
  let remoteAddress: SocketAddress?
  private var watchdog: Watchdog?
  private var keepalive: Keepalive
  private var strikes = PingStrikes()
  private var handshakeDone = false
  private var end = DrainMachine()
  private var drainTimer: LoopTimer?
  private var streamEnd: GRPCStatus?
  /// Header fields that the client repeats; made with the first request.
  private(set) lazy var memo: HeaderMemo = {
    hasMemo = true
    return HeaderMemo()
  }()
  private var hasMemo = false

  /// Marks the ping that separates the two GOAWAYs of a drain.
  private static let drainPing: UInt64 = 0x0107_0101_0803_0802
  private static let keepalivePing: UInt64 = 0x0101_0101_0101_0101

  init(server: GRPCServer, channel: any ByteChannel) {
    self.server = server
    let configuration = server.configuration
    remoteAddress = channel.remoteAddress
    keepalive = Keepalive(
      interval: configuration.keepaliveInterval, timeout: configuration.keepaliveTimeout)
    super.init(
      channel: channel, isServer: true,
      settings: HTTP2Settings(
        // As in Go, none means any number.
        maxConcurrentStreams: configuration.maxConcurrentStreams == 0
          ? .max : configuration.maxConcurrentStreams,
        streamWindowBytes: configuration.streamWindowBytes,
        connectionWindowBytes: configuration.connectionWindowBytes,
        headerListBytesMax: configuration.headerListBytesMax))
    watchdog = Watchdog(loop: loop) { [unowned self] in self.watchdogFired() }
    watchdog?.set(after: configuration.handshakeTimeout)
  }

  override func openedByPeer() -> HTTP2Stream? {
    end.acceptsCalls ? ServerCall(server: server, connection: self) : nil
  }

  override func settingsReceived() {
    guard !handshakeDone else { return }
    handshakeDone = true
    watchdog?.set(after: keepalive.interval)
  }

  override func didClose(_ error: ChannelError?) {
    watchdog?.cancel()
    watchdog = nil
    drainTimer?.cancel()
    end.closed()
    if hasMemo { memo.removeAll() }
    server.closed(self)
  }

  // MARK: compressed messages

  /// Messages that are being inflated or wait for it.
  private var inflating = 0
  /// Reading stops above the one and goes on below the other.
  private static let inflatingHigh = 16
  private static let inflatingLow = 8

  func inflateBegan() {
    inflating += 1
    if inflating > Self.inflatingHigh { holdInput(true) }
  }

  func inflateEnded() {
    inflating -= 1
    if inflating < Self.inflatingLow { holdInput(false) }
  }

  // MARK: keepalive

  private func watchdogFired() {
    guard handshakeDone else {
      channel.abort()
      return
    }
    switch keepalive.check(now: loop.now, lastRead: lastReadAt) {
    case .wait(let time): watchdog?.set(after: time)
    case .ping(let time):
      sendPing(Self.keepalivePing)
      watchdog?.set(after: time)
    case .rest: break  // Servers ask also without calls.
    case .dead: channel.abort()
    }
  }

  override func pingReceived() {
    let configuration = server.configuration
    let minimum =
      streams.isEmpty && !configuration.keepaliveWithoutCalls
      ? Duration.seconds(7_200) : configuration.keepaliveMinTime
    guard strikes.ping(now: loop.now, minimum: minimum.nanoseconds) else { return }
    closeWithGoAway(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings")
  }

  override func didSendStreamFrame() { strikes.reset() }

  // MARK: drain

  /// Announces the end, lets calls finish, closes.
  /// - Parameter status: what streams end with that their client has not ended.
  func drain(grace: Duration, endingStreams status: GRPCStatus?) {
    guard !isClosed else { return }
    streamEnd = status
    perform(end.begin(), grace: grace)
    endStreams()
  }

  private func endStreams() {
    guard let streamEnd else { return }
    // Streams may go while they are told.
    for stream in Array(streams) { (stream as? ServerCall)?.stream?.endRequests(streamEnd) }
  }

  override func pongReceived(_ payload: UInt64) {
    guard payload == Self.drainPing else { return }
    perform(end.announcementSeen())
    // Those that came before the client had heard of the end.
    endStreams()
    streamsChanged()
  }

  override func streamsChanged() {
    guard !isClosed else { return }
    perform(end.callsChanged(running: streams.count))
  }

  private func perform(_ action: DrainMachine.Action, grace: Duration = .zero) {
    switch action {
    case .nothing: break
    case .announce:
      nghttp2_submit_shutdown_notice(session)
      sendPing(Self.drainPing)
      drainTimer = loop.schedule(after: grace) { [unowned self] in perform(end.graceEnded()) }
      scheduleFlush()
    case .refuse:
      nghttp2_submit_goaway(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue),
        nghttp2_session_get_last_proc_stream_id(session), UInt32(NGHTTP2_NO_ERROR.rawValue), nil, 0)
      scheduleFlush()
    case .close:
      loop.execute {
        self.flush()
        self.channel.closeAfterFlush()
      }
    case .abort: channel.abort()
    }
  }
}
