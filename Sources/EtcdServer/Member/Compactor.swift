import EtcdAPI
import EtcdConfig
import EventLoops
import Member
import Protobuf
import Raft

/// Drops history on its own, as `--auto-compaction-*` asks. Works only on the leader. Confined to the
/// client loop.
///
/// - Source: etcd `v3compactor/periodic.go`, `revision.go`.
final class Compactor {
  private let member: RunningMember
  private let mode: AutoCompaction
  private var timer: LoopTimer?
  /// Revisions seen, oldest first, one a sampling interval.
  private var samples: [(time: UInt64, revision: Int64)] = []
  private var last: Int64 = 0

  /// Between two compactions of the revision mode.
  private static let revisionInterval: Duration = .seconds(300)
  /// Samples a compaction interval of the periodic mode.
  private static let samplesPerInterval = 10

  init(member: RunningMember, mode: AutoCompaction) {
    self.member = member
    self.mode = mode
  }

  func start() {
    let interval: Duration
    switch mode {
    case .revision: interval = Self.revisionInterval
    case .periodic(let period):
      // A period shorter than the timer's would keep the loop busy with nothing else.
      interval = Swift.max(
        Swift.min(period, .seconds(3600)) / Self.samplesPerInterval, .milliseconds(1))
    }
    timer = member.loop.schedule(after: interval, repeating: interval) { [unowned self] in look() }
  }

  func stop() { timer?.cancel() }

  private func look() {
    let status = member.host.status
    guard status.role == .leader else {
      samples.removeAll()
      return
    }
    switch mode {
    case .revision(let kept):
      if status.revision > kept { compact(to: status.revision - kept) }
    case .periodic(let period):
      let now = member.loop.now
      samples.append((now, status.revision))
      let age = period.nanoseconds
      guard let old = samples.last(where: { now &- $0.time >= age }) else { return }
      samples.removeAll { $0.time < old.time }
      compact(to: old.revision)
    }
  }

  private func compact(to revision: Int64) {
    guard revision > last, revision > member.host.status.compactRevision else { return }
    let request = Etcdserverpb.CompactionRequest(revision: revision)
    let id = member.requests.makeID()
    member.logger.info(
      "starting auto compaction", [LogField("revision", .int(Int(revision)))])
    let data = RaftRequest.encode(.compaction, request.encoded(), id: id)
    member.requests.propose(id: id, data) { [weak self] outcome, _ in
      guard let self else { return }
      switch outcome {
      case .kv, .failed(.compacted):
        last = revision
        member.logger.info(
          "completed auto compaction", [LogField("revision", .int(Int(revision)))])
      default:
        member.logger.warn(
          "failed auto compaction", [LogField("revision", .int(Int(revision)))])
      }
    }
  }
}
