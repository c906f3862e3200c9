import Bytes
import EventLoops

/// Messages of a stream as a sequence for one reader. A message is taken from the peer's window
/// only when it is read.
public struct MessageSequence: AsyncSequence {
  public typealias Element = Bytes
  let reader: MessageReader

  public struct AsyncIterator: AsyncIteratorProtocol {
    let reader: MessageReader
    /// The next message; `nil` when the peer has sent all.
    /// - Throws: `GRPCStatus` when the stream failed, `CancellationError`.
    public mutating func next() async throws -> Bytes? { try await reader.next() }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }
}

/// A streaming call, given to its handler's task, which runs on `loop`.
///
/// The task is cancelled when the client cancels, disconnects or its deadline passes.
public final class ServerStream: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `send`, `enqueue` and `MessageReader.next`.
  public let loop: EventLoop
  private let call: ServerCall
  let reader: MessageReader
  private let room: SendGate
  private var task: Task<Void, Never>?
  private var trailers = Metadata()
  private var endStatus = GRPCStatus.cancelled
  private var writable: (() -> Void)?

  init(_ call: ServerCall) {
    self.call = call
    loop = call.loop
    reader = MessageReader(loop: call.loop)
    room = SendGate(loop: call.loop)
    reader.stream = call
  }

  public var metadata: Metadata { call.requestMetadata }
  public var path: String { call.route?.path ?? "" }
  public var remoteAddress: SocketAddress? { call.remoteAddress }
  /// The connection's channel, to ask a TLS layer about the peer; `nil` once it has gone.
  public var channel: (any ByteChannel)? { call.connection?.channel }
  /// When the client stops waiting, in the loop's monotonic nanoseconds.
  public var deadline: UInt64? { call.deadline }
  /// Whether messages would still be sent.
  public var isOpen: Bool { !call.isFinished && !call.isClosed }
  /// Bytes in memory that wait for the client.
  public var queuedBytes: Int { call.outbound.queuedBytes }
  /// The requests; one reader.
  public var requests: MessageSequence { MessageSequence(reader: reader) }

  /// Adds initial metadata, sent with the first message.
  public func addMetadata(_ name: String, _ value: Bytes) { call.replyMetadata.add(name, value) }

  /// Adds trailing metadata, sent with the status.
  public func addTrailer(_ name: String, _ value: Bytes) { trailers.add(name, value) }

  /// Sends the head now, before any message.
  public func sendHead() {
    loop.preconditionCurrent()
    if isOpen { call.sendHead() }
  }

  /// Sends a message; waits while more than 256 KiB of earlier ones are queued.
  /// - Throws: the status the stream ended with, or `CancellationError`.
  public func send(_ message: Bytes) async throws { try await send(.bytes(message)) }

  /// Sends a message of any form.
  public func send(_ body: MessageBody) async throws {
    try enqueue(body)
    guard call.outbound.queuedBytes > SendGate.highBytes else { return }
    try await room.wait { [self] in
      call.outbound.queuedBytes > SendGate.highBytes && !call.isClosed
    }
  }

  /// Queues a message without waiting; the caller watches `queuedBytes` and `onWritable`.
  /// - Throws: the status the stream ended with.
  public func enqueue(_ body: MessageBody) throws(GRPCStatus) {
    loop.preconditionCurrent()
    guard isOpen else { throw endStatus }
    call.send(body)
  }

  /// Calls `body` on the loop once, when less than 64 KiB are queued.
  public func onWritable(_ body: @escaping () -> Void) { writable = body }

  // MARK: the connection's side

  func start(_ handler: @escaping GRPCRouter.StreamHandler) {
    task = Task(executorPreference: loop) { [self] in
      let status: GRPCStatus
      do { status = try await handler(self) } catch { status = GRPCStatus(error) }
      loop.preconditionCurrent()
      call.finish(status, trailers)
      reader.fail(status)
      call.stream = nil
      task = nil
    }
  }

  /// The stream is over: everything that waits ends with `status`.
  func cancel(_ status: GRPCStatus) {
    endStatus = status
    reader.fail(status)
    room.open(status)
    writable = nil
    task?.cancel()
  }

  func outboundProgressed() {
    guard call.outbound.queuedBytes < SendGate.highBytes / 4 else { return }
    room.open()
    if let body = writable {
      writable = nil
      // Not inside a callback of nghttp2.
      let box = LoopConfined(body)
      loop.execute { box.value() }
    }
  }
}
