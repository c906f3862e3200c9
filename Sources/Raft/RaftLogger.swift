/// Severity of a message.
public enum RaftLogLevel: Int, Sendable, Comparable {
  case debug, info, warning, error

  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Where the machine's messages go.
///
/// - Note: a message is only put together after `isEnabled` said yes.
public protocol RaftLogger: Sendable {
  /// Whether messages of this level are wanted.
  func isEnabled(_ level: RaftLogLevel) -> Bool
  /// Takes one message, without a line end.
  func log(_ level: RaftLogLevel, _ message: String)
}

/// The logger of one machine; nothing is formatted when there is none or the level is off.
struct LogSink: Sendable {
  let logger: (any RaftLogger)?

  @inline(__always)
  func write(_ level: RaftLogLevel, _ message: () -> String) {
    guard let logger, logger.isEnabled(level) else { return }
    logger.log(level, message())
  }

  func debug(_ message: @autoclosure () -> String) { write(.debug, message) }
  func info(_ message: @autoclosure () -> String) { write(.info, message) }
  func warning(_ message: @autoclosure () -> String) { write(.warning, message) }
  func error(_ message: @autoclosure () -> String) { write(.error, message) }
}

/// Member ids are shown in hexadecimal.
func hex(_ id: UInt64) -> String { String(id, radix: 16) }
