import Bytes
import EventLoops

/// Messages of a stream as a sequence for one reader. A message is taken from the peer's window
/// only when it is read.
public struct MessageSequence: AsyncSequence {
  public typealias Element = Bytes
  let reader: MessageReader

  public init(_ reader: MessageReader) { self.reader = reader }

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
  // @unchecked: confined to `loop`, asserted in `enqueue` and `MessageReader.next`.
  public let loop: EventLoop
  private let origin: any StreamOrigin
  let reader: MessageReader
  private let room: SendGate
  private var task: Task<Void, Never>?
  private var trailers = Metadata()
  private var endStatus = GRPCStatus.cancelled
  private var writable: (() -> Void)?

  public init(_ origin: any StreamOrigin) {
    self.origin = origin
    loop = origin.loop
    reader = MessageReader(loop: origin.loop)
    room = SendGate(loop: origin.loop)
    reader.source = origin
  }

  public var metadata: Metadata { origin.metadata }
  /// Metadata and certificate of the client.
  public var caller: Caller { origin.caller }
  public var path: String { origin.path }
  public var remoteAddress: SocketAddress? { origin.remoteAddress }
  /// When the client stops waiting, in the loop's monotonic nanoseconds.
  public var deadline: UInt64? { origin.deadline }
  /// Whether messages would still be sent.
  public var isOpen: Bool { origin.isOpen }
  /// Bytes in memory that wait for the client.
  public var queuedBytes: Int { origin.queuedBytes }
  /// The requests; one reader.
  public var requests: MessageSequence { MessageSequence(reader) }

  /// The requests that are there, once there is one: none at the end.
  /// - Throws: the status the stream ended with, or `CancellationError`.
  public func nextRequests(limit: Int) async throws -> [Bytes] {
    try await reader.nextBatch(limit: limit)
  }

  /// Adds initial metadata, sent with the first message.
  public func addMetadata(_ name: String, _ value: Bytes) { origin.addMetadata(name, value) }

  /// Adds trailing metadata, sent with the status.
  public func addTrailer(_ name: String, _ value: Bytes) { trailers.add(name, value) }

  /// Sends the head now, before any message.
  public func sendHead() {
    loop.preconditionCurrent()
    if isOpen { origin.sendHead() }
  }

  /// Sends a message; waits while more than 256 KiB of earlier ones are queued.
  /// - Throws: the status the stream ended with, or `CancellationError`.
  public func send(_ message: Bytes) async throws { try await send(.bytes(message)) }

  /// Sends a message of any form.
  public func send(_ body: MessageBody) async throws {
    try enqueue(body)
    try await awaitRoom()
  }

  /// Queues a message without waiting; the caller watches `queuedBytes` and `onWritable`.
  /// - Throws: the status the stream ended with.
  public func enqueue(_ body: MessageBody) throws(GRPCStatus) {
    loop.preconditionCurrent()
    guard isOpen else { throw endStatus }
    origin.send(body)
  }

  /// Waits while more than 256 KiB are queued.
  /// - Throws: the status the stream ended with, or `CancellationError`.
  public func awaitRoom() async throws {
    guard origin.queuedBytes > SendGate.highBytes else { return }
    try await room.wait { [self] in origin.queuedBytes > SendGate.highBytes && isOpen }
  }

  /// Waits until the stream is over, whatever becomes of its queue.
  /// - Throws: the status it ended with, or `CancellationError`.
  public func awaitEnd() async throws {
    while isOpen { try await room.wait { [self] in isOpen } }
  }

  /// Ends the stream from this side: whoever reads requests or waits for room or the end gets `status`,
  /// which the handler should end with.
  public func interrupt(_ status: GRPCStatus) {
    loop.preconditionCurrent()
    reader.fail(status)
    room.open(status)
  }

  /// Ends the requests: a handler that still reads them gets `status`, and should end with it. One that only
  /// answers goes on.
  public func endRequests(_ status: GRPCStatus) {
    loop.preconditionCurrent()
    reader.fail(status)
  }

  /// Calls `body` on the loop once, when less than 64 KiB are queued.
  public func onWritable(_ body: @escaping () -> Void) { writable = body }

  // MARK: the origin's side

  /// Starts the handler's task.
  public func start(_ handler: @escaping CallRouter.StreamHandler) {
    task = Task(executorPreference: loop) { [self] in
      let status: GRPCStatus
      do { status = try await handler(self) } catch { status = GRPCStatus(error) }
      loop.preconditionCurrent()
      origin.handlerEnded(status, trailers)
      reader.fail(status)
      task = nil
    }
  }

  /// A request has arrived.
  /// - Parameter wireBytes: what the origin hears of in `taken` once it was read.
  public func deliver(_ message: Bytes, wireBytes: Int) {
    reader.deliver(message, wireBytes: wireBytes)
  }

  /// The client sends no more.
  public func inputEnded() { reader.finish() }

  /// The stream is over: everything that waits ends with `status`.
  public func cancel(_ status: GRPCStatus) {
    endStatus = status
    reader.fail(status)
    room.open(status)
    writable = nil
    task?.cancel()
  }

  /// Some of what was queued has left.
  public func outboundProgressed() {
    guard origin.queuedBytes < SendGate.highBytes / 4 else { return }
    room.open()
    if let body = writable {
      writable = nil
      // Not inside a callback of the origin.
      let box = LoopConfined(body)
      loop.execute { box.value() }
    }
  }
}
