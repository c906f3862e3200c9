import Bytes
import EventLoops
import Platform
import Synchronization

/// TLS over the sockets of listeners and dials that share one `TLSMaterial`.
public final class TLSLayer: ChannelLayer {
  /// What a listener checks after a handshake.
  public enum NameCheck: Sendable {
    case none
    /// That a client with names in its certificate comes from where they lead.
    case fromPeers
  }

  public let material: TLSMaterial
  private let nameCheck: NameCheck
  private let takesPlain: Bool
  private let onRejected: @Sendable (TLSRejection) -> Void
  private let desks = Mutex<[ObjectIdentifier: LoopConfined<HandshakeDesk>]>([:])

  /// What every client of TLS says first: the type of a handshake's record, and its version's first byte.
  /// - Source: RFC 8446 §5.1.
  public static let opening: [UInt8] = [0x16, 3]

  /// For a whole handshake.
  /// - Source: etcd `transport.tlsHandshakeTimeout`.
  static let handshakeTimeout = Duration.seconds(10)

  /// - Parameters:
  ///   - takesPlain: whether those who do not begin with TLS are let in as they are.
  ///   - onRejected: told of each client that was not let in; on its loop.
  public init(
    _ material: TLSMaterial, nameCheck: NameCheck = .none, takesPlain: Bool = false,
    onRejected: @escaping @Sendable (TLSRejection) -> Void = { _ in }
  ) {
    self.material = material
    self.nameCheck = nameCheck
    self.takesPlain = takesPlain
    self.onRejected = onRejected
  }

  private func desk(_ loop: EventLoop) -> HandshakeDesk {
    desks.withLock { desks in
      if let desk = desks[ObjectIdentifier(loop)] { return desk.value }
      let desk = HandshakeDesk(loop: loop)
      desks[ObjectIdentifier(loop)] = LoopConfined(desk)
      return desk
    }
  }

  public func accept(
    _ channel: any ByteChannel, _ ready: @escaping (any ByteChannel) -> Void
  ) {
    guard takesPlain else { return shakeHands(channel, Bytes(), ready) }
    FirstBytes.read(from: channel, within: Self.handshakeTimeout) { initial in
      if initial[0] == Self.opening[0] { return self.shakeHands(channel, initial, ready) }
      ready(channel)
      channel.handler?.channelRead(initial)
    }
  }

  private func shakeHands(
    _ channel: any ByteChannel, _ initial: Bytes, _ ready: @escaping (any ByteChannel) -> Void
  ) {
    guard let session = try? TLSSession(material.current, .server, now: WallClock.seconds) else {
      return channel.abort()
    }
    let desk = desk(channel.loop)
    let address = channel.remoteAddress
    let place = LoopBox(0)
    let handshake = TLSHandshake(channel, session, timeout: Self.handshakeTimeout) { result in
      desk.leave(place.value)
      switch result {
      case .success(let secure): self.admit(secure, ready)
      case .failure(let failed):
        self.onRejected(TLSRejection(failed.failure, session, address, channel.localAddress))
      }
    }
    place.value = desk.enter(handshake)
    handshake.begin(initial)
  }

  /// What a handshake does not check.
  private func admit(_ channel: TLSChannel, _ ready: @escaping (any ByteChannel) -> Void) {
    let session = channel.session
    func reject(_ reason: String) {
      onRejected(
        TLSRejection(.refused(reason), session, channel.remoteAddress, channel.localAddress))
      channel.closeAfterFlush()
    }
    if let serial = session.revokedSerial {
      return reject("transport: certificate serial \(serial) revoked")
    }
    guard nameCheck == .fromPeers, !session.context.settings.skipsClientNames,
      let peer = session.peer, let host = channel.remoteAddress?.host
    else { return ready(channel) }
    RemoteNames.check(peer, host: host, loop: channel.loop) { problem in
      guard !channel.isClosed else { return }
      if let problem { reject(problem) } else { ready(channel) }
    }
  }

  public func dial(
    over channel: any ByteChannel, host: String, timeout: Duration,
    _ done: @escaping (Result<any ByteChannel, ChannelError>) -> Void
  ) {
    do throws(TLSFailure) {
      let session = try TLSSession(
        material.current, .client(host: host), now: WallClock.seconds)
      let handshake = TLSHandshake(channel, session, timeout: timeout) { result in
        switch result {
        case .success(let secure): done(.success(secure))
        case .failure(let failed): done(.failure(failed.failure.channelError(channel)))
        }
      }
      handshake.begin()
    } catch {
      channel.abort()
      done(.failure(.layer(error.description)))
    }
  }
}

/// Waits for what a client says first. Confined to its channel's loop.
private final class FirstBytes: ByteChannelHandler {
  private let channel: any ByteChannel
  private var decide: ((Bytes) -> Void)?
  private var timer: LoopTimer?

  /// - Parameter decide: gets at least one byte, and the channel its next handler; not called for a client that
  ///   is silent or leaves.
  static func read(
    from channel: any ByteChannel, within time: Duration, _ decide: @escaping (Bytes) -> Void
  ) {
    let reader = FirstBytes(channel, decide)
    reader.timer = channel.loop.schedule(after: time) { [weak reader] in reader?.giveUp() }
    channel.handler = reader
    channel.start()
  }

  private init(_ channel: any ByteChannel, _ decide: @escaping (Bytes) -> Void) {
    self.channel = channel
    self.decide = decide
  }

  private func giveUp() {
    decide = nil
    channel.abort()
  }

  func channelRead(_ bytes: Bytes) {
    guard let decide else { return }
    self.decide = nil
    timer?.cancel()
    decide(bytes)
  }

  func channelReadEnded() { channel.closeAfterFlush() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { timer?.cancel() }
}

/// A value that is known a little later than who needs it.
private final class LoopBox<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

extension TLSHandshake.Failure {
  fileprivate func channelError(_ channel: any ByteChannel) -> ChannelError {
    switch self {
    case .ended: .layer("EOF")
    case .timedOut: .timedOut(operation: "net/http: TLS handshake timeout")
    case .refused(let reason): .layer(reason)
    }
  }
}

/// A client that was not let in.
///
/// - Source: etcd `embed.Config.setupLogging`, `logTLSHandshakeFailureFunc`.
public struct TLSRejection: Sendable {
  public let remoteAddress: String
  /// What the client asked for; empty for nothing.
  public let serverName: String
  /// What it showed, where that was verified.
  public let certificate: CertificateFacts?
  /// In Go's words.
  public let reason: String
  /// Whether it only went away.
  public let isQuiet: Bool

  init(
    _ failure: TLSHandshake.Failure, _ session: TLSSession, _ remote: SocketAddress?,
    _ local: SocketAddress?
  ) {
    remoteAddress = remote.map { "\($0)" } ?? ""
    serverName = LogText.shortened(session.serverName)
    certificate = session.peer
    isQuiet = failure == .ended
    switch failure {
    case .ended: reason = "EOF"
    case .timedOut:
      reason = "read tcp \(local.map { "\($0)" } ?? "")->\(remoteAddress): i/o timeout"
    case .refused(let text): reason = text
    }
  }

  /// Fields of the line that tells of it.
  public var fields: [LogField] {
    var fields = [
      LogField("remote-addr", .string(remoteAddress)),
      LogField("server-name", .string(serverName)),
    ]
    if let certificate {
      fields.append(LogField("ip-addresses", .strings(certificate.ipAddresses)))
      fields.append(LogField("dns-names", .strings(certificate.dnsNames)))
    }
    fields.append(LogField("error", .string(reason)))
    return fields
  }
}
