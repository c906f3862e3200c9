import Bytes
import EtcdAPI
import EventLoops
import GoText
import HTTP

/// Posts one snapshot: the message, then the database file as the connection takes it.
/// Confined to the transport's loop.
final class SnapshotSender: HTTPResponseHandler, @unchecked Sendable {
  // @unchecked: confined to the loop; the worker only reads `source`, a piece at a time.

  private let peer: Peer
  private let message: Raftpb.Message
  private let source: any SnapshotSource
  private let metrics: SnapshotMetrics
  private let url: PeerURL
  private var call: HTTPClientCall?
  private var done: (() -> Void)?
  private var front: Bytes
  private var offset = 0
  /// Bytes of the body that the connection was given, and the most of them that were seen to have left it.
  private var given = 0
  private var left = 0
  private var bodySent = false
  /// Whether the worker reads a piece.
  private var isReading = false
  private var head: HTTPResponseHead?
  private var answer: [UInt8] = []
  private var startedAt: UInt64 = 0
  private var watchdog: Watchdog?

  private static let pieceBytes = 128 * 1024
  private static let answerBytesMax = 65_536
  /// Bytes of a database that a receiver makes durable and looks through in a second at least.
  private static let checkedBytesPerSecond = 64 << 20

  init(_ peer: Peer, _ message: Raftpb.Message, _ source: any SnapshotSource) {
    self.peer = peer
    self.message = message
    self.source = source
    url = peer.picker.current
    metrics = .sending(peer.context.configuration.metrics, to: peer.id)
    var out = ByteWriter(capacity: message.queuedBytes)
    var encoder = StreamEncoder(.message)
    encoder.encode(message, into: &out)
    front = out.finish()
  }

  private var fields: [LogField] {
    let size = UInt64(source.totalSize)
    return [
      LogField("snapshot-index", .uint(message.snapshot?.metadata.index ?? 0)),
      .id("remote-peer-id", peer.id), LogField("bytes", .uint(size)),
      LogField("size", .string(HumanSize.text(size))),
    ]
  }

  func start(_ done: @escaping () -> Void) {
    self.done = done
    let context = peer.context
    startedAt = context.loop.now
    metrics.inFlight.add(1)
    context.logger.info("sending database snapshot", fields)
    var request = HTTPClientRequest(
      "POST", url.origin, "/raft/snapshot",
      headers: context.headers(contentType: "application/octet-stream"),
      body: .stream(length: front.count + source.totalSize))
    request.connectTimeout = context.configuration.dialTimeout
    request.headTimeout =
      context.configuration.snapshotStallTimeout
      + .seconds(source.totalSize / Self.checkedBytesPerSecond)
    request.idleTimeout = context.configuration.snapshotResponseTimeout
    watchdog = Watchdog(loop: context.loop) { [weak self] in self?.stallTimePassed() }
    watchdog?.set(after: context.configuration.snapshotStallTimeout)
    let started = context.pipelineClient.start(request, self)
    guard self.done != nil else { return }
    call = started
    requestWritable()
  }

  /// The peer is gone: nobody is told.
  func stop() {
    guard done != nil else { return }
    end()
  }

  private func end() {
    let callback = done
    done = nil
    watchdog?.cancel()
    watchdog = nil
    let last = call
    call = nil
    last?.cancel()
    metrics.inFlight.add(-1)
    source.close()
    callback?()
  }

  // MARK: HTTPResponseHandler

  /// Queues pieces until the connection has enough of them.
  func requestWritable() {
    guard done != nil, !bodySent, let call, let channel = call.channel else { return }
    let room = peer.context.configuration.snapshotQueueBytes - Self.pieceBytes
    let high = max(room, Self.pieceBytes)
    channel.watermarks = Watermarks(low: high / 4, high: high)
    if !front.isEmpty {
      write(front, on: call)
      front = Bytes()
    }
    noteProgress()
    readOn()
  }

  private func write(_ bytes: Bytes, on call: HTTPClientCall) {
    given += bytes.count
    call.write(bytes)
  }

  /// Gives the transfer its time anew when bytes have left the connection since the last look: a peer that
  /// takes nothing stalls, however many pieces are read for it.
  /// - Returns: whether they have.
  @discardableResult private func noteProgress() -> Bool {
    guard !bodySent, let channel = call?.channel, given - channel.pendingWriteBytes > left else {
      return false
    }
    left = given - channel.pendingWriteBytes
    watchdog?.set(after: peer.context.configuration.snapshotStallTimeout)
    return true
  }

  private func stallTimePassed() { if !noteProgress() { finish(.stalled) } }

  /// Reads the next piece as long as the connection has room.
  private func readOn() {
    guard done != nil, !isReading, !bodySent, let call else { return }
    guard offset < source.totalSize else {
      bodySent = true
      // From here on the request's own deadline holds.
      watchdog?.clear()
      call.finishBody()
      return
    }
    guard call.isWritable else { return }
    isReading = true
    let (source, offset) = (source, offset)
    let count = min(Self.pieceBytes, source.totalSize - offset)
    peer.context.onWorker { () -> Result<Bytes, SnapshotError> in
      do throws(SnapshotError) {
        let piece = try source.read(offset: offset, count: count)
        guard piece.count == count else { throw SnapshotError("snapshot source ended early") }
        return .success(piece)
      } catch { return .failure(error) }
    } _: { [self] result in
      isReading = false
      guard done != nil, let call = self.call else { return }
      switch result {
      case .success(let piece):
        self.offset += count
        write(piece, on: call)
        noteProgress()
        readOn()
      case .failure(let error): finish(.source(error))
      }
    }
  }

  func responseHead(_ head: HTTPResponseHead) { self.head = head }

  func responseData(_ bytes: Bytes) {
    answer.append(contentsOf: bytes.prefix(Self.answerBytesMax - answer.count))
  }

  func responseEnded() {
    call = nil
    guard done != nil, let head else { return }
    finish(
      peer.context.checkPost(
        head, body: String(decoding: answer, as: UTF8.self), url: url.text + "/raft/snapshot",
        to: peer.id))
  }

  func responseFailed(_ error: HTTPClientError) {
    call = nil
    finish(.http(error))
  }

  private func finish(_ error: PeerRequestError?) {
    guard done != nil else { return }
    let context = peer.context
    if let error {
      context.logger.warn("failed to send database snapshot", fields + [.error(error)])
      if case .memberRemoved = error { context.localWasRemoved() }
      peer.picker.unreachable(url)
      peer.status.deactivate(source: "sendMsgSnap", action: "post", reason: "\(error)")
      peer.unreachable()
      peer.metrics.sentFailures.add()
      metrics.failures.add()
    } else {
      context.logger.info("sent database snapshot", fields)
      peer.status.activate()
      peer.metrics.sentBytes.add(source.totalSize)
      metrics.success.add()
      metrics.duration.observe(Duration.nanoseconds(Int64(context.loop.now &- startedAt)))
    }
    end()
    context.delegate?.reportSnapshot(peer.id, failed: error != nil)
  }
}
