/// Where the log goes and what it holds.
public struct LogConfig: Sendable, Equatable {
  /// A target of the log.
  public enum Output: Sendable, Equatable {
    /// The journal when run by systemd, else standard error.
    case automatic
    case standardError
    case standardOutput
    case journal
    case file(String)
  }

  public enum Format: String, Sendable { case json, console }

  /// At least one.
  public var outputs: [Output] = [.automatic]
  /// `debug`, `info`, `warn`, `error`, `panic` or `fatal`.
  public var level = "info"
  public var format = Format.json

  public init() {}

  /// Names of the levels.
  public static let levels = ["debug", "info", "warn", "error", "panic", "fatal"]
}
