import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import Member
import Membership
import PeerTransport
import Protobuf

/// Asks whoever leads about leases: the own core, or another member over its peer URL, again and again
/// until somebody answers or the request's time is over. Confined to the loop of its requests.
///
/// - Source: etcd `LeaseRenew`, `LeaseTimeToLive`, `leasehttp/http.go`.
final class LeaseQuestions: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `ask`.
  typealias Handler = (Result<LeaseReply, EtcdError>) -> Void

  /// One question until it is answered.
  private struct Attempt {
    let kind: LeaseQuestion.Kind
    let deadline: UInt64
    let done: Handler

    var wantsKeys: Bool { if case .timeToLive(_, true) = kind { true } else { false } }

    /// A question for each of several leases: a member asks another one about one at a time.
    /// - Returns: `nil` when it is about one already.
    var parts: [Attempt]? {
      guard case .renew(let leases) = kind, leases.count > 1 else { return nil }
      let answers = RenewalAnswers(leases.count, done)
      return leases.enumerated().map { position, lease in
        Attempt(kind: .renew([lease]), deadline: deadline) { answers.set($0, at: position) }
      }
    }
  }

  /// Answers about single leases on their way to one about all.
  private final class RenewalAnswers {
    private var answers: [Result<LeaseReply, EtcdError>?]
    private var left: Int
    private let done: Handler

    init(_ count: Int, _ done: @escaping Handler) {
      answers = Array(repeating: nil, count: count)
      left = count
      self.done = done
    }

    func set(_ answer: Result<LeaseReply, EtcdError>, at position: Int) {
      answers[position] = answer
      left -= 1
      guard left == 0 else { return }
      var ttls: [Int64] = []
      for answer in answers {
        switch answer {
        case .success(.renewed(let part, _)): ttls += part
        case .failure(let error): return done(.success(.renewed(ttls: ttls, failure: error)))
        case .success, nil: preconditionFailure("a renewal is answered with a renewal")
        }
      }
      done(.success(.renewed(ttls: ttls, failure: nil)))
    }
  }

  /// Between two rounds without an answer.
  private static let pause: Duration = .milliseconds(50)
  /// Requests to the leader at a time; others wait.
  static let forwardedMax = 64
  /// Of those that ask for keys, whose answers may have megabytes.
  static let keysMax = 2
  /// Renewals are small; keys of a lease may be many.
  private static let answerBytesMax = 64 << 20

  /// Questions that may wait for one of those requests, and as many that may wait for a leader.
  static let queuedMax = 1 << 16

  private let shared: SharedMember
  private let requests: RequestTable
  private let loop: EventLoop
  private let client: HTTPClient
  private var isStopped = false
  /// Requests to the leader under way.
  private var calls: [Int: HTTPClientCall] = [:]
  private var forwarded = 0
  private var forwardedForKeys = 0
  private var callNumber = 0
  /// Questions that wait for a request to end, and apart those that ask for keys.
  private var queue = FIFO<Attempt>()
  private var queueForKeys = FIFO<Attempt>()
  /// Questions that nobody could answer, until the timer fires.
  private var paused: [Attempt] = []
  /// Leases that they are about.
  private var pausedWeight = 0
  private var timer: LoopTimer?

  init(_ shared: SharedMember, _ requests: RequestTable) {
    self.shared = shared
    self.requests = requests
    loop = requests.loop
    client = HTTPClient(
      loop: requests.loop, idlePerOriginMax: Self.forwardedMax, dial: shared.policies.dial)
  }

  /// Ends every question.
  func stop() {
    isStopped = true
    timer?.cancel()
    for attempt in takePaused() { attempt.done(.failure(.stopped)) }
    while let attempt = queueForKeys.popFirst() ?? queue.popFirst() {
      attempt.done(.failure(.stopped))
    }
    for call in calls.values { call.cancel() }
    client.close()
  }

  /// `done` is called once, on the loop: with the answer, `leaseNotFound` when the time of a lease was asked for,
  /// `noLeader`, `timeout` or another refusal.
  func ask(_ kind: LeaseQuestion.Kind, _ done: @escaping Handler) {
    loop.preconditionCurrent()
    attempt(
      Attempt(
        kind: kind, deadline: loop.now &+ shared.config.requestTimeout.nanoseconds, done: done))
  }

  /// The same for a task of the loop.
  func ask(_ kind: LeaseQuestion.Kind) async -> Result<LeaseReply, EtcdError> {
    await withCheckedContinuation { continuation in
      ask(kind) { continuation.resume(returning: $0) }
    }
  }

  private func attempt(_ attempt: Attempt) {
    if isStopped { return attempt.done(.failure(.stopped)) }
    let status = shared.host.status
    guard loop.now < attempt.deadline else {
      return attempt.done(.failure(status.leader == .none ? .noLeader : .timeout))
    }
    if status.leader == shared.host.memberID {
      askHere(attempt)
    } else if let leader = shared.host.membership.members[status.leader] {
      forward(attempt, to: leader)
    } else {
      pause(attempt)
    }
  }

  /// Tries again in a moment, together with all others that have to.
  private func pause(_ attempt: Attempt) {
    if isStopped { return attempt.done(.failure(.stopped)) }
    guard pausedWeight + attempt.kind.weight <= Self.queuedMax else {
      return attempt.done(.failure(.tooManyRequests))
    }
    paused.append(attempt)
    pausedWeight += attempt.kind.weight
    guard timer == nil else { return }
    timer = loop.schedule(after: Self.pause) { [unowned self] in
      timer = nil
      for attempt in takePaused() { self.attempt(attempt) }
    }
  }

  private func takePaused() -> [Attempt] {
    pausedWeight = 0
    return exchange(&paused, with: [])
  }

  private func askHere(_ attempt: Attempt) {
    requests.ask(attempt.kind) { result in
      switch result {
      case .success(.renewed(let ttls)): attempt.done(.success(.renewed(ttls: ttls, failure: nil)))
      case .success(.timeToLive(let remaining, let granted, let keys)):
        attempt.done(
          .success(.timeToLive(remaining: remaining, granted: granted, keys: .held(keys))))
      case .failure(.notLeader): self.pause(attempt)
      case .failure(let error): attempt.done(.failure(error))
      case .success: preconditionFailure("only renewals and times are asked for here")
      }
    }
  }

  // MARK: Forwarding

  private func forward(_ attempt: Attempt, to leader: MemberInfo) {
    if let parts = attempt.parts {
      for part in parts { forward(part, to: leader) }
      return
    }
    guard forwarded < Self.forwardedMax, !attempt.wantsKeys || forwardedForKeys < Self.keysMax
    else {
      if queue.count + queueForKeys.count >= Self.queuedMax {
        return attempt.done(.failure(.tooManyRequests))
      }
      if attempt.wantsKeys { queueForKeys.append(attempt) } else { queue.append(attempt) }
      return
    }
    let urls = leader.peerURLs.compactMap { PeerURL($0) }
    guard !urls.isEmpty else { return pause(attempt) }
    forwarded += 1
    if attempt.wantsKeys { forwardedForKeys += 1 }
    send(attempt, urls[...])
  }

  /// A leader that hangs is asked no longer than it takes to elect another one.
  private var patience: Duration { .milliseconds(1000 + shared.config.electionTimeout) }

  /// Tries one URL after the other.
  private func send(_ attempt: Attempt, _ urls: ArraySlice<PeerURL>) {
    guard !isStopped, let url = urls.first, loop.now < attempt.deadline else {
      return release(attempt, nil)
    }
    var request = LeaseHTTP.request(attempt.kind, to: url.origin)
    request.connectTimeout = patience
    request.headTimeout = Swift.min(
      .nanoseconds(Int64(clamping: attempt.deadline - loop.now)), patience)
    callNumber += 1
    let number = callNumber
    let call = client.send(request, limit: Self.answerBytesMax) { result in
      self.calls[number] = nil
      guard case .success(let (head, body)) = result else {
        return self.send(attempt, urls.dropFirst())
      }
      self.read(attempt, head.status, body) { answer in
        guard let answer else { return self.send(attempt, urls.dropFirst()) }
        self.release(attempt, answer)
      }
    }
    if !call.isDone { calls[number] = call }
  }

  /// Reads an answer; one with many keys elsewhere.
  private func read(
    _ attempt: Attempt, _ status: Int, _ body: Bytes,
    _ done: @escaping (Result<LeaseReply, EtcdError>?) -> Void
  ) {
    let kind = attempt.kind
    if body.count <= LeaseHTTP.bytesOnLoop {
      return done(LeaseHTTP.answer(kind, status: status, body))
    }
    shared.readers.run(on: loop) {
      LeaseHTTP.answer(kind, status: status, body)
    } _: { result in
      switch result {
      case .success(let answer): done(answer)
      case .failure(let error): done(.failure(error))
      }
    }
  }

  /// Ends a request and lets those go that waited for it.
  private func release(_ attempt: Attempt, _ answer: Result<LeaseReply, EtcdError>?) {
    forwarded -= 1
    if attempt.wantsKeys { forwardedForKeys -= 1 }
    if let answer { attempt.done(answer) } else { pause(attempt) }
    // Another one may lead by now, or the time of some be over: not all of them become requests.
    while forwarded < Self.forwardedMax, let next = dequeue() { self.attempt(next) }
  }

  private func dequeue() -> Attempt? {
    if forwardedForKeys < Self.keysMax, let next = queueForKeys.popFirst() { return next }
    return queue.popFirst()
  }
}
