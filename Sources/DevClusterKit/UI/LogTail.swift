import Bytes
import EventLoops
import Platform

/// The newest lines of members' logs that fit. Reads no more than the end of each file.
enum LogTail {
  /// Bytes of each file.
  private static let bytesMax = 128 << 10

  static func lines(
    _ choice: LogChoice, _ members: [MemberPlan], count: Int
  ) -> [(member: String, line: LogLine)] {
    var found: [(time: Int64, order: Int, member: String, line: LogLine)] = []
    for member in members where choice.members.isEmpty || choice.members.contains(member.name) {
      // One without a time of its own belongs to the line before.
      var time: Int64 = 0
      for text in end(of: member.logFile) {
        let line = LogLine(text.string)
        time = line.time ?? time
        if choice.takes(member.name, line) { found.append((time, found.count, member.name, line)) }
      }
    }
    return found.sorted { ($0.time, $0.order) < ($1.time, $1.order) }.suffix(count)
      .map { ($0.member, $0.line) }
  }

  /// Whole lines at the end of a file.
  static func end(of path: String) -> [Bytes] {
    guard let end = SystemFiles.end(of: path, bytesMax: bytesMax) else { return [] }
    var lines = Bytes(end.bytes).split(separator: 0x0a)
    if !end.isWhole && !lines.isEmpty { lines.removeFirst() }
    return lines
  }
}
