import Bytes
import EventLoops
import Protobuf

/// A stream from within the process, as its client has it. Confined to `loop`.
///
/// Requests that the service has not read yet and answers that the client has not read are counted, so
/// that either side can hold the other up.
public final class LocalStream: LocalOrigin, StreamOrigin, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted where requests enter and in `MessageReader`.

  private let reader: MessageReader
  private var stream: ServerStream?
  public private(set) var queuedBytes = 0
  /// Bytes of requests that wait for the service.
  public private(set) var unreadBytes = 0
  /// Called when the service has read a request.
  public var onRead: (() -> Void)?
  private let answersTaken = AnswersTaken()

  /// Gives the service room when its client has read something.
  private final class AnswersTaken: MessageSource {
    weak var stream: LocalStream?
    func taken(_ wireBytes: Int) { stream?.answerTaken(wireBytes) }
  }

  override init(_ route: CallRouter.Route, _ context: LocalContext, on loop: EventLoop) {
    reader = MessageReader(loop: loop)
    super.init(route, context, on: loop)
    answersTaken.stream = self
    reader.source = answersTaken
  }

  /// Requests are taken from now on, and the time that the client waits begins.
  func arm() {
    stream = ServerStream(self)
    armDeadline { [weak self] in self?.giveUp(.deadlineExceeded) }
  }

  func begin(_ handler: @escaping CallRouter.StreamHandler) { stream?.start(handler) }

  // MARK: the client's side

  /// The answers, for one reader; they end with an error unless the status is OK.
  public var answers: MessageSequence { MessageSequence(reader) }

  /// The next answer; `nil` when the service has ended the stream with OK.
  /// - Throws: `GRPCStatus` of the end, or `CancellationError`.
  public func next() async throws -> Bytes? { try await reader.next() }

  /// Sends a request; it waits until the service reads it, as `unreadBytes` says.
  public func send(_ request: Bytes) {
    loop.preconditionCurrent()
    guard isOpen, let stream else { return }
    countReceived(request.count)
    // As over a connection, with its prefix: a message without fields is not for nothing.
    let wireBytes = request.count + MessageBody.prefixBytes
    unreadBytes += wireBytes
    stream.deliver(request, wireBytes: wireBytes)
  }

  /// Nothing more is sent.
  public func endRequests() {
    loop.preconditionCurrent()
    stream?.inputEnded()
  }

  /// The client is not interested any more.
  public func cancel() { giveUp(.cancelled) }

  private func giveUp(_ status: GRPCStatus) {
    guard end(status) else { return }
    onRead = nil
    reader.fail(status)
    let stream = stream
    self.stream = nil
    stream?.cancel(status)
  }

  private func answerTaken(_ bytes: Int) {
    queuedBytes -= bytes
    stream?.outboundProgressed()
  }

  // MARK: the service's side

  public func taken(_ wireBytes: Int) {
    unreadBytes -= wireBytes
    onRead?()
  }

  public func sendHead() {}

  public func send(_ body: MessageBody) {
    guard isOpen else { return }
    guard let message = body.joined() else {
      return giveUp(GRPCStatus(.internal, "an answer of \(path) broke off"))
    }
    countSent(message.count)
    let wireBytes = message.count + MessageBody.prefixBytes
    queuedBytes += wireBytes
    reader.deliver(message, wireBytes: wireBytes)
  }

  public func handlerEnded(_ status: GRPCStatus, _ trailers: Metadata) {
    stream = nil
    onRead = nil
    guard end(status) else { return }
    // What was sent before an error is read before it.
    if status.code == .ok { reader.finish() } else { reader.finish(throwing: status) }
  }
}

extension MessageBody {
  /// All bytes of the message without its prefix; `nil` when it broke off.
  func joined() -> Bytes? {
    switch self {
    case .bytes(let bytes): return bytes
    case .framed(let bytes): return bytes[Self.prefixBytes..<bytes.count]
    case .chunks(let parts):
      var out = ByteWriter(capacity: length)
      for part in parts { out.append(part) }
      return out.finish()
    case .pull(let length, let next):
      var out = ByteWriter(capacity: length)
      while out.count < length {
        guard let piece = next(length - out.count), !piece.isEmpty else { return nil }
        out.append(piece)
      }
      return out.finish()
    }
  }
}
