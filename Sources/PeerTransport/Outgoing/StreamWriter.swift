import Bytes
import EtcdAPI
import EventLoops
import HTTP

/// The writing end of one stream: the answer to a request of the peer that never ends.
///
/// Messages of one turn are written together. What the connection does not take waits in a bounded
/// queue. Confined to the transport's loop.
final class StreamWriter: TurnEndHandler {
  private let kind: StreamKind
  private let peer: Peer
  private var exchange: HTTPExchange?
  private var encoder: StreamEncoder
  private var queue: [Raftpb.Message] = []
  private var queuedBytes = 0
  private var isScheduled = false
  private var heartbeat: LoopTimer?
  /// Bytes handed to the connection, and how many of them had left when it was last seen moving.
  private var written = 0
  private var leftBefore = 0
  private var movedAt: UInt64 = 0

  /// Bytes encoded at a time.
  private static let blockBytes = 256 * 1024
  private static let watermarks = Watermarks(low: 256 * 1024, high: 1 << 20)

  init(_ kind: StreamKind, _ peer: Peer) {
    self.kind = kind
    self.peer = peer
    encoder = StreamEncoder(kind)
    peer.context.logger.info("started stream writer with remote peer", peer.bothIDs)
  }

  /// Whether there is a connection.
  var isWorking: Bool { exchange != nil }

  private var names: [LogField] {
    [LogField("stream-writer-type", .string(kind.name))] + peer.bothIDs
  }

  // MARK: connection

  /// Starts to answer `exchange`; a connection before it is closed.
  func attach(_ exchange: HTTPExchange) {
    let logger = peer.context.logger
    let replaced = release()
    self.exchange = exchange
    encoder = StreamEncoder(kind)
    written = 0
    leftBefore = 0
    movedAt = peer.context.loop.now
    exchange.channel?.watermarks = Self.watermarks
    exchange.onDisconnect = { [weak self, unowned exchange] in
      guard let self, self.exchange === exchange else { return }
      self.lost("write", "EOF")
    }
    exchange.onWritable = { [weak self] in self?.drain() }
    logger.info(
      "set message encoder",
      [
        .id("from", peer.context.localID), .id("to", peer.id),
        LogField("stream-type", .string(kind.name)),
      ])
    peer.status.activate()
    tell(isUp: true)
    if replaced { logger.warn("closed TCP streaming connection with remote peer", names) }
    logger.info("established TCP streaming connection with remote peer", names)
    let interval = peer.context.configuration.readTimeout / 3
    heartbeat = peer.context.loop.schedule(after: interval, repeating: interval) { [weak self] in
      self?.beat()
    }
  }

  /// Ends the stream. Returns whether there was one.
  private func release() -> Bool {
    heartbeat?.cancel()
    heartbeat = nil
    if !queue.isEmpty { peer.unreachable() }
    queue.removeAll()
    queuedBytes = 0
    guard let last = exchange else { return false }
    exchange = nil
    tell(isUp: false)
    last.onDisconnect = nil
    last.onWritable = nil
    // A connection that takes nothing would keep what is queued on it.
    if last.channel?.pendingWriteBytes ?? 0 > 0 { last.abort() } else { last.finish() }
    return true
  }

  /// The stream of messages is the one that proposals take.
  private func tell(isUp: Bool) {
    guard case .message = kind else { return }
    peer.context.delegate?.streamChanged(peer.id, isUp: isUp)
  }

  private func lost(_ action: String, _ reason: String) {
    peer.status.deactivate(source: kind.name, action: action, reason: reason)
    peer.metrics.sentFailures.add()
    if let exchange { exchange.abort() }
    _ = release()
    peer.context.logger.warn("lost TCP streaming connection with remote peer", names)
  }

  func stop() {
    let logger = peer.context.logger
    if release() { logger.warn("closed TCP streaming connection with remote peer", names) }
    logger.info("stopped TCP streaming connection with remote peer", names)
  }

  // MARK: messages

  /// Takes a message; it leaves at the end of the turn.
  /// - Returns: `false` when the queue is full.
  func enqueue(_ message: Raftpb.Message) -> Bool {
    let limits = peer.context.configuration
    let size = message.queuedBytes
    func isFull() -> Bool {
      queue.count >= limits.streamQueueMessages
        || (!queue.isEmpty && queuedBytes + size > limits.streamQueueBytes)
    }
    if isFull() { drain() }
    guard !isFull() else { return false }
    queue.append(message)
    queuedBytes += size
    if !isScheduled {
      isScheduled = true
      peer.context.loop.atTurnEnd(self)
    }
    return true
  }

  func turnEnd() {
    isScheduled = false
    drain()
  }

  private func drain() {
    guard let exchange else { return }
    var taken = 0
    while taken < queue.count, exchange.isWritable {
      var out = ByteWriter(capacity: min(queuedBytes + 64, Self.blockBytes))
      while taken < queue.count, out.count < Self.blockBytes {
        encoder.encode(queue[taken], into: &out)
        queuedBytes -= queue[taken].queuedBytes
        taken += 1
      }
      write(out.finish(), to: exchange)
    }
    if taken == queue.count {
      queue.removeAll(keepingCapacity: true)
      queuedBytes = 0
    } else if taken > 0 {
      queue.removeFirst(taken)
    }
  }

  private func write(_ bytes: Bytes, to exchange: HTTPExchange) {
    written += bytes.count
    peer.metrics.sentBytes.add(bytes.count)
    exchange.write(bytes)
  }

  /// Keeps the stream alive, and gives it up when the peer takes nothing.
  private func beat() {
    guard let exchange else { return }
    let pending = exchange.channel?.pendingWriteBytes ?? 0
    let now = peer.context.loop.now
    let left = written - pending
    if pending == 0 || left > leftBefore { movedAt = now }
    leftBefore = left
    if now &- movedAt > peer.context.configuration.writeTimeout.wholeNanoseconds {
      lost("heartbeat", "i/o timeout")
      return
    }
    guard !peer.isPaused, queue.isEmpty, exchange.isWritable else { return }
    var out = ByteWriter(capacity: 64)
    encoder.encodeHeartbeat(into: &out)
    write(out.finish(), to: exchange)
  }
}

extension Duration {
  /// Nanoseconds; zero for negative durations.
  var wholeNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000)
  }
}
