import Bytes
import Calls
import EventLoops
import Protobuf

/// The messages of a request.
extension ServerCall {
  /// A message on its way through the pool.
  struct Inflating {
    let job: InflateJob
    let wireBytes: Int
    let connection: GRPCServerConnection
  }

  /// Content that is inflated on the loop, at most: a tenth of a millisecond.
  private static let inlineBytes = 16_384
  /// Shorter pieces that wait must not hold a whole read buffer.
  private static let detachedBytesMax = 4_096

  private var takesMessages: Bool {
    switch state {
    case .collecting, .streaming: true
    default: false
    }
  }

  /// Some of the request has come.
  func take(_ bytes: Bytes) {
    guard takesMessages else { return consumed(bytes.count) }
    guard inflating == nil else {
      // Its window stays closed meanwhile, which bounds it.
      heldInput.append(bytes.count < Self.detachedBytesMax ? bytes.detached() : bytes)
      return
    }
    credit.add(bytes.count)
    deframer.feed(bytes)
    deframe()
  }

  /// Takes messages until the input is used up or one has to be inflated first.
  private func deframe() {
    do throws(GRPCStatus) {
      while takesMessages, let piece = try deframer.next() {
        guard piece.isCompressed else {
          received(piece.bytes, piece.wireBytes)
          continue
        }
        guard let content = try inflate(piece) else { return }
        received(content, piece.wireBytes)
      }
    } catch {
      return cancelled(error)
    }
    let now = credit.settle()
    if now > 0 { consumed(now) }
    // What is late already must not wait for the rest of its request.
    if case .collecting = state { armDeadline() }
  }

  private func received(_ message: Bytes, _ wireBytes: Int) {
    if let counters = route?.counters {
      counters.received.add()
      counters.receivedBytes.add(message.count)
    }
    switch state {
    case .collecting(let handler):
      _ = credit.finishMessage(wireBytes, readLater: false)
      // As grpc-go: a unary call is served with its first message, and nobody looks at what follows.
      state = .running
      requestBytes = message.count
      guard !isLate else { return cancelled(.deadlineExceeded) }
      handler(UnaryCall(self), message)
      // Only a call that is still open needs a timer.
      if case .running = state { armDeadline() }
    case .streaming:
      let owed = credit.finishMessage(wireBytes, readLater: true)
      stream?.deliver(message, wireBytes: owed)
    default: break
    }
  }

  /// Whether the client does not wait any more. The time of a turn is too coarse for less than a
  /// millisecond.
  private var isLate: Bool {
    guard let deadline else { return false }
    return deadline <= (deadline &- startedAt < 1_000_000 ? loop.preciseNow : loop.now)
  }

  /// The client sends no more.
  func endInput() {
    switch state {
    case .collecting: cancelled(GRPCStatus(.internal, "unexpected EOF"))
    case .streaming:
      if deframer.isAtBoundary {
        stream?.inputEnded()
      } else {
        cancelled(GRPCStatus(.internal, "unexpected EOF"))
      }
    default: break
    }
  }

  // MARK: compressed messages

  /// The content of a small message; `nil` when it is inflated elsewhere and comes with `inflated`.
  private func inflate(_ piece: DeframedMessage) throws(GRPCStatus) -> Bytes? {
    let limit = server.configuration.receivedMessageBytesMax
    let bytes = piece.bytes
    let isShort = bytes.count < Self.detachedBytesMax
    let inflater = try Inflater(isShort ? bytes.detached() : bytes, limit: limit)
    if let content = try inflater.step(Self.inlineBytes) { return content }
    guard let connection = connection as? GRPCServerConnection else { return nil }
    let job = InflateJob(
      owner: ObjectIdentifier(connection), cost: Inflater.contentBytesMax(bytes.count, limit),
      inflater
    ) { [loop, call = LoopConfined(self)] job, result in
      loop.execute {
        call.value.inflated(job, result)
        InflatePool.shared.release(job)
      }
    }
    inflating = Inflating(job: job, wireBytes: piece.wireBytes, connection: connection)
    connection.inflateBegan()
    InflatePool.shared.submit(job)
    return nil
  }

  /// A message is inflated, or cannot be.
  private func inflated(_ job: InflateJob, _ result: Result<Bytes, GRPCStatus>) {
    guard let current = inflating, current.job === job else { return }
    inflating = nil
    current.connection.inflateEnded()
    switch result {
    case .failure(let status): return cancelled(status)
    case .success(let content): received(content, current.wireBytes)
    }
    deframe()
    let held = heldInput
    heldInput = []
    // Behind a further message that is being inflated they are held again.
    for bytes in held { take(bytes) }
    guard heldEnd, inflating == nil else { return }
    heldEnd = false
    endInput()
  }

  /// What has come and was not used is of no use any more.
  func dropInput() {
    heldInput = []
    guard let current = inflating else { return }
    inflating = nil
    current.job.cancel()
    current.connection.inflateEnded()
  }
}
