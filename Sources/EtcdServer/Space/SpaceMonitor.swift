import EtcdAPI
import EtcdConfig
import EventLoops
import GoText
import Member
import MemberStorage
import Protobuf

/// Looks at the space that the backend takes, once a second. Confined to the member's loop.
final class SpaceMonitor: @unchecked Sendable {
  // @unchecked: confined to the member's loop.
  private let member: RunningMember
  private var watch: SpaceWatch
  private var timer: LoopTimer?
  private var isDisarming = false

  private static let pause = Duration.seconds(1)

  /// - Returns: `nil` when there is no quota.
  init?(_ member: RunningMember) {
    guard let quota = member.config.quota else { return nil }
    self.member = member
    watch = SpaceWatch(quota: quota, disarms: member.config.disarmsNoSpace)
  }

  func start() {
    timer = member.loop.schedule(after: Self.pause, repeating: Self.pause) {
      [unowned self] in look()
    }
  }

  func stop() { timer?.cancel() }

  private var own: Etcdserverpb.AlarmMember {
    Etcdserverpb.AlarmMember(memberID: member.host.memberID.rawValue, alarm: .nospace)
  }

  private func look() {
    let used = member.usedSpace
    for action in watch.look(used: used, isRaised: member.host.status.alarms.contains(own)) {
      switch action {
      case .warn(let percent): warn(percent)
      case .disarm: disarm(used)
      }
    }
  }

  private func warn(_ percent: Int) {
    let sizes = member.host.backend.sizes
    member.logger.warn(
      "the database comes near its quota; compact and defragment, or raise --quota-backend-bytes",
      [
        LogField("used-percent", .int(percent)), LogField("quota-size-bytes", .int(watch.quota)),
        LogField("current-db-size-bytes", .int(sizes.total)),
        LogField("current-db-size-in-use-bytes", .int(sizes.inUse)),
        LogField("quota-size", .string(HumanSize.text(UInt64(clamping: watch.quota)))),
      ])
  }

  /// Takes the member's own alarm away, as an operator would; one proposal at a time.
  private func disarm(_ used: Int) {
    guard !isDisarming else { return }
    isDisarming = true
    let request = Etcdserverpb.AlarmRequest(
      action: .deactivate, memberID: own.memberID, alarm: own.alarm)
    let id = member.requests.makeID()
    member.requests.propose(id: id, RaftRequest.encode(.alarm, request.encoded(), id: id)) {
      [self] outcome, _ in
      isDisarming = false
      if case .failed(let error) = outcome {
        return member.logger.warn(
          "failed to disarm the alarm NOSPACE", [LogField("error", .error(error))])
      }
      member.logger.info(
        "alarm disarmed; there is space again",
        [
          LogField("alarm", .string("\(own.alarm)")), LogField("used-bytes", .int(used)),
          LogField("quota-size-bytes", .int(watch.quota)),
        ])
    }
  }
}

extension RunningMember {
  /// Bytes that count against the quota: of the file, as in Go; of what is in use, when the alarm goes by
  /// itself, because a compaction frees pages, not the file.
  var usedSpace: Int {
    let sizes = host.backend.sizes
    return config.disarmsNoSpace ? sizes.inUse : sizes.total
  }
}
