import Bytes
import EtcdAPI
import EventLoops
import HTTP
import Protobuf

/// Posts single messages: while a stream is down, and to members that have no streams.
/// Confined to the transport's loop.
final class Pipeline {
  private let link: PeerLink
  private var queue: [Raftpb.Message] = []
  private var calls: [UInt64: HTTPClientCall] = [:]
  private var running = 0
  private var nextCall: UInt64 = 0
  private var stopped = false

  private static let responseBytesMax = 65_536

  init(_ link: PeerLink) {
    self.link = link
    link.context.logger.info("started HTTP pipelining with remote peer", link.bothIDs)
  }

  /// Takes a message; `false` when the queue is full.
  func enqueue(_ message: Raftpb.Message) -> Bool {
    guard !stopped, queue.count < link.context.configuration.pipelineQueueMessages else {
      return false
    }
    queue.append(message)
    work()
    return true
  }

  func stop() {
    guard !stopped else { return }
    stopped = true
    queue.removeAll()
    for call in calls.values { call.cancel() }
    calls.removeAll()
    link.context.logger.info("stopped HTTP pipelining with remote peer", link.bothIDs)
  }

  private func work() {
    while !stopped, !queue.isEmpty, running < link.context.configuration.pipelineConcurrency {
      post(queue.removeFirst())
    }
  }

  private func post(_ message: Raftpb.Message) {
    let context = link.context
    let url = link.picker.current
    let body = message.encoded()
    var request = HTTPClientRequest(
      "POST", url.origin, "/raft",
      headers: context.headers(contentType: "application/protobuf"), body: .bytes(body))
    request.connectTimeout = context.configuration.dialTimeout
    request.headTimeout = context.configuration.pipelineTimeout
    request.idleTimeout = context.configuration.readTimeout
    let number = nextCall
    nextCall += 1
    running += 1
    var isOver = false
    let call = context.pipelineClient.send(request, limit: Self.responseBytesMax) {
      [weak self] result in
      isOver = true
      guard let self else { return }
      calls[number] = nil
      running -= 1
      guard !stopped else { return }
      finished(message, url, result, bytes: body.count)
      work()
    }
    if !isOver { calls[number] = call }
  }

  private func finished(
    _ message: Raftpb.Message, _ url: PeerURL,
    _ result: Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>, bytes: Int
  ) {
    let context = link.context
    let error: PeerRequestError?
    switch result {
    case .failure(let failure): error = .http(failure)
    case .success(let answer):
      error = context.checkPost(
        answer.head, body: answer.body.string, url: url.text + "/raft", to: link.id)
    }
    if let error {
      link.picker.unreachable(url)
      link.status.deactivate(source: "pipeline", action: "write", reason: "\(error)")
      link.unreachable()
      if message.type == .snap { context.delegate?.reportSnapshot(link.id, failed: true) }
      link.metrics.sentFailures.add()
      if case .memberRemoved = error { context.localWasRemoved() }
      return
    }
    link.status.activate()
    link.metrics.sentBytes.add(bytes)
    if message.type == .snap { context.delegate?.reportSnapshot(link.id, failed: false) }
  }
}
