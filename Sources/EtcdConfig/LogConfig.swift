/// Where the log goes and what it holds.
public struct LogConfig: Sendable, Equatable {
  /// A target of the log.
  public enum Output: Sendable, Equatable {
    /// Standard error, which systemd takes into its journal.
    case automatic
    case standardError
    case standardOutput
    /// The socket of systemd's journal, with the level as priority.
    case journal
    case file(String)
  }

  public enum Format: String, Sendable { case json, console }

  /// When a log file is put aside, and what becomes of those put aside.
  ///
  /// - Source: lumberjack, which etcd writes its rotated log with.
  public struct Rotation: Sendable, Equatable {
    /// MiB that a file may have; 0 and less mean 100.
    public var maxSize = 100
    /// Days that a file put aside is kept; 0 = for ever.
    public var maxAge = 0
    /// Files put aside that are kept; 0 = all.
    public var maxBackups = 0
    /// Whether their names have local time; else UTC.
    public var localTime = false
    /// Whether they are compressed with gzip.
    public var compress = false

    public init() {}
  }

  /// At least one.
  public var outputs: [Output] = [.automatic]
  /// One of `levels`.
  public var level = "info"
  public var format = Format.json
  /// `nil` = files grow.
  public var rotation: Rotation?

  public init() {}

  /// Names of the levels.
  public static let levels = ["debug", "info", "warn", "error", "dpanic", "panic", "fatal"]

  /// The level that a flag's text names, in any case; nothing means `info`.
  /// - Source: zap `Level.UnmarshalText`.
  static func level(named text: String) -> String? {
    let name = text.isEmpty ? "info" : text.lowercased()
    return levels.contains(name) ? name : nil
  }
}
