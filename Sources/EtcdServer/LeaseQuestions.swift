import Bytes
import EtcdAPI
import EtcdConfig
import HTTP
import Member
import Membership
import PeerTransport
import Protobuf
import Runtime

/// Asks whoever leads about leases: the own core, or another member over its peer URL, again and again
/// until somebody answers or the request's time is over. Confined to the client loop.
///
/// - Source: etcd `LeaseRenew`, `LeaseTimeToLive`, `leasehttp/http.go`.
final class LeaseQuestions: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `ask`.
  typealias Handler = (Result<LeaseAnswer, EtcdError>) -> Void

  /// One question until it is answered.
  private struct Attempt {
    let kind: LeaseQuestion.Kind
    let deadline: UInt64
    let done: Handler
  }

  /// Between two rounds without an answer.
  private static let pause: Duration = .milliseconds(50)
  /// Requests to the leader at a time; others wait.
  private static let forwardedMax = 64
  /// Renewals are small; keys of a lease may be many.
  private static let answerBytesMax = 64 << 20

  private unowned let member: RunningMember
  private let loop: EventLoop
  private let client: HTTPClient
  private var isStopped = false
  private var forwarded = 0
  private var queue: [Attempt] = []
  private var queueHead = 0

  init(member: RunningMember) {
    self.member = member
    loop = member.loop
    client = HTTPClient(loop: member.loop, idlePerEndpointMax: Self.forwardedMax)
  }

  func stop() {
    isStopped = true
    client.close()
  }

  /// `done` is called once, on the loop: with the answer, `leaseNotFound`, `noLeader`, `timeout` or
  /// another refusal.
  func ask(_ kind: LeaseQuestion.Kind, _ done: @escaping Handler) {
    loop.preconditionCurrent()
    attempt(
      Attempt(
        kind: kind, deadline: loop.now &+ member.config.requestTimeout.nanoseconds, done: done))
  }

  func ask(_ kind: LeaseQuestion.Kind) async -> Result<LeaseAnswer, EtcdError> {
    await withCheckedContinuation { continuation in
      loop.execute { self.ask(kind) { continuation.resume(returning: $0) } }
    }
  }

  private func attempt(_ attempt: Attempt) {
    if isStopped { return attempt.done(.failure(.stopped)) }
    let status = member.host.status
    guard loop.now < attempt.deadline else {
      return attempt.done(.failure(status.leader == 0 ? .noLeader : .timeout))
    }
    if status.leader == member.host.memberID {
      askHere(attempt)
    } else if member.host.membership.members[status.leader] != nil {
      forward(attempt)
    } else {
      retry(attempt)
    }
  }

  private func retry(_ attempt: Attempt) {
    loop.schedule(after: Self.pause) { [weak self] in
      guard let self else { return attempt.done(.failure(.stopped)) }
      self.attempt(attempt)
    }
  }

  private func askHere(_ attempt: Attempt) {
    member.requests.ask(attempt.kind) { outcome, _ in
      switch outcome {
      case .lease(let answer): attempt.done(.success(answer))
      case .failed(.notLeader): self.retry(attempt)
      case .failed(let error): attempt.done(.failure(error))
      default: attempt.done(.failure(EtcdError(.internal, "etcdserver: unexpected lease answer")))
      }
    }
  }

  // MARK: Forwarding

  private func forward(_ attempt: Attempt) {
    guard forwarded < Self.forwardedMax else { return queue.append(attempt) }
    let leader = member.host.membership.members[member.host.status.leader]
    let urls = (leader?.peerURLs ?? []).compactMap { PeerURL($0) }.filter { !$0.isSecure }
    forwarded += 1
    send(attempt, urls[...])
  }

  /// A leader that hangs is asked no longer than it takes to elect another one.
  private var patience: Duration { .milliseconds(1000 + member.config.electionTimeout) }

  /// Tries one URL after the other.
  private func send(_ attempt: Attempt, _ urls: ArraySlice<PeerURL>) {
    guard let url = urls.first, loop.now < attempt.deadline else { return release(attempt, nil) }
    var request = LeaseHTTP.request(attempt.kind, to: url.endpoint)
    request.connectTimeout = patience
    request.headTimeout = Swift.min(.nanoseconds(Int64(attempt.deadline - loop.now)), patience)
    client.send(request, limit: Self.answerBytesMax) { result in
      guard case .success(let (head, body)) = result,
        let answer = LeaseHTTP.answer(attempt.kind, status: head.status, body)
      else { return self.send(attempt, urls.dropFirst()) }
      self.release(attempt, answer)
    }
  }

  /// Ends a request and lets the next one go.
  private func release(_ attempt: Attempt, _ answer: Result<LeaseAnswer, EtcdError>?) {
    forwarded -= 1
    if let answer { attempt.done(answer) } else { retry(attempt) }
    guard queueHead < queue.count, forwarded < Self.forwardedMax else { return }
    let next = queue[queueHead]
    queueHead += 1
    if queueHead > 1024 || queueHead == queue.count {
      queue.removeFirst(queueHead)
      queueHead = 0
    }
    // Another one may lead by now, or the time be over.
    self.attempt(next)
  }
}

/// Lease questions between members: protobuf in the body of a POST.
///
/// - Source: etcd `leasehttp/http.go`.
enum LeaseHTTP {
  static let renewPath = "/leases"
  static let timeToLivePath = "/leases/internal"
  static let contentType = "application/protobuf"
  static let notFound = "lease not found"
  static let notPrimary = "not a primary lessor"
  static let timedOut = "waiting for node to catch up its applied index has timed out"

  static func request(
    _ kind: LeaseQuestion.Kind, to endpoint: Connection.Endpoint
  ) -> HTTPClientRequest {
    let (path, body): (String, Bytes)
    switch kind {
    case .renew(let id):
      (path, body) = (renewPath, Etcdserverpb.LeaseKeepAliveRequest(id: id).encoded())
    case .timeToLive(let id, let keys):
      let question = Etcdserverpb.LeaseTimeToLiveRequest(id: id, keys: keys)
      path = timeToLivePath
      body = Leasepb.LeaseInternalRequest(leaseTimeToLiveRequest: question).encoded()
    case .list: preconditionFailure("every member lists leases itself")
    }
    return HTTPClientRequest(
      "POST", endpoint, path, headers: ["Content-Type": contentType], body: .bytes(body))
  }

  /// - Returns: `nil` when the member that was asked could not say.
  static func answer(
    _ kind: LeaseQuestion.Kind, status: Int, _ body: Bytes
  ) -> Result<LeaseAnswer, EtcdError>? {
    if status == 404, body.string.hasPrefix(notFound) { return .failure(.leaseNotFound) }
    guard status == 200 else { return nil }
    switch kind {
    case .renew(let id):
      guard let answer = try? Etcdserverpb.LeaseKeepAliveResponse.decode(body), answer.id == id
      else { return nil }
      return .success(.renewed(ttl: answer.ttl))
    case .timeToLive(let id, _):
      guard
        let answer = try? Leasepb.LeaseInternalResponse.decode(body).leaseTimeToLiveResponse,
        answer.id == id
      else { return nil }
      return .success(
        .timeToLive(
          remaining: answer.ttl, granted: answer.grantedTTL, keys: answer.keys.sorted()))
    case .list: return nil
    }
  }
}
