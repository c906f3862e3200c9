import Bytes
import EtcdAPI
import EventLoops
import Failpoints
import HTTP
import Member

/// The reading end of one stream: asks the peer for it, again and again, and reads messages.
/// Confined to the transport's loop.
final class StreamReader: HTTPResponseHandler {
  private enum Phase {
    case waiting
    case dialing
    case open
    /// Collects the text of a refusal.
    case refused(HTTPResponseHead)
    case stopped
  }

  let kind: StreamKind
  private let peer: Peer
  private var phase = Phase.waiting
  private var call: HTTPClientCall?
  private var decoder: StreamDecoder
  private var url: PeerURL
  private var refusal: [UInt8] = []
  private var dialedAt: UInt64 = 0
  private var redial: LoopTimer?
  private var faults = LogThrottle()

  private static let refusalBytesMax = 4096

  init(_ kind: StreamKind, _ peer: Peer) {
    self.kind = kind
    self.peer = peer
    url = peer.picker.current
    decoder = StreamDecoder(kind, local: 0, remote: 0)
  }

  private var names: [LogField] {
    [LogField("stream-reader-type", .string(kind.name))] + peer.bothIDs
  }

  func start(after delay: Duration) {
    peer.context.logger.info("started stream reader with remote peer", names)
    if delay > .zero { dial(after: delay) } else { dial() }
  }

  func stop() {
    if case .stopped = phase { return }
    phase = .stopped
    redial?.cancel()
    redial = nil
    let last = call
    call = nil
    last?.cancel()
    peer.context.logger.info("stopped stream reader with remote peer", names)
  }

  // MARK: asking

  private func dial() {
    let context = peer.context
    phase = .dialing
    dialedAt = context.loop.now
    url = peer.picker.current
    refusal = []
    decoder = StreamDecoder(
      kind, local: context.localID, remote: peer.id, limit: context.configuration.messageLimit)
    let target = "\(kind.path)/\(context.localID.hex)"
    context.logger.debug(
      "dial stream reader",
      [
        .id("from", context.localID), .id("to", peer.id),
        LogField("address", .string(url.text + target)),
      ])
    var request = HTTPClientRequest(
      "GET", url.origin, target, headers: context.headers(to: peer.id))
    request.connectTimeout = context.configuration.dialTimeout
    request.headTimeout = context.configuration.readTimeout
    request.idleTimeout = context.configuration.readTimeout
    let started = context.streamClient.start(request, self)
    // The attempt may have failed already.
    if case .dialing = phase { call = started }
  }

  /// The attempt or the stream is over: tries again, not more often than the limit.
  private func retry() {
    phase = .waiting
    let last = call
    call = nil
    last?.cancel()
    let interval = peer.context.configuration.redialInterval.wholeNanoseconds
    let passed = peer.context.loop.now &- dialedAt
    let delay = passed >= interval ? 0 : interval - passed
    dial(after: .nanoseconds(Int64(delay)))
  }

  private func dial(after delay: Duration) {
    redial = peer.context.loop.schedule(after: delay) { [weak self] in
      guard let self, case .waiting = phase else { return }
      dial()
    }
  }

  private func failed(_ error: PeerRequestError) {
    switch phase {
    case .stopped, .waiting: return
    case .open:
      peer.context.logger.warn(
        "lost TCP streaming connection with remote peer", names + [.error(error)])
      if case .ended = error {
      } else {
        peer.status.deactivate(source: kind.name, action: "read", reason: "\(error)")
      }
    case .dialing, .refused:
      peer.picker.unreachable(url)
      if case .unsupportedStream = error {
      } else {
        peer.status.deactivate(source: kind.name, action: "dial", reason: "\(error)")
      }
    }
    retry()
  }

  // MARK: HTTPResponseHandler

  func responseHead(_ head: HTTPResponseHead) {
    guard case .dialing = phase else { return }
    let context = peer.context
    guard let version = PeerVersion.header(head.headers["X-Server-Version"]),
      version >= context.localVersion || version.supportsStreams
    else { return failed(.unsupportedStream) }
    guard head.status == 200 else {
      phase = .refused(head)
      return
    }
    if let cluster = head.headers[PeerField.clusterID], cluster != context.clusterText {
      noteMismatch(cluster)
      return failed(.clusterMismatch)
    }
    phase = .open
    if let text = head.headers["X-Server-Version"] {
      context.delegate?.serverVersionSeen(peer.id, text)
    }
    peer.status.activate()
    context.logger.info("established TCP streaming connection with remote peer", names)
  }

  func responseData(_ bytes: Bytes) {
    switch phase {
    case .open: decode(bytes)
    case .refused:
      refusal.append(contentsOf: bytes.prefix(Self.refusalBytesMax - refusal.count))
    default: break
    }
  }

  func responseEnded() {
    call = nil
    switch phase {
    case .open: failed(.ended)
    case .refused(let head): refused(head, String(decoding: refusal, as: UTF8.self))
    default: break
    }
  }

  func responseFailed(_ error: HTTPClientError) {
    call = nil
    failed(.http(error))
  }

  func requestWritable() {}

  private func refused(_ head: HTTPResponseHead, _ text: String) {
    switch head.status {
    case 410:
      failed(.memberRemoved)
      peer.context.localWasRemoved()
    case 404: failed(.localUnknown(peer: peer.id, local: peer.context.localID))
    case 412:
      let error = PeerRequestError.precondition(body: text)
      switch error {
      case .incompatibleVersion:
        peer.context.logger.warn(
          "request sent was ignored by remote peer due to server version incompatibility",
          peer.bothIDs + [.error(error)])
      case .clusterMismatch: noteMismatch(head.headers[PeerField.clusterID] ?? "")
      default: break
      }
      failed(error)
    default: failed(.status(head.status))
    }
  }

  private func noteMismatch(_ cluster: String) {
    peer.context.logger.warn(
      "request sent was ignored by remote peer due to cluster ID mismatch",
      [
        .id("remote-peer-id", peer.id), LogField("remote-peer-cluster-id", .string(cluster)),
        .id("local-member-id", peer.context.localID),
        LogField("local-member-cluster-id", .string(peer.context.clusterText)),
        .error("cluster ID mismatch"),
      ])
  }

  // MARK: messages

  private func decode(_ bytes: Bytes) {
    peer.metrics.receivedBytes.add(bytes.count)
    var input = bytes
    do throws(StreamDecodeError) {
      while let message = try decoder.next(&input) {
        guard !peer.isPaused, !message.isLinkHeartbeat, !Failpoint.isOn(.raftDropHeartbeat) else {
          continue
        }
        accept(message)
      }
    } catch {
      failed(.decoding(error))
    }
  }

  private func accept(_ message: Raftpb.Message) {
    let context = peer.context
    guard
      let fault = MessageCheck.fault(message, local: context.localID, peer: peer.id)
    else {
      context.receive(message)
      return
    }
    peer.metrics.receivedFailures.add()
    guard let skipped = faults.pass(context.loop.now) else { return }
    context.logger.warn(
      "dropped Raft message that does not belong to the stream",
      names + [
        LogField("message-type", .string(message.type.logName)), .id("from", message.sender),
        .id("to", message.receiver), .error(fault.rawValue),
        LogField("skipped-logs", .int(skipped)),
      ])
  }
}
