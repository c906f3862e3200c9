import EtcdConfig
import EventLoops
import Member

extension MemberHost {
  /// Times that a member is to keep.
  struct Pace: Sendable {
    /// Between two steps of a compaction, in which others have the processor and the disk.
    var compaction = Duration.milliseconds(1)
    /// Longest time that an applied change waits for a commit to the backend.
    /// - Source: etcd `backend.defaultBatchInterval`.
    var commit = Duration.milliseconds(100)
    /// How long the log waits for something to write before it is told what is committed. Shortly: entries behind the
    /// commit index that the log knows are thrown away by `--force-new-cluster`, though they were acknowledged.
    var log = Duration.milliseconds(1)
    /// Nanoseconds after which a turn of the core is worth a line in the log.
    var slowTurn: UInt64 = 100_000_000

    init() {}

    /// The pause that `--experimental-compaction-sleep-interval` asks for after a batch is cut into those
    /// after our steps, which are smaller.
    init(_ config: ServerConfig, _ core: borrowing MemberCore) {
      slowTurn = config.warningApplyDuration.nanoseconds
      compaction = Self.pause(
        config.compactionSleepInterval, batch: config.compactionBatchLimit,
        step: core.compactionStepKeys)
      if config.backendBatchInterval > .zero { commit = config.backendBatchInterval }
    }

    /// - Parameters:
    ///   - interval: after a batch.
    ///   - batch: keys of a batch.
    ///   - step: keys of a step.
    static func pause(_ interval: Duration, batch: Int, step: Int) -> Duration {
      Swift.max(interval / Swift.max(batch, 1) * step, .milliseconds(1))
    }
  }
}

/// What a turn of the core had to do, in a few words for the log.
enum TurnText {
  /// `propose:3 tick:1 applied:4`, in the order in which the kinds came.
  static func text(_ events: [MemberEvent], applied: UInt64) -> String {
    var counts: [(kind: String, count: Int)] = []
    for event in events {
      let (kind, count) = kind(event)
      if let known = counts.firstIndex(where: { $0.kind == kind }) {
        counts[known].count += count
      } else {
        counts.append((kind, count))
      }
    }
    return (counts.map { "\($0.kind):\($0.count)" } + ["applied:\(applied)"])
      .joined(separator: " ")
  }

  private static func kind(_ event: MemberEvent) -> (String, Int) {
    switch event {
    case .tick: ("tick", 1)
    case .propose(let proposals): ("propose", proposals.count)
    case .read(let ids): ("read", ids.count)
    case .readLocal(let ids): ("read-local", ids.count)
    case .askLeases(let questions): ("lease", questions.count)
    case .askV2(let questions): ("v2", questions.count)
    case .awaitApplied: ("await-applied", 1)
    case .flush: ("flush", 1)
    case .resume: ("resume", 1)
    case .compact: ("compaction-step", 1)
    case .commit: ("commit", 1)
    case .writeNews: ("write-news", 1)
    case .receive(let messages): ("receive", messages.count)
    case .appended: ("appended", 1)
    case .committed: ("committed", 1)
    case .installed: ("installed-snapshot", 1)
    case .snapshotSaved: ("saved-snapshot", 1)
    case .unreachable: ("unreachable", 1)
    case .linked: ("linked", 1)
    case .snapshotSent: ("sent-snapshot", 1)
    case .campaign: ("campaign", 1)
    case .transferLeader: ("transfer-leader", 1)
    case .changeMembers: ("change-members", 1)
    case .checkLearner: ("check-learner", 1)
    case .replacedBackend: ("replaced-backend", 1)
    }
  }
}
