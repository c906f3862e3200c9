import EtcdAPI
import EventLoops
import Member
import Platform

/// Tells how long compactions take, from what turns of the core give. Belongs to whoever works at the
/// core.
struct CompactionClock {
  /// When the one under way was first seen.
  private var began: UInt64?

  /// A turn that had to do with a compaction.
  /// - Parameter took: nanoseconds of the turn, which is how long a step holds others up.
  mutating func note(_ out: MemberOutput, took: UInt64, _ metrics: RequestMetrics) {
    metrics.compactedKeys.add(out.compactedRows)
    let milliseconds = Double(took) / 1e6
    metrics.compactionPause.observe(milliseconds)
    metrics.indexCompactionPause.observe(milliseconds)
    if out.wantsCompaction, began == nil { began = monotonicNanoseconds() }
    guard out.compacted != nil else { return }
    let whole = began.map { monotonicNanoseconds() &- $0 } ?? took
    began = nil
    metrics.compactionTotal.observe(Double(whole) / 1e6)
    metrics.compactionLast.set(Double(WallClock.seconds))
  }
}

/// Tells when a leader's heartbeats to a member leave too late. Belongs to whoever works at the core.
///
/// - Source: etcd `contention.TimeoutDetector`: later than twice the interval.
struct HeartbeatClock {
  private let limit: UInt64
  /// By member: when one left last.
  private var last: [MemberID: UInt64] = [:]
  /// Term of the newest heartbeat.
  private var term: Term = 0

  init(interval: Duration) { limit = 2 * interval.nanoseconds }

  /// - Returns: the member whose heartbeat is latest, and nanoseconds beyond the limit.
  mutating func note(
    _ messages: [Raftpb.Message], now: UInt64
  ) -> (to: MemberID, exceeded: UInt64)? {
    var worst: (to: MemberID, exceeded: UInt64)?
    for message in messages where message.type == .heartbeat {
      if Term(message.term) != term {
        // Another leadership: what lies between is nobody's delay.
        last.removeAll()
        term = Term(message.term)
      }
      if let before = last[message.receiver], now &- before > limit {
        let exceeded = now &- before &- limit
        if worst.map({ exceeded > $0.exceeded }) ?? true { worst = (message.receiver, exceeded) }
      }
      last[message.receiver] = now
    }
    return worst
  }
}
