import EtcdAPI
import EventLoops
import HTTP

/// A member of the cluster: two streams each way, a pipeline and snapshots.
/// Confined to the transport's loop.
final class Peer: PeerLink {
  private struct Streams {
    let appWriter: StreamWriter
    let messageWriter: StreamWriter
    let readers: [StreamReader]
  }

  /// `nil` before the end of `init` and after `stop()`.
  private var streams: Streams?
  private var probers: [Prober] = []
  private var snapshots: [ObjectIdentifier: SnapshotSender] = [:]

  init(id: MemberID, urls: [PeerURL], delays: StreamDelays, context: PeerContext) {
    context.logger.info("starting remote peer", [.id("remote-peer-id", id)])
    super.init(id: id, urls: urls, context: context, active: context.active)
    let streams = Streams(
      appWriter: StreamWriter(.msgAppV2, self), messageWriter: StreamWriter(.message, self),
      readers: [StreamReader(.msgAppV2, self), StreamReader(.message, self)])
    self.streams = streams
    for reader in streams.readers { reader.start(after: delays[reader.kind]) }
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
    case .msgAppV2: streams?.appWriter.attach(exchange)
    case .message: streams?.messageWriter.attach(exchange)
    }
  }

  override func send(_ message: Raftpb.Message) {
    guard !isPaused, let streams else { return }
    if message.type == .app, streams.appWriter.isWorking {
      guard !streams.appWriter.enqueue(message) else { return }
      dropped(message, queue: StreamKind.msgAppV2.queueName)
    } else if message.type != .snap, streams.messageWriter.isWorking {
      guard !streams.messageWriter.enqueue(message) else { return }
      dropped(message, queue: StreamKind.message.queueName)
    } else {
      post(message)
    }
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
    streams?.appWriter.stop()
    streams?.messageWriter.stop()
    super.stop()
    for sender in snapshots.values { sender.stop() }
    for reader in streams?.readers ?? [] { reader.stop() }
    for prober in probers { prober.stop() }
    snapshots = [:]
    probers = []
    streams = nil
    context.logger.info("stopped remote peer", [.id("remote-peer-id", id)])
  }
}
