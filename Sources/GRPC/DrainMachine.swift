/// The end of an HTTP/2 server connection that is to lose no call. Pure; `GRPCServerConnection` tells it what
/// happens and does what it answers.
///
/// ```
///          begin            the client saw it        the last call ended
///   open ────────▶ announced ─────────────▶ refusing ───────────────────▶ closing ──▶ closed
///                      └──────────────────────┴──── grace ended ────────▶ (aborted)
/// ```
/// The first GOAWAY names the highest stream that there can be, so that calls which are on their way to
/// us still count; the second, after a round trip, names the last one that came.
///
/// - Source: RFC 9113 §6.8; grpc-go `http2Server.Drain`, `outgoingGoAwayHandler`.
struct DrainMachine {
  enum State: Equatable {
    case open
    /// The first GOAWAY and a ping are out; calls still begin.
    case announced
    /// The second GOAWAY is out; calls under way end.
    case refusing
    /// What was written leaves.
    case closing
    case closed
  }

  /// What the connection has to do.
  enum Action: Equatable {
    case nothing
    /// Send the first GOAWAY and a ping behind it, and count the grace.
    case announce
    /// Send the second GOAWAY.
    case refuse
    /// Close when everything has left.
    case close
    case abort
  }

  private(set) var state = State.open

  /// Whether a call may begin.
  var acceptsCalls: Bool { state == .open || state == .announced }

  /// The server ends.
  mutating func begin() -> Action {
    guard state == .open else { return .nothing }
    state = .announced
    return .announce
  }

  /// The ping came back: calls opened before the client knew are here.
  mutating func announcementSeen() -> Action {
    guard state == .announced else { return .nothing }
    state = .refusing
    return .refuse
  }

  /// Calls began or ended.
  /// - Parameter running: those under way.
  mutating func callsChanged(running: Int) -> Action {
    guard state == .refusing, running == 0 else { return .nothing }
    state = .closing
    return .close
  }

  /// Nobody waits any longer, not even for a client that does not read.
  mutating func graceEnded() -> Action {
    switch state {
    case .announced, .refusing, .closing:
      state = .closing
      return .abort
    case .open, .closed: return .nothing
    }
  }

  /// The channel has gone.
  mutating func closed() { state = .closed }
}
