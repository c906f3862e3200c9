#if os(Linux)
  import CSystemd
#endif

/// What systemd and a service say to each other. Without systemd, nobody is told and nothing is given.
///
/// Unsafe: none; libsystemd copies the texts that it is given.
///
/// - Source: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
public enum ServiceManager {
  /// Whether a message arrived.
  public enum Outcome: Equatable, Sendable {
    case told
    /// There is no `NOTIFY_SOCKET`.
    case nobodyListens
    /// With the system's number of the error.
    case failed(Int32)
  }

  /// Tells assignments such as `READY=1`, all in one message.
  @discardableResult
  public static func tell(_ assignments: [String]) -> Outcome {
    #if os(Linux)
      let result = sd_notify(0, assignments.joined(separator: "\n"))
      if result > 0 { return .told }
      return result == 0 ? .nobodyListens : .failed(0 &- result)
    #else
      return .nobodyListens
    #endif
  }

  /// How often it wants to hear `WATCHDOG=1`, at least; `nil` when it does not watch this process.
  public static var watchdogInterval: Duration? {
    #if os(Linux)
      var microseconds: UInt64 = 0
      guard sd_watchdog_enabled(0, &microseconds) > 0, microseconds > 0 else { return nil }
      return .microseconds(Int64(clamping: microseconds))
    #else
      return nil
    #endif
  }

  /// Descriptors of the sockets that it listens on for this process. Children do not inherit the offer.
  public static func takeSockets() -> [Int32] {
    #if os(Linux)
      let count = sd_listen_fds(1)
      guard count > 0 else { return [] }
      let first = Int32(SD_LISTEN_FDS_START)
      return (0..<count).map { first &+ $0 }
    #else
      return []
    #endif
  }
}
