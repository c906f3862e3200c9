import EtcdAPI
import EventLoops
import HTTP

/// What the parts of a transport share. Confined to its loop.
final class PeerContext {
  let configuration: PeerTransportConfiguration
  let loop: EventLoop
  let logger: Logger
  let localVersion: PeerVersion
  let minVersion: PeerVersion
  let clusterText: String
  let active = ActivePeers()
  /// Two clients as etcd has two transports, so that posts never wait behind streams.
  let streamClient: HTTPClient
  let pipelineClient: HTTPClient
  weak var delegate: (any PeerTransportDelegate)?
  private var inbox: [Raftpb.Message] = []
  private let deliver: Delivery
  private var toldRemoved = false

  init(
    _ configuration: PeerTransportConfiguration, _ loop: EventLoop,
    _ delegate: (any PeerTransportDelegate)?
  ) {
    guard let version = PeerVersion(configuration.serverVersion),
      let oldest = PeerVersion(configuration.minClusterVersion)
    else { preconditionFailure("malformed version in the configuration of the peer transport") }
    self.configuration = configuration
    self.loop = loop
    self.delegate = delegate
    logger = configuration.logger
    localVersion = version
    minVersion = oldest
    clusterText = String(configuration.clusterID, radix: 16)
    streamClient = HTTPClient(loop: loop, dial: configuration.dial)
    pipelineClient = HTTPClient(loop: loop, dial: configuration.dial)
    deliver = Delivery()
    deliver.context = self
  }

  var localID: MemberID { configuration.localID }

  /// Takes a checked message; the delegate gets all of a turn at its end.
  func receive(_ message: Raftpb.Message) {
    if inbox.isEmpty { loop.atTurnEnd(deliver) }
    inbox.append(message)
  }

  /// Told once: the cluster says that this member was removed.
  func localWasRemoved() {
    guard !toldRemoved else { return }
    toldRemoved = true
    delegate?.localMemberWasRemoved()
  }

  private func deliverInbox() {
    guard !inbox.isEmpty else { return }
    var batch: [Raftpb.Message] = []
    swap(&batch, &inbox)
    delegate?.received(batch)
  }

  private final class Delivery: TurnEndHandler {
    weak var context: PeerContext?
    func turnEnd() { context?.deliverInbox() }
  }
}

/// What a peer and a remote have in common: an ID, URLs, a status and a pipeline.
/// Confined to the transport's loop.
class PeerLink {
  let id: MemberID
  let context: PeerContext
  let metrics: PeerMetrics
  let status: PeerStatus
  var picker: URLPicker
  /// `nil` before the end of `init` and after `stop()`.
  private var pipeline: Pipeline?
  var isPaused = false
  /// When a remote last said where it is.
  var heardAt: UInt64 = 0
  private var drops = LogThrottle()

  /// - Parameter active: `nil` for a remote.
  init(id: MemberID, urls: [PeerURL], context: PeerContext, active: ActivePeers?) {
    self.id = id
    self.context = context
    picker = URLPicker(urls)
    metrics = PeerMetrics(
      context.configuration.metrics, local: context.localID, remote: active == nil ? nil : id)
    status = PeerStatus(
      id: id, loop: context.loop, logger: context.logger, metrics: metrics, active: active)
    pipeline = Pipeline(self)
  }

  var bothIDs: [LogField] {
    [.id("local-member-id", context.localID), .id("remote-peer-id", id)]
  }

  /// Tells the member that messages to this one were lost.
  func unreachable() { context.delegate?.reportUnreachable(id) }

  /// Sends a message, or drops it when its queue is full.
  func send(_ message: Raftpb.Message) {
    guard !isPaused else { return }
    post(message)
  }

  /// Sends a message by a post of its own.
  final func post(_ message: Raftpb.Message) {
    guard let pipeline, !pipeline.enqueue(message) else { return }
    dropped(message, queue: "pipeline")
  }

  func dropped(_ message: Raftpb.Message, queue: String) {
    unreachable()
    if message.type == .snap { context.delegate?.reportSnapshot(id, failed: true) }
    metrics.sentFailures.add()
    guard let skipped = drops.pass(context.loop.now) else { return }
    var fields: [LogField] = [
      LogField("message-type", .string(message.type.logName)),
      .id("local-member-id", context.localID), .id("from", message.sender),
      .id("remote-peer-id", id), LogField("remote-peer-name", .string(queue)),
      LogField("remote-peer-active", .bool(status.isActive)),
    ]
    if skipped > 0 { fields.append(LogField("skipped-logs", .int(skipped))) }
    context.logger.warn(
      "dropped internal Raft message since sending buffer is full (overloaded network)", fields)
  }

  /// Ends everything and lets go of the parts, which hold this in turn. Nothing is sent afterwards.
  func stop() {
    pipeline?.stop()
    pipeline = nil
    status.close()
  }
}

extension PeerContext {
  /// Runs `work` on the configuration's worker, or here when there is none, and then `done` on the loop.
  func onWorker<R: Sendable>(
    _ work: @escaping @Sendable () -> R, _ done: @escaping @Sendable (R) -> Void
  ) {
    guard let worker = configuration.worker else { return done(work()) }
    let loop = loop
    worker.execute {
      let result = work()
      loop.execute { done(result) }
    }
  }
}
