import Synchronization

/// Thins out lines that come in floods: of each level and message, the first hundred of a second are
/// written and then each hundredth. Any thread.
///
/// - Source: zap's sampling as etcd configures it, `Initial: 100, Thereafter: 100`.
final class LogSampler: Sendable {
  private struct Key: Hashable {
    let level: LogLevel
    let message: String
  }
  private struct State {
    var counts: [Key: Int] = [:]
    /// When the second began.
    var start: Int64 = .min
  }

  private static let initial = 100
  private static let thereafter = 100
  private static let window: Int64 = 1_000_000
  private let state = Mutex(State())

  /// Counts a line.
  /// - Parameter microseconds: the line's time.
  /// - Returns: whether it is to be written.
  func admits(_ level: LogLevel, _ message: String, microseconds: Int64) -> Bool {
    // The last words of a process are never dropped.
    guard level < .dpanic else { return true }
    return state.withLock { state in
      let age = microseconds.subtractingReportingOverflow(state.start)
      if age.overflow || age.partialValue >= Self.window || age.partialValue < 0 {
        state.counts.removeAll(keepingCapacity: true)
        state.start = microseconds
      }
      let count = state.counts[Key(level: level, message: message), default: 0] + 1
      state.counts[Key(level: level, message: message)] = count
      return count <= Self.initial || (count - Self.initial) % Self.thereafter == 0
    }
  }
}
