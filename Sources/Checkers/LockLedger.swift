/// Who was told to hold a lock: one at a time, and later ones with larger tokens.
///
/// Times are whatever its user counts in, of one clock.
public struct LockLedger: Sendable {
  /// A client was told that it holds the lock.
  public struct Hold: Sendable, Equatable {
    public let client: Int
    /// The fencing token.
    public let token: Int64
    public let told: Int
    /// When it gave the lock back, or could not know any more that it has it.
    public var end: Int?
  }

  public private(set) var holds: [Hold] = []

  public init() {}

  /// A client is told that it holds the lock.
  /// - Parameters:
  ///   - asked: when it asked.
  ///   - holders: places in `holds` of those who believe to hold it at this moment.
  /// - Returns: what is wrong with that, with the places of the holds that show it.
  public mutating func hold(
    _ client: Int, token: Int64, asked: Int, told: Int, besides holders: [Int]
  ) -> [HistoryProblem] {
    var problems: [HistoryProblem] = []
    for other in holders {
      problems.append(
        HistoryProblem(
          "client \(client) holds the lock with \(token) and client \(holds[other].client) with "
            + "\(holds[other].token)", [other, holds.count]))
    }
    holds.append(Hold(client: client, token: token, told: told))
    return problems
  }

  /// - Returns: what is wrong with a token that a client is told, who asked for it at a time.
  public func problems(client: Int, token: Int64, asked: Int) -> [HistoryProblem] {
    holds.indices.filter { holds[$0].told < asked && holds[$0].token > token }.map { place in
      let other = holds[place]  // checked: an index
      return HistoryProblem(
        "client \(client) was told to hold the lock with \(token), asked at \(asked), after client "
          + "\(other.client) was with \(other.token) at \(other.told)", [place])
    }
  }

  /// Whoever holds it gives it back, or cannot know any more that it has it.
  public mutating func end(_ place: Int, at time: Int) { holds[place].end = time }
}
