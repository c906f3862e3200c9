import EtcdAPI
import EventLoops
import HTTP

/// A member of the cluster: two streams each way, a pipeline and snapshots.
/// Confined to the transport's loop.
final class Peer: PeerLink {
  private var appWriter: StreamWriter!
  private var messageWriter: StreamWriter!
  private var readers: [StreamReader] = []
  private var probers: [Prober] = []
  private var snapshots: [ObjectIdentifier: SnapshotSender] = [:]

  init(id: MemberID, urls: [PeerURL], context: PeerContext) {
    context.logger.info("starting remote peer", [.id("remote-peer-id", id)])
    super.init(id: id, urls: urls, context: context, active: context.active)
    appWriter = StreamWriter(.msgAppV2, self)
    messageWriter = StreamWriter(.message, self)
    readers = [StreamReader(.msgAppV2, self), StreamReader(.message, self)]
    for reader in readers { reader.start() }
    startProbers(urls)
    context.logger.info("started remote peer", [.id("remote-peer-id", id)])
  }

  private func startProbers(_ urls: [PeerURL]) {
    for prober in probers { prober.stop() }
    probers = [
      Prober(self, urls, "ROUND_TRIPPER_SNAPSHOT", context.pipelineClient),
      Prober(self, urls, "ROUND_TRIPPER_RAFT_MESSAGE", context.streamClient),
    ]
  }

  func update(_ urls: [PeerURL]) {
    picker.update(urls)
    startProbers(urls)
  }

  /// Answers a request of the peer for a stream, for as long as it lasts.
  func attach(_ kind: StreamKind, _ exchange: HTTPExchange) {
    switch kind {
    case .msgAppV2: appWriter.attach(exchange)
    case .message: messageWriter.attach(exchange)
    }
  }

  override func send(_ message: Raftpb.Message) {
    guard !isPaused else { return }
    let taken: Bool
    let queue: String
    if message.type == .app, appWriter.isWorking {
      taken = appWriter.enqueue(message)
      queue = StreamKind.msgAppV2.queueName
    } else if message.type != .snap, messageWriter.isWorking {
      taken = messageWriter.enqueue(message)
      queue = StreamKind.message.queueName
    } else {
      taken = pipeline.enqueue(message)
      queue = "pipeline"
    }
    if !taken { dropped(message, queue: queue) }
  }

  func sendSnapshot(
    _ message: Raftpb.Message, _ source: any SnapshotSource, done: @escaping () -> Void
  ) {
    let sender = SnapshotSender(self, message, source)
    let key = ObjectIdentifier(sender)
    snapshots[key] = sender
    sender.start { [weak self] in
      self?.snapshots[key] = nil
      done()
    }
  }

  override func stop() {
    context.logger.info("stopping remote peer", [.id("remote-peer-id", id)])
    appWriter.stop()
    messageWriter.stop()
    super.stop()
    for sender in snapshots.values { sender.stop() }
    for reader in readers { reader.stop() }
    for prober in probers { prober.stop() }
    snapshots = [:]
    readers = []
    probers = []
    appWriter = nil
    messageWriter = nil
    context.logger.info("stopped remote peer", [.id("remote-peer-id", id)])
  }
}
