import Bytes
import EtcdAPI
import EventLoops
import GoText
import HTTP

/// Reads a posted snapshot: the message, then the database file into a sink, never faster than the
/// sink takes it. The message shares the budget of posted ones until the database is saved, for it is kept so
/// long. Confined to the transport's loop.
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
  private let budget: HTTPBodyBudget
  private let owner: Owner
  /// Who the request says sends it.
  let claimedSender: MemberID?
  private var share: HTTPBodyShare?
  /// Until the message is there: what it gathered must not outlive the place in the budget.
  private var decoder: StreamDecoder?
  private var messageBytes = 0
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

  /// Smaller messages come all the time.
  private static let notedBytesMin = 1_048_576
  /// A message counts twice: the buffer that gathers it doubles as it fills.
  private static let costOfByte = 2

  /// What a receiver asks of those who started it.
  struct Owner {
    /// Whether the message may be handed on; answers when not.
    var admit: (Raftpb.Message) -> Bool
    /// Answers with a status and text.
    var refuse: (Int, String) -> Void
    /// Whether a sender may have counters of its own.
    var isKnown: (MemberID) -> Bool
    /// Writes a line to the log, unless it comes too often.
    var warn: (String, [LogField]) -> Void
    /// Called once; with the message when the database was saved.
    var ended: (SnapshotReceiver, Raftpb.Message?) -> Void
  }

  /// - Parameter budget: what messages that come in at the same time share.
  init(
    _ exchange: HTTPExchange, _ context: PeerContext, sender: MemberID?, _ budget: HTTPBodyBudget,
    _ owner: Owner
  ) {
    self.exchange = exchange
    self.context = context
    self.sender = sender
    self.budget = budget
    self.owner = owner
    startedAt = context.loop.now
    claimedSender = sender
    decoder = StreamDecoder(
      .message, local: context.localID, remote: sender ?? MemberID.none,
      limit: min(context.configuration.messageLimit, budget.bytesMax / Self.costOfByte))
  }

  func start() {
    share = budget.join(exchange) { [weak self] error in self?.bodyFailed(error) }
    exchange.streamBody(self)
  }

  private var ids: [LogField] {
    [
      .id("local-member-id", context.localID),
      .id("remote-snapshot-sender-id", sender ?? MemberID.none),
    ]
  }

  private func indexField(_ message: Raftpb.Message) -> LogField {
    LogField("incoming-snapshot-index", .uint(message.snapshot?.metadata.index ?? 0))
  }

  /// Whether the transfer can still be given up: what is complete is of use.
  var canGiveWay: Bool {
    switch phase {
    case .message, .database: true
    case .saving, .over: false
    }
  }

  /// Whether too little came lately, by no fault of this member.
  var isTooSlow: Bool { share?.isTooSlow(context.loop.now) ?? false }

  /// Gives the transfer up for another.
  /// - Parameter reason: such as `a newer snapshot took its place`.
  func giveWay(_ reason: String) {
    switch phase {
    case .message: failed(nil, nil, reason)
    case .database(let message, let sink): failed(message, sink, reason)
    case .saving, .over: return
    }
    exchange.abort()
  }

  // MARK: HTTPBodyConsumer

  func bodyData(_ bytes: Bytes) {
    if case .over = phase {
      ignored += bytes.count
      if ignored > Self.ignoredBytesMax { exchange.abort() }
      return
    }
    sawInput = true
    share?.came(bytes.count)
    var input = bytes
    if case .message = phase {
      do throws(StreamDecodeError) {
        let message = try decoder?.next(&input)
        messageBytes += bytes.count - input.count
        share?.take((bytes.count - input.count) * Self.costOfByte)
        // It may have been given up for want of room.
        guard let message, case .message = phase else { return }
        begin(message)
      } catch {
        undecodable("\(error)")
        return
      }
    }
    guard case .database(let message, let sink) = phase, !input.isEmpty else { return }
    size += input.count
    do throws(SnapshotError) {
      if try !sink.write(input) { share?.pauseBody() }
    } catch {
      failed(message, sink, error.description)
    }
  }

  func bodyEnded() {
    share?.bodyEnded()
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
    share?.complete()
    guard message.type == .snap, message.snapshot != nil else {
      owner.warn(
        "unexpected Raft message type",
        ids + [LogField("message-type", .string(message.type.logName))])
      countFailure()
      owner.refuse(400, "wrong raft message type")
      return end(nil)
    }
    guard owner.admit(message) else {
      countFailure()
      return end(nil)
    }
    let metrics = SnapshotMetrics.receiving(
      context.configuration.metrics, from: label(message.sender))
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
        context.loop.execute { self.share?.resumeBody() }
      }
      phase = .database(message, sink)
    } catch {
      failed(message, nil, error.description)
    }
  }

  /// Senders are told apart only when known, so that labels stay bounded.
  private func label(_ sender: MemberID?) -> String {
    guard let sender, owner.isKnown(sender) else { return SnapshotMetrics.unknownSender }
    return sender.hex
  }

  private func countFailure() {
    SnapshotMetrics.receiveFailures(context.configuration.metrics, from: label(sender)).add()
  }

  private func undecodable(_ reason: String) {
    owner.warn("failed to decode Raft message", ids + [.error(reason)])
    countFailure()
    owner.refuse(400, "failed to decode raft message (\(reason))")
    end(nil)
  }

  private func failed(
    _ message: Raftpb.Message?, _ sink: (any SnapshotSink)?, _ reason: String
  ) {
    owner.warn(
      "failed to save incoming database snapshot",
      ids + (message.map { [indexField($0)] } ?? []) + [.error(reason)])
    sink?.abort()
    countFailure()
    owner.refuse(500, "failed to save KV snapshot (\(reason))")
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
    decoder = nil
    if messageBytes > Self.notedBytesMin { noteFreedMemory(messageBytes) }
    metrics?.inFlight.add(-1)
    // A paused body of a request that was answered would never be skipped.
    exchange.resumeBody()
    owner.ended(self, message)
    share?.leave()
    share = nil
  }
}
