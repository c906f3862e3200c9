import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import Membership
import Protobuf

/// While its member leads, compares the data of all members now and then, and raises the alarm CORRUPT
/// when they differ. Confined to the peers' loop.
///
/// - Source: etcd `monitorKVHash`, `monitorCompactHash`.
final class CorruptionMonitor: @unchecked Sendable {
  // @unchecked: confined to the member's loop.

  private let member: RunningMember
  private let client: PeerHashClient
  private var compactions = CompactHashCheck()
  private var isStopped = false

  private var loop: EventLoop { member.loop }
  private var logger: Logger { member.logger }
  private var isLeader: Bool { member.host.status.leader == member.host.memberID }
  private var ownID: LogField {
    LogField("local-member-id", .string(member.host.memberID.hex))
  }

  /// - Parameter member: of the peers' loop.
  init(member: RunningMember) {
    self.member = member
    client = PeerHashClient(
      loop: member.loop, dial: member.shared.policies.dial, localID: member.host.memberID,
      clusterID: member.host.clusterID, timeout: member.config.requestTimeout,
      logger: member.logger)
  }

  func start() {
    let config = member.config
    if config.corruptCheckInterval > .zero {
      logger.info(
        "enabled corruption checking",
        [ownID, LogField("interval", .duration(config.corruptCheckInterval))])
      every(config.corruptCheckInterval) { $0.checkHashes($1) }
    }
    if config.compactHashCheck, config.compactHashCheckInterval > .zero {
      every(config.compactHashCheckInterval) { $0.checkCompactions($1) }
    }
  }

  func stop() {
    isStopped = true
    client.close()
  }

  /// Does something, again and again, with the interval between the end of one and the next.
  private func every(
    _ interval: Duration,
    _ body: @escaping (CorruptionMonitor, _ done: @escaping () -> Void) -> Void
  ) {
    loop.schedule(after: interval) { [weak self] in
      guard let self, !isStopped else { return }
      guard isLeader else { return every(interval, body) }
      body(self) { [weak self] in self?.every(interval, body) }
    }
  }

  // MARK: All data

  private func checkHashes(_ done: @escaping () -> Void) {
    hash(done) { first in
      self.client.ask(self.member.host.membership.sorted, at: first.current) { peers in
        self.member.read(linearizable: true) { result, _ in
          if case .failure(let error) = result { return self.failed(error, done) }
          self.hash(done) { second in
            self.finish(CorruptionCheck.periodic(first, peers, second))
            done()
          }
        }
      }
    }
  }

  private func hash(_ done: @escaping () -> Void, _ next: @escaping (MemberHash) -> Void) {
    member.hash(at: 0) { result, _ in
      switch result {
      case .success(let hash): next(hash)
      case .failure(let error): self.failed(error, done)
      }
    }
  }

  private func failed(_ error: EtcdError, _ done: () -> Void) {
    logger.warn("failed to check hash KV", [LogField("error", .error(error))])
    done()
  }

  private func finish(_ verdict: CorruptionCheck.Verdict) {
    logger.log(verdict.lines)
    if verdict.mismatches > 0 { raiseAlarm() }
  }

  // MARK: Compactions

  private func checkCompactions(_ done: @escaping () -> Void) {
    logger.info(
      "starting compact hash check",
      [ownID, LogField("timeout", .duration(member.config.requestTimeout))])
    go(compactions.begin(member.shared.hashes.compactions), done)
  }

  private func go(
    _ next: (step: CompactHashCheck.Step, lines: [CheckLine]), _ done: @escaping () -> Void
  ) {
    logger.log(next.lines)
    switch next.step {
    case .finished: done()
    case .corrupt:
      raiseAlarm()
      done()
    case .ask(let revision):
      client.ask(member.host.membership.sorted, at: revision) { peers in
        self.go(self.compactions.take(peers), done)
      }
    }
  }

  // MARK: Alarm

  /// Whose data is wrong is not known: the alarm is member 0's.
  private func raiseAlarm() {
    let request = Etcdserverpb.AlarmRequest(action: .activate, memberID: 0, alarm: .corrupt)
    let id = member.requests.makeID()
    logger.warn("alarm raised", [LogField("alarm", "CORRUPT"), LogField("from", "0")])
    member.requests.propose(id: id, RaftRequest.encode(.alarm, request.encoded(), id: id)) {
      [logger] outcome, _ in
      guard case .failed(let error) = outcome else { return }
      logger.warn("failed to raise the alarm CORRUPT", [LogField("error", .error(error))])
    }
  }
}
