import Bytes
import EtcdAPI
import EventLoops
import GoText
import HTTP

/// Reads a posted snapshot: the message, then the database file into a sink, never faster than the
/// sink takes it. Confined to the transport's loop.
final class SnapshotReceiver: HTTPBodyConsumer, @unchecked Sendable {
  // @unchecked: confined to the loop; the sink's callbacks hop to it first.
  private enum Phase {
    case message
    case database(Raftpb.Message, any SnapshotSink)
    case saving
    case over
  }

  private let exchange: HTTPExchange
  private let context: PeerContext
  private let admit: (Raftpb.Message) -> Bool
  private let refuse: (Int, String) -> Void
  private let ended: (SnapshotReceiver, Raftpb.Message?) -> Void
  /// Who the request says sends it.
  let claimedSender: MemberID?
  /// When something came last, on the loop's clock.
  private(set) var lastInput: UInt64
  private var decoder: StreamDecoder
  private var phase = Phase.message
  private var sender: MemberID?
  private var metrics: SnapshotMetrics?
  private var size = 0
  private var ignored = 0
  private var sawInput = false
  private let startedAt: UInt64

  /// Bytes of a refused database that are skipped, so that the sender reads the answer; then the
  /// connection is closed.
  private static let ignoredBytesMax = 1 << 20

  /// - Parameters:
  ///   - admit: whether the message may be handed on; answers when not.
  ///   - refuse: answers with a status and text.
  ///   - ended: called once; with the message when the database was saved.
  init(
    _ exchange: HTTPExchange, _ context: PeerContext, sender: MemberID?,
    admit: @escaping (Raftpb.Message) -> Bool, refuse: @escaping (Int, String) -> Void,
    ended: @escaping (SnapshotReceiver, Raftpb.Message?) -> Void
  ) {
    self.exchange = exchange
    self.context = context
    self.sender = sender
    self.admit = admit
    self.refuse = refuse
    self.ended = ended
    startedAt = context.loop.now
    lastInput = startedAt
    claimedSender = sender
    decoder = StreamDecoder(
      .message, local: context.localID, remote: sender ?? MemberID.none,
      limit: context.configuration.messageLimit)
  }

  func start() { exchange.streamBody(self) }

  private var ids: [LogField] {
    [
      .id("local-member-id", context.localID),
      .id("remote-snapshot-sender-id", sender ?? MemberID.none),
    ]
  }

  private func indexField(_ message: Raftpb.Message) -> LogField {
    LogField("incoming-snapshot-index", .uint(message.snapshot?.metadata.index ?? 0))
  }

  /// Gives the transfer up for a newer one.
  func supersede() {
    switch phase {
    case .message:
      refuse(500, "a newer snapshot took the place of this one")
      end(nil)
      exchange.abort()
    case .database(let message, let sink):
      failed(message, sink, "a newer snapshot took its place")
      exchange.abort()
    // What is complete is of use.
    case .saving, .over: break
    }
  }

  // MARK: HTTPBodyConsumer

  func bodyData(_ bytes: Bytes) {
    if case .over = phase {
      ignored += bytes.count
      if ignored > Self.ignoredBytesMax { exchange.abort() }
      return
    }
    sawInput = true
    lastInput = context.loop.now
    var input = bytes
    if case .message = phase {
      do throws(StreamDecodeError) {
        guard let message = try decoder.next(&input) else { return }
        begin(message)
      } catch {
        undecodable("\(error)")
        return
      }
    }
    guard case .database(let message, let sink) = phase, !input.isEmpty else { return }
    size += input.count
    do throws(SnapshotError) {
      if try !sink.write(input) { exchange.pauseBody() }
    } catch {
      failed(message, sink, error.description)
    }
  }

  func bodyEnded() {
    switch phase {
    case .message: undecodable(sawInput ? "unexpected EOF" : "EOF")
    case .database(let message, let sink):
      phase = .saving
      sink.finish { [self] result in
        context.loop.execute { self.saved(message, sink, result) }
      }
    case .saving, .over: break
    }
  }

  func bodyFailed(_ error: HTTPBodyError) {
    switch phase {
    case .message: undecodable("\(error)")
    case .database(let message, let sink): failed(message, sink, "\(error)")
    case .saving, .over: break
    }
  }

  // MARK: steps

  private func begin(_ message: Raftpb.Message) {
    sender = message.sender
    let metrics = SnapshotMetrics.receiving(context.configuration.metrics, from: message.sender)
    guard message.type == .snap, message.snapshot != nil else {
      context.logger.warn(
        "unexpected Raft message type",
        ids + [LogField("message-type", .string(message.type.logName))])
      metrics.failures.add()
      refuse(400, "wrong raft message type")
      return end(nil)
    }
    guard admit(message) else {
      metrics.failures.add()
      return end(nil)
    }
    self.metrics = metrics
    metrics.inFlight.add(1)
    let bytes = message.encodedSize
    context.logger.info(
      "receiving database snapshot",
      ids + [
        indexField(message), LogField("incoming-snapshot-message-size-bytes", .int(bytes)),
        LogField(
          "incoming-snapshot-message-size", .string(HumanSize.text(bytes))),
      ])
    do throws(SnapshotError) {
      guard let delegate = context.delegate else { throw SnapshotError("stopped") }
      let sink = try delegate.makeSnapshotSink(for: message) { [weak self] in
        guard let self else { return }
        context.loop.execute { self.exchange.resumeBody() }
      }
      phase = .database(message, sink)
    } catch {
      failed(message, nil, error.description)
    }
  }

  private func undecodable(_ reason: String) {
    context.logger.warn("failed to decode Raft message", ids + [.error(reason)])
    SnapshotMetrics.receiveFailures(
      context.configuration.metrics, from: (sender ?? MemberID.none).hex
    ).add()
    refuse(400, "failed to decode raft message (\(reason))")
    end(nil)
  }

  private func failed(
    _ message: Raftpb.Message, _ sink: (any SnapshotSink)?, _ reason: String
  ) {
    context.logger.warn(
      "failed to save incoming database snapshot", ids + [indexField(message), .error(reason)])
    sink?.abort()
    metrics?.failures.add()
    refuse(500, "failed to save KV snapshot (\(reason))")
    end(nil)
  }

  private func saved(
    _ message: Raftpb.Message, _ sink: any SnapshotSink, _ result: Result<Void, SnapshotError>
  ) {
    guard case .saving = phase else { return }
    if case .failure(let error) = result {
      failed(message, sink, error.description)
      return
    }
    let took = Duration.nanoseconds(Int64(context.loop.now &- startedAt))
    context.logger.info(
      "received and saved database snapshot",
      ids + [
        indexField(message), LogField("incoming-snapshot-size-bytes", .int(size)),
        LogField("incoming-snapshot-size", .string(HumanSize.text(size))),
        LogField("download-took", .string(took.goDescription)),
      ])
    metrics?.success.add()
    metrics?.duration.observe(took)
    end(message)
  }

  private func end(_ message: Raftpb.Message?) {
    if case .over = phase { return }
    phase = .over
    metrics?.inFlight.add(-1)
    // A paused body of a request that was answered would never be skipped.
    exchange.resumeBody()
    ended(self, message)
  }
}
