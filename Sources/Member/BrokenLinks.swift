import EtcdAPI

/// Members to whom no stream leads now. A value; times in ticks.
///
/// Proposals for a leader whose stream has just broken would be lost with it: its process has ended, most often. They wait
/// for the stream or for the next leader, but not for long: a stream is not the only way to a member. Go's followers send
/// them, and they fail when their time is over. Nothing that was sent is sent again: it may have arrived.
struct BrokenLinks: Sendable {
  /// When each broke.
  private var since: [MemberID: Int] = [:]

  mutating func changed(_ id: MemberID, isUp: Bool, tick: Int) {
    since[id] = isUp ? nil : tick
  }

  /// Whether what is for a member is better kept.
  /// - Parameter limit: ticks for which it is kept.
  func holds(_ id: MemberID, tick: Int, limit: Int) -> Bool {
    since[id].map { tick - $0 < limit } ?? false
  }
}
