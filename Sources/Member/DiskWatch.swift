import EtcdAPI

/// Finds that the log's disk takes nothing any more. A value; times in ticks, which pass whatever the disk does.
struct DiskWatch: Sendable {
  /// When the log was given work while it had none, or last reported some of it; `nil` while it has none.
  private var since: Int?
  /// A database is put in place of another, which takes as long as it takes.
  private var isInstalling = false
  /// Members that were asked to lead instead and did not.
  private var asked: Set<MemberID> = []
  private var askedAt: Int?

  /// A write was given to the log.
  mutating func began(tick: Int, isInstallation: Bool) {
    if since == nil { since = tick }
    if isInstallation { isInstalling = true }
  }

  /// The log reported a write; `underWay` are left.
  mutating func reported(tick: Int, underWay: Int) {
    since = underWay > 0 ? tick : nil
    if underWay == 0 { isInstalling = false }
    asked = []
    askedAt = nil
  }

  /// Whether nothing was reported for `limit` ticks.
  func isStuck(tick: Int, after limit: Int) -> Bool {
    guard let since, !isInstalling else { return false }
    return tick &- since >= limit
  }

  /// Who is to lead instead: the most advanced of those that were not asked yet, and one each `pause` ticks,
  /// after which raft has given a transfer up.
  mutating func successor(
    among candidates: [(id: MemberID, match: UInt64)], tick: Int, pause: Int
  ) -> MemberID? {
    if let askedAt, tick &- askedAt <= pause { return nil }
    if candidates.allSatisfy({ asked.contains($0.id) }) { asked = [] }
    let best = candidates.filter { !asked.contains($0.id) }.max {
      ($0.match, $1.id.rawValue) < ($1.match, $0.id.rawValue)
    }
    guard let best else { return nil }
    asked.insert(best.id)
    askedAt = tick
    return best.id
  }
}
