/// Decides what a member's use of its quota is worth: warnings on the way up, and the end of its alarm NOSPACE.
/// A value.
struct SpaceWatch {
  enum Action: Equatable {
    /// So many per cent are used.
    case warn(Int)
    /// There is room again: the member's own alarm may go.
    case disarm
  }

  /// Shares of the quota, in per cent, that are warned of once each.
  static let levels = [70, 80, 90]
  /// The alarm goes below this share: far enough from the quota that it does not come back with the next
  /// requests.
  static let disarmPercent = 90
  /// A warning may come again when the use has fallen so far below its level.
  private static let slack = 5

  let quota: Int
  /// Whether the alarm goes by itself.
  let disarms: Bool
  private var warned = 0

  init(quota: Int, disarms: Bool) {
    (self.quota, self.disarms) = (quota, disarms)
  }

  /// - Parameters:
  ///   - used: bytes that count against the quota.
  ///   - isRaised: whether the member's own alarm is there.
  mutating func look(used: Int, isRaised: Bool) -> [Action] {
    guard quota > 0 else { return [] }
    // checked: a file's size over a number above 0
    let percent = Int(Double(used) / Double(quota) * 100)
    var actions: [Action] = []
    if let reached = Self.levels.last(where: { percent >= $0 }), reached > warned {
      warned = reached
      actions.append(.warn(percent))
    }
    if warned > 0, percent < warned &- Self.slack {
      warned = Self.levels.last { $0 <= percent } ?? 0
    }
    if disarms, isRaised, percent < Self.disarmPercent { actions.append(.disarm) }
    return actions
  }
}
