import Synchronization

@testable import Raft

/// What a script block prints: the machines' messages and the harness's own lines.
final class ScriptOutput: RaftLogger {
  static let levelNames = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"]

  private struct State {
    var text = ""
    /// Position in `levelNames`.
    var level = 0
  }

  private let state = Mutex(State())

  var level: Int {
    get { state.withLock { $0.level } }
    set { state.withLock { $0.level = newValue } }
  }

  /// At the highest level nothing is printed but errors.
  var isQuiet: Bool { level == Self.levelNames.count - 1 }

  func isEnabled(_ level: RaftLogLevel) -> Bool { self.level <= level.rawValue }

  func log(_ level: RaftLogLevel, _ message: String) {
    write("\(Self.levelNames[level.rawValue]) \(message)\n")
  }

  func write(_ text: String) {
    state.withLock { if $0.level < Self.levelNames.count - 1 { $0.text += text } }
  }

  /// What was written since the last call.
  func take() -> String {
    state.withLock { state in
      defer { state.text = "" }
      return state.text
    }
  }

  /// Indents all lines that `body` writes.
  func indented(_ body: () throws -> Void) throws {
    let before = take()
    defer {
      var lines = take().split(separator: "\n", omittingEmptySubsequences: false)
      if lines.last == "" { lines.removeLast() }
      let text = before + lines.map { "  \($0)\n" }.joined()
      state.withLock { $0.text = text }
    }
    try body()
  }
}
