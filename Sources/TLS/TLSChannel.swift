import Bytes
import EventLoops

/// A channel whose bytes travel encrypted over another one, once the handshake is done. What waits is bounded
/// on both sides: nothing more is read while the protocol above does not take it, and nothing is encrypted that
/// the channel below does not send soon.
public final class TLSChannel: ByteChannel, ByteChannelHandler, TurnEndHandler, NextTurnHandler,
  @unchecked Sendable
{
  // @unchecked: confined to `loop`, as the channel below.

  public let loop: EventLoop
  public var handler: (any ByteChannelHandler)?
  public let peerCertificate: PeerCertificate?
  public let isSecure = true
  public var watermarks = Watermarks.standard { didSet { inner.watermarks = watermarks } }
  public private(set) var isClosed = false

  private let inner: any ByteChannel
  let session: TLSSession
  /// Bytes that are not encrypted yet.
  private var plain = PlainQueue()
  private var wasAboveHigh = false
  private var isScheduled = false
  private var isClosing = false
  private var isStarted = false
  private var isPaused = false
  private var isPumping = false
  private var isContinued = false
  /// Nothing more can be decrypted until something arrives.
  private var isDry: Bool
  /// The channel below sends no more.
  private var isInnerEnded = false
  private var isReadEnded = false
  private var failure: ChannelError?

  /// Bytes of a record.
  /// - Source: RFC 8446 §5.1.
  private static let recordBytes = 16_384
  /// Bytes that are encrypted before the channel below gets them.
  private static let batchBytes = 131_072
  /// Bytes that are decrypted before others are asked.
  private static let readAheadMax = 262_144

  /// Takes over a channel, on its loop, that is paused.
  init(_ inner: any ByteChannel, _ session: TLSSession) {
    self.inner = inner
    self.session = session
    loop = inner.loop
    isDry = !session.hasInput
    // The name counts where one was demanded for that, as in etcd.
    peerCertificate =
      session.context.settings.clientCertificateAuth
      ? session.peer.map { PeerCertificate(commonName: $0.commonName) } : nil
    inner.handler = self
  }

  public var remoteAddress: SocketAddress? { inner.remoteAddress }
  public var localAddress: SocketAddress? { inner.localAddress }

  /// Of the other side, verified or not; for whoever asks whom it talks to.
  public var peer: CertificateFacts? { session.peer }

  // MARK: reading

  public func start() {
    loop.preconditionCurrent()
    isStarted = true
    continueReading()
  }

  public func pauseReading() {
    isPaused = true
    inner.pauseReading()
  }

  public func resumeReading() {
    guard isPaused else { return }
    isPaused = false
    continueReading()
  }

  /// What was decrypted or waits is delivered later in any case: whoever resumes may be called by us.
  private func continueReading() {
    guard isStarted, !isPaused, !isPumping, !isClosed else { return }
    guard !isDry || isInnerEnded else { return inner.resumeReading() }
    guard !isContinued else { return }
    isContinued = true
    loop.atNextTurn(self)
  }

  public func nextTurn() {
    isContinued = false
    pump()
  }

  public func channelRead(_ bytes: Bytes) {
    session.receive(bytes)
    isDry = false
    pump()
  }

  public func channelReadEnded() {
    isInnerEnded = true
    pump()
  }

  /// Decrypts and delivers until there is nothing more, or nobody wants it.
  private func pump() {
    guard isStarted, !isPumping, !isClosed else { return }
    isPumping = true
    var budget = Self.readAheadMax
    while !isPaused, !isClosed, !isClosing, !isReadEnded, budget > 0 {
      var outcome = TLSSession.Reading.wantsInput
      let bytes = loop.read { memory in
        outcome = session.read(memory)
        guard case .bytes(let count) = outcome else { return 0 }
        return count
      }
      guard let bytes else {
        took(outcome)
        break
      }
      budget -= bytes.count
      handler?.channelRead(bytes)
    }
    isPumping = false
    send()
    updateReading()
  }

  private func took(_ outcome: TLSSession.Reading) {
    switch outcome {
    case .bytes: break
    case .wantsInput:
      isDry = true
      if isInnerEnded { endInput(isOrderly: false) }
    case .ended: endInput(isOrderly: true)
    case .failed(let reason): fail(.layer(reason))
    }
  }

  /// A server's protocols know by themselves when a request is whole; a client's answer may be cut off.
  private func endInput(isOrderly: Bool) {
    isReadEnded = true
    if !isOrderly, case .client = session.role { return fail(.layer("unexpected EOF")) }
    handler?.channelReadEnded()
  }

  private func updateReading() {
    guard !isClosed else { return }
    if isReadEnded || isClosing { return inner.resumeReading() }
    if isPaused {
      inner.pauseReading()
    } else if !isDry {
      inner.pauseReading()
      continueReading()
    } else {
      inner.resumeReading()
    }
  }

  // MARK: writing

  public var pendingWriteBytes: Int { plain.count + inner.pendingWriteBytes }
  public var isWritable: Bool { pendingWriteBytes <= watermarks.high }

  public func write(_ bytes: Bytes) {
    guard enqueue(bytes) else { return }
    schedule()
  }

  public func write(_ parts: [Bytes]) {
    var isAny = false
    for part in parts where enqueue(part) { isAny = true }
    if isAny { schedule() }
  }

  public func writeNow(_ parts: [Bytes]) {
    var isAny = false
    for part in parts where enqueue(part) { isAny = true }
    if isAny, !isScheduled { flush() }
  }

  private func enqueue(_ bytes: Bytes) -> Bool {
    guard !isClosed, !isClosing, bytes.count > 0 else { return false }
    plain.append(bytes)
    if pendingWriteBytes > watermarks.high { wasAboveHigh = true }
    return true
  }

  private func schedule() {
    guard !isScheduled else { return }
    loop.preconditionCurrent()
    isScheduled = true
    loop.atTurnEnd(self)
  }

  public func turnEnd() {
    isScheduled = false
    guard !isClosed else { return }
    guard isClosing else { return flush() }
    while plain.count > 0, encrypt() {}
    session.close()
    send()
    inner.closeAfterFlush()
  }

  /// Encrypts as much as the channel below sends soon.
  private func flush() {
    let high = max(watermarks.high, Self.batchBytes)
    while !isClosed, plain.count > 0, inner.pendingWriteBytes <= high {
      var batch = 0
      while plain.count > 0, batch < Self.batchBytes {
        let before = plain.count
        guard encrypt() else { return fail(.layer("tls: cannot encrypt")) }
        batch += before - plain.count
      }
      send()
    }
    tellWritable()
  }

  /// The channel below tells when it is empty enough; what it took at once it does not tell of.
  private func tellWritable() {
    guard wasAboveHigh, plain.count == 0, isWritable else { return }
    wasAboveHigh = false
    if !isClosing { handler?.channelWritable() }
  }

  public func channelWritable() { flush() }

  /// One record of what waits.
  private func encrypt() -> Bool {
    plain.withRecord(Self.recordBytes) { session.write($0) } > 0
  }

  private func send() {
    guard let bytes = session.takeOutput() else { return }
    inner.writeNow([bytes])
  }

  // MARK: moving and closing

  public func move(to target: EventLoop, _ done: @escaping @Sendable (any ByteChannel) -> Void) {
    loop.preconditionCurrent()
    precondition(plain.count == 0, "a channel moves with \(plain.count) bytes unsent")
    isClosed = true
    handler = nil
    guard inner.pendingWriteBytes == 0 else { return inner.abort() }
    session.detach()
    let (session, isEnded) = (session, isInnerEnded)
    inner.move(to: target) { moved in
      let channel = TLSChannel(moved, session)
      channel.isInnerEnded = isEnded
      done(channel)
    }
  }

  public func closeAfterFlush() {
    guard !isClosed, !isClosing else { return }
    loop.preconditionCurrent()
    isClosing = true
    // Later even when nothing is queued, so that the caller's turn ends first.
    schedule()
  }

  public func abort() {
    guard !isClosed else { return }
    inner.abort()
    isClosed = true
  }

  /// The other side hears an alert where there is one; the protocol above is told soon.
  private func fail(_ error: ChannelError) {
    guard !isClosed else { return }
    send()
    isClosed = true
    failure = error
    plain = PlainQueue()
    inner.closeAfterFlush()
    loop.execute { self.tellClosed(error) }
  }

  public func channelClosed(_ error: ChannelError?) {
    isClosed = true
    plain = PlainQueue()
    tellClosed(failure ?? error)
  }

  private func tellClosed(_ error: ChannelError?) {
    let last = handler
    handler = nil
    last?.channelClosed(error)
  }
}
