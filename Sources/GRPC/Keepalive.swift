import EventLoops

/// Decides when to ping a silent peer and when to give it up. Pure.
///
/// - Source: gRPC proposal A8/A9, as grpc-go's `keepalive` does it.
struct Keepalive {
  let interval: Duration
  let timeout: Duration
  private var pingedAt: UInt64?

  init(interval: Duration, timeout: Duration) {
    self.interval = interval
    self.timeout = timeout
  }

  enum Check: Equatable {
    case wait(Duration)
    /// Ping now and check again after the time.
    case ping(Duration)
    /// A ping is due, and nobody waits for an answer: look again with the next call.
    case rest
    case dead
  }

  /// - Parameter isIdle: whether there is no call that a ping would be for.
  mutating func check(now: UInt64, lastRead: UInt64, isIdle: Bool = false) -> Check {
    if let pingedAt, lastRead <= pingedAt {
      let giveUp = pingedAt &+ timeout.nanoseconds
      return now >= giveUp ? .dead : .wait(.nanoseconds(Int64(clamping: giveUp - now)))
    }
    pingedAt = nil
    let due = lastRead &+ interval.nanoseconds
    if now < due { return .wait(.nanoseconds(Int64(clamping: due - now))) }
    if isIdle { return .rest }
    pingedAt = now
    return .ping(timeout)
  }
}

/// Counts pings that come too fast. Pure.
///
/// - Source: grpc-go's `handlePing`: two strikes are forgiven, answers reset the count.
struct PingStrikes {
  private var lastPingAt: UInt64?
  private var strikes = 0
  private var wasReset = false
  private static let strikesMax = 2

  /// DATA or HEADERS were sent since the last ping.
  mutating func reset() { wasReset = true }

  /// Notes a ping; whether the connection should end.
  mutating func ping(now: UInt64, minimum: UInt64) -> Bool {
    defer { lastPingAt = now }
    if wasReset {
      wasReset = false
      strikes = 0
      return false
    }
    if let lastPingAt, lastPingAt &+ minimum > now { strikes += 1 }
    return strikes > Self.strikesMax
  }
}
