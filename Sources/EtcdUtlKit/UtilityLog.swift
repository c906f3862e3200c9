import Bytes
import CommandLineTool
import EventLoops
import Protobuf

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
    let day = Int(seconds) / 86_400
    let second = Int(seconds) % 86_400
    let date = CivilDate.from(daysSinceEpoch: day)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(date.year)-\(two(date.month))-\(two(date.day))T\(two(second / 3600)):"
      + "\(two(second / 60 % 60)):\(two(second % 60))Z"
  }
}
