import Bytes
import CUV
import Platform
import Synchronization

/// Severity, as zap's levels.
public enum LogLevel: Int, Sendable, Comparable, CaseIterable, CustomStringConvertible {
  case debug = -1
  case info = 0
  case warn = 1
  case error = 2
  /// A panic that only development builds carry out; written as an error.
  case dpanic = 3
  case panic = 4
  case fatal = 5

  /// `debug`, `info`, `warn`, `error`, `dpanic`, `panic` or `fatal`.
  public init?(name: String) {
    guard let level = Self.allCases.first(where: { $0.description == name }) else { return nil }
    self = level
  }

  public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

  public var description: String {
    switch self {
    case .debug: "debug"
    case .info: "info"
    case .warn: "warn"
    case .error: "error"
    case .dpanic: "dpanic"
    case .panic: "panic"
    case .fatal: "fatal"
    }
  }
}

/// Structured logs. A value: copies share the outputs and the level.
///
/// Any thread; a line is one write(2). A disabled level costs one atomic load: message and fields
/// are not evaluated.
public struct Logger: Sendable {
  @usableFromInline let shared: LogOutputs
  /// Shown as `logger` when not empty.
  public let name: String
  /// Put in front of each line's own fields.
  public let context: [LogField]

  /// A logger that writes to `targets`.
  /// - Parameter isSampled: whether floods of one message are thinned out, to a hundred lines a
  ///   second and each hundredth of what comes then.
  public init(
    targets: [LogTarget], encoding: LogEncoding, level: LogLevel, isSampled: Bool = false
  ) {
    shared = LogOutputs(targets: targets, encoding: encoding, level: level, isSampled: isSampled)
    name = ""
    context = []
  }

  private init(shared: LogOutputs, name: String, context: [LogField]) {
    self.shared = shared
    self.name = name
    self.context = context
  }

  /// A logger that drops everything below `panic` and writes to nothing.
  public static let disabled = Logger(targets: [], encoding: .json, level: .fatal)

  /// The same outputs under another name.
  public func named(_ name: String) -> Logger {
    Logger(
      shared: shared, name: self.name.isEmpty ? name : self.name + "." + name, context: context)
  }

  /// The same outputs with more fields on each line.
  public func with(_ fields: LogField...) -> Logger {
    Logger(shared: shared, name: name, context: context + fields)
  }

  /// The lowest level written; may change at run time, for all copies.
  public var level: LogLevel {
    get { LogLevel(rawValue: shared.level.load(ordering: .relaxed)) ?? .info }
    nonmutating set { shared.level.store(newValue.rawValue, ordering: .relaxed) }
  }

  @inlinable
  public func isEnabled(_ level: LogLevel) -> Bool {
    level.rawValue >= shared.level.load(ordering: .relaxed)
  }

  @inlinable
  public func debug(
    _ message: @autoclosure () -> String, _ fields: @autoclosure () -> [LogField] = [],
    file: StaticString = #fileID, line: UInt = #line
  ) {
    if isEnabled(.debug) { write(.debug, message(), fields(), file, line) }
  }

  @inlinable
  public func info(
    _ message: @autoclosure () -> String, _ fields: @autoclosure () -> [LogField] = [],
    file: StaticString = #fileID, line: UInt = #line
  ) {
    if isEnabled(.info) { write(.info, message(), fields(), file, line) }
  }

  @inlinable
  public func warn(
    _ message: @autoclosure () -> String, _ fields: @autoclosure () -> [LogField] = [],
    file: StaticString = #fileID, line: UInt = #line
  ) {
    if isEnabled(.warn) { write(.warn, message(), fields(), file, line) }
  }

  @inlinable
  public func error(
    _ message: @autoclosure () -> String, _ fields: @autoclosure () -> [LogField] = [],
    file: StaticString = #fileID, line: UInt = #line
  ) {
    if isEnabled(.error) { write(.error, message(), fields(), file, line) }
  }

  /// Writes a line, then ends the process with status 2 as a Go panic does.
  public func panic(
    _ message: String, _ fields: [LogField] = [], file: StaticString = #fileID, line: UInt = #line
  ) -> Never {
    write(.panic, message, fields, file, line)
    Program.exit(2)
  }

  /// Writes a line, then ends the process with status 1.
  public func fatal(
    _ message: String, _ fields: [LogField] = [], file: StaticString = #fileID, line: UInt = #line
  ) -> Never {
    write(.fatal, message, fields, file, line)
    Program.exit(1)
  }

  /// Writes a line at a level known only at run time.
  public func log(
    _ level: LogLevel, _ message: @autoclosure () -> String,
    _ fields: @autoclosure () -> [LogField] = [], file: StaticString = #fileID, line: UInt = #line
  ) {
    if isEnabled(level) { write(level, message(), fields(), file, line) }
  }

  @usableFromInline
  func write(
    _ level: LogLevel, _ message: String, _ fields: [LogField], _ file: StaticString, _ line: UInt
  ) {
    let microseconds = WallClock.nanoseconds / 1_000
    if let sampler = shared.sampler,
      !sampler.admits(level, message, microseconds: microseconds)
    {
      return
    }
    shared.emit(
      LogLine(
        level: level, microseconds: microseconds, logger: name, file: file, line: line,
        message: message, fields: context.isEmpty ? fields : context + fields))
  }
}

/// Where lines go.
public enum LogTarget: Sendable {
  case standardError
  case standardOutput
  /// A file opened for appending; the descriptor stays the caller's.
  case descriptor(Int32)
  case rotating(RotatingLogFile)
  case journal(Journal)
  /// Called with each encoded line, on the logging thread.
  case sink(@Sendable (Bytes) -> Void)

  /// Opens or creates a file for appending.
  /// - Throws: `ChannelError.system` when it cannot be opened.
  public static func file(_ path: String) throws(ChannelError) -> LogTarget {
    let descriptor = Descriptor.openToAppend(path, permissions: 0o644)
    guard descriptor >= 0 else {
      throw .system(operation: "open \(path)", UVError(SystemError.last.number))
    }
    return .descriptor(descriptor)
  }
}

/// What copies of a logger share.
@usableFromInline
final class LogOutputs: Sendable {
  private let targets: [LogTarget]
  let encoding: LogEncoding
  let sampler: LogSampler?
  @usableFromInline let level: Atomic<Int>

  init(targets: [LogTarget], encoding: LogEncoding, level: LogLevel, isSampled: Bool) {
    sampler = isSampled ? LogSampler() : nil
    self.targets = targets
    self.encoding = encoding
    self.level = Atomic(level.rawValue)
  }

  func emit(_ line: LogLine) {
    let encoded = line.encoded(encoding)
    for target in targets {
      switch target {
      // A log that cannot be written is dropped.
      case .standardError: StandardStreams.write(encoded, to: StandardStreams.error)
      case .standardOutput: StandardStreams.write(encoded, to: StandardStreams.output)
      case .descriptor(let descriptor): Descriptor.write(encoded, to: descriptor)
      case .rotating(let file): file.write(encoded)
      case .journal(let journal): journal.write(line, encoded)
      case .sink(let sink): sink(encoded)
      }
    }
  }
}
