/// How many streams of a connection may be reset: a bucket that a steady trickle refills. Pure.
///
/// Counted are resets by the peer and those that it provokes by frames that are wrong for a stream: both leave
/// work behind that nobody waits for (CVE-2023-44487 and CVE-2025-8671, "MadeYouReset").
struct ResetBudget {
  /// As nghttp2 is told for the peer's own resets.
  static let burst = 2_000
  static let perSecond = 500

  private var left = burst
  private var refilledAt: UInt64 = 0

  /// Notes a reset at `now` in nanoseconds.
  /// - Returns: `false` when the budget is used up.
  mutating func take(now: UInt64) -> Bool {
    let step = 1_000_000_000 / UInt64(Self.perSecond)
    if refilledAt == 0 { refilledAt = now }
    let refill = (now > refilledAt ? now - refilledAt : 0) / step
    if refill > 0 {
      left = refill >= UInt64(Self.burst) ? Self.burst : min(Self.burst, left + Int(refill))
      refilledAt += refill * step
    }
    guard left > 0 else { return false }
    left -= 1
    return true
  }
}
