import Bytes
import CommandLineTool
import GoText
import JSON

/// Log lines on standard error: time, level, caller, message and fields as JSON, between tabs.
///
/// - Source: etcd `etcdutl/common.go` GetLogger: zap's console encoding, times as RFC 3339.
struct UtilityLog: Sendable {
  let console: Console
  let now: @Sendable () -> Int64

  enum Level: String { case info, warn, error, fatal }

  func write(
    _ level: Level, _ message: String, _ fields: [(String, JSONValue)] = [],
    file: StaticString = #fileID, line: UInt = #line
  ) {
    var text = "\(Self.time(now()))\t\(level.rawValue)\t\(file):\(line)\t\(message)"
    if !fields.isEmpty {
      let parts = fields.map { name, value in
        "\(JSONValue.string(name).encoded().string): \(Self.spaced(value))"
      }
      text += "\t{" + parts.joined(separator: ", ") + "}"
    }
    console.printError(text + "\n")
  }

  private static func spaced(_ value: JSONValue) -> String {
    guard let list = value.array else { return value.encoded().string }
    return "[" + list.map { spaced($0) }.joined(separator: ", ") + "]"
  }

  /// `2006-01-02T15:04:05Z`.
  static func time(_ seconds: Int64) -> String {
    CivilTime(secondsSinceEpoch: Int(seconds)).rfc3339()
  }
}
