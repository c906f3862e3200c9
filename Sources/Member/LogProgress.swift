import EtcdAPI

/// What the log has not reported yet, and what waits for it. A value.
struct LogProgress: Sendable {
  /// Writes that the log has not reported.
  private(set) var writesUnderWay = 0
  /// A hard state whose commit index alone is newer than the log's.
  private var unwritten: Raftpb.HardState?
  /// Whether the end of its pause was asked for.
  private var isPausing = false
  /// Messages to peers that had to wait for the log.
  private(set) var delayed: [Raftpb.Message] = []

  /// A write. A new commit index alone need not be durable: when nothing is being written it counts as done,
  /// and goes along with the next write, or once its pause is over.
  /// - Returns: what the log is to write; `nil` when the write counts as done.
  mutating func begin(_ append: LogAppend) -> LogAppend? {
    if append.isNewsOnly && writesUnderWay == 0 {
      unwritten = append.hardState ?? unwritten
      return nil
    }
    var append = append
    append.hardState = append.hardState ?? unwritten
    unwritten = nil
    writesUnderWay += 1
    return append
  }

  /// Whether the end of a pause is to be asked for, behind which the log is told the commit index: members killed soon
  /// after, and copies of their directories, know by it what was acknowledged (`--force-new-cluster`, `backup`).
  mutating func asksForPause() -> Bool {
    guard unwritten != nil, !isPausing else { return false }
    isPausing = true
    return true
  }

  mutating func pauseEnded() { isPausing = false }

  /// - Returns: a write that brings the log up to the commit index that it was not told yet.
  mutating func takeNews() -> LogAppend? {
    guard let state = unwritten else { return nil }
    unwritten = nil
    writesUnderWay += 1
    return LogAppend(
      hardState: state, entries: [], snapshot: nil, mustSync: false, responses: [])
  }

  /// The log has reported a write.
  mutating func ended() {
    precondition(writesUnderWay > 0, "the log reports a write that did not begin")
    writesUnderWay -= 1
  }

  mutating func delay(_ message: Raftpb.Message) { delayed.append(message) }

  mutating func clearDelayed() { delayed.removeAll(keepingCapacity: true) }
}
