/// Until when a lease was promised to live, and when it was seen to be gone: it never ends early.
///
/// Times are whatever its user counts in, of one clock.
public struct LeasePromise: Sendable, Equatable {
  /// It was promised not to end before.
  public private(set) var aliveUntil: Int
  /// When it was first seen to be gone.
  public private(set) var goneAt: Int?

  public init(aliveUntil: Int = 0) { self.aliveUntil = aliveUntil }

  /// It was granted or renewed.
  /// - Returns: when it was gone already, if that was too early.
  public mutating func extend(to time: Int) -> Int? {
    aliveUntil = max(aliveUntil, time)
    guard let goneAt, goneAt < aliveUntil else { return nil }
    return goneAt
  }

  /// It was seen to be gone.
  /// - Returns: whether that is too early.
  public mutating func end(at time: Int) -> Bool {
    goneAt = min(goneAt ?? time, time)
    return time < aliveUntil
  }
}
