import Bytes
import EventLoops

/// One handshake: the handler of a channel until both sides know each other, or time is up. Confined to the
/// channel's loop.
final class TLSHandshake: ByteChannelHandler {
  /// How it ended otherwise.
  enum Failure: Equatable {
    /// The other side left before it had said anything of use.
    case ended
    case timedOut
    case refused(String)
  }

  let channel: any ByteChannel
  let session: TLSSession
  /// Called when input waits for `step()`; `nil`: it is done at once.
  var onInput: ((TLSHandshake) -> Void)?
  private var done: ((Result<TLSChannel, TLSHandshake.Failed>) -> Void)?
  private var timer: LoopTimer?
  private var isLookedAt = false

  struct Failed: Error {
    let failure: Failure
  }

  /// What `http.Server` of Go says to those who speak plain HTTP.
  private static let plainAnswer: Bytes =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
  private static let notTLS = "tls: first record does not look like a TLS handshake"

  /// - Parameter done: called once; the channel it gets is not started.
  init(
    _ channel: any ByteChannel, _ session: TLSSession, timeout: Duration,
    _ done: @escaping (Result<TLSChannel, Failed>) -> Void
  ) {
    self.channel = channel
    self.session = session
    self.done = done
    timer = channel.loop.schedule(after: timeout) { [weak self] in self?.fail(.timedOut) }
  }

  /// Call once. The channel holds this object from here on.
  /// - Parameter initial: what was read before.
  func begin(_ initial: Bytes = Bytes()) {
    channel.handler = self
    channel.start()
    if case .client = session.role { step() }
    if !initial.isEmpty { channelRead(initial) }
  }

  /// Goes on with what has arrived.
  func step() {
    guard done != nil, looksRight() else { return }
    let result = session.handshake()
    if let output = session.takeOutput() { channel.writeNow([output]) }
    switch result {
    case .done: succeed()
    case .wantsInput: channel.resumeReading()
    case .failed(let reason): fail(.refused(reason))
    }
  }

  /// Gives up. - Parameter failure: why.
  func fail(_ failure: Failure) {
    guard let done else { return }
    end()
    channel.closeAfterFlush()
    done(.failure(Failed(failure: failure)))
  }

  private func succeed() {
    let done = done
    end()
    channel.pauseReading()
    done?(.success(TLSChannel(channel, session)))
  }

  private func end() {
    done = nil
    onInput = nil
    timer?.cancel()
    timer = nil
  }

  /// Whether what a client begins with is TLS. One that speaks plain HTTP is told, as by Go.
  private func looksRight() -> Bool {
    guard !isLookedAt, case .server = session.role else { return true }
    let head = session.peek(5)
    guard head.count == 5 else {
      // Fewer bytes decide nothing unless the first is wrong.
      if let first = head.first, first != TLSLayer.opening[0] { fail(.refused(Self.notTLS)) }
      if done != nil { channel.resumeReading() }
      return false
    }
    isLookedAt = true
    guard !head.starts(with: TLSLayer.opening) else { return true }
    let methods = ["GET /", "HEAD ", "POST ", "PUT /", "OPTIO"]
    if methods.contains(String(decoding: head, as: UTF8.self)) { channel.write(Self.plainAnswer) }
    fail(.refused(Self.notTLS))
    return false
  }

  // MARK: channel events

  func channelRead(_ bytes: Bytes) {
    guard done != nil else { return }
    session.receive(bytes)
    channel.pauseReading()
    if let onInput { onInput(self) } else { step() }
  }

  func channelReadEnded() { fail(.ended) }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) {
    guard let done else { return }
    end()
    done(.failure(Failed(failure: .ended)))
  }
}
