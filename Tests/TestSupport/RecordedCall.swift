import Bytes
import Calls
import EventLoops

/// A call that no connection brings: what a service sends is kept. Confined to `loop`.
public class RecordedCall: UnaryOrigin, @unchecked Sendable {
  // @unchecked: confined to `loop`.
  public let loop: EventLoop
  public let path: String
  public let metadata: Metadata
  public let certificate: PeerCertificate?
  public let remoteAddress: SocketAddress? = nil
  public let deadline: UInt64? = nil
  public var onCancel: (() -> Void)?
  /// Messages sent, without their prefixes.
  public fileprivate(set) var messages: [Bytes] = []
  /// How the call ended; `nil` while it is open.
  public private(set) var status: GRPCStatus?
  private var waiters: [CheckedContinuation<Void, Never>] = []

  public init(_ loop: EventLoop, _ path: String, _ caller: Caller = Caller(metadata: [:])) {
    self.loop = loop
    self.path = path
    metadata = caller.metadata
    certificate = caller.certificate
  }

  public var isOpen: Bool { status == nil }

  public func addMetadata(_ name: String, _ value: Bytes) {}

  public func respond(_ body: MessageBody, trailers: Metadata) {
    guard isOpen else { return }
    messages.append(Self.content(of: body))
    finish(.ok, trailers)
  }

  public func finish(_ status: GRPCStatus, _ trailers: Metadata) {
    guard isOpen else { return }
    self.status = status
    onCancel = nil
    changed()
  }

  /// The client gives up.
  public func cancel() {
    guard isOpen else { return }
    let callback = onCancel
    finish(.cancelled, [:])
    callback?()
  }

  fileprivate func changed() {
    let all = waiters
    waiters = []
    for waiter in all { waiter.resume() }
  }

  /// Waits while `isEarly`, which is asked again after each change; on the loop.
  func wait(while isEarly: @escaping @Sendable () -> Bool) async {
    while isEarly() {
      await withCheckedContinuation { continuation in
        // Other work of the loop may have run since the first look.
        if isEarly() { waiters.append(continuation) } else { continuation.resume() }
      }
    }
  }

  /// Waits until the call has ended; on the loop.
  public func ended() async -> GRPCStatus {
    await wait { self.status == nil }
    return status ?? .cancelled
  }

  /// All bytes of a message.
  fileprivate static func content(of body: MessageBody) -> Bytes {
    var out = ByteWriter(capacity: body.length)
    switch body {
    case .bytes(let bytes): out.append(bytes)
    case .framed(let bytes): out.append(bytes[MessageBody.prefixBytes..<bytes.count])
    case .chunks(let parts): for part in parts { out.append(part) }
    case .pull(let length, let next):
      while out.count < length, let piece = next(min(65_536, length - out.count)) {
        out.append(piece)
      }
    }
    return out.finish()
  }
}

/// A stream that no connection brings. Confined to `loop`.
public final class RecordedStream: RecordedCall, StreamOrigin, @unchecked Sendable {
  // @unchecked: confined to `loop`.
  /// What the service has not been told to have left yet.
  public private(set) var queuedBytes = 0
  /// Whether the client takes nothing.
  public var isStalled = false
  /// Bytes of requests that the service has read.
  public private(set) var takenBytes = 0
  private var stream: ServerStream?

  /// Begins the call.
  public func start(_ handler: @escaping CallRouter.StreamHandler) {
    let stream = ServerStream(self)
    self.stream = stream
    stream.start(handler)
  }

  /// Sends a request.
  public func request(_ message: Bytes) { stream?.deliver(message, wireBytes: message.count) }

  /// The client sends no more.
  public func endRequests() { stream?.inputEnded() }

  /// The client takes everything that waits.
  public func drain() {
    isStalled = false
    queuedBytes = 0
    stream?.outboundProgressed()
  }

  /// The client gives up.
  public override func cancel() {
    finish(.cancelled, [:])
    stream?.cancel(.cancelled)
  }

  public func sendHead() {}

  public func send(_ body: MessageBody) {
    let content = Self.content(of: body)
    messages.append(content)
    if isStalled { queuedBytes += content.count }
    changed()
  }

  public func taken(_ wireBytes: Int) { takenBytes += wireBytes }

  public func handlerEnded(_ status: GRPCStatus, _ trailers: Metadata) {
    finish(status, trailers)
    stream = nil
  }

  /// Waits until the service sends no more for now, or has ended; on the loop.
  public func stalled() async {
    await wait { self.isOpen && self.queuedBytes <= SendGate.highBytes }
  }

  /// Waits until so many messages were sent, or the call has ended; on the loop.
  public func received(_ count: Int) async -> [Bytes] {
    await wait { self.messages.count < count && self.isOpen }
    return messages
  }
}
