import Bytes
import GoText
import JSON

/// A line that a member printed, taken apart as far as it can be: etcd's JSON, or that of 3.4's older log. Pure.
struct LogLine {
  enum Level: Int, Comparable, CaseIterable, Sendable {
    case debug, info, warn, error, fatal

    init?(_ name: String) {
      switch name.lowercased() {
      case "debug", "d": self = .debug
      case "info", "notice", "i", "n": self = .info
      case "warn", "warning", "w": self = .warn
      case "error", "e": self = .error
      case "fatal", "panic", "dpanic", "critical", "c": self = .fatal
      default: return nil
      }
    }

    var shown: String { "\(self)".uppercased() }
    static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  let raw: String
  private(set) var level: Level?
  /// Nanoseconds since 1970.
  private(set) var time: Int64?
  private(set) var message: String?
  private var fields: [(name: String, value: String)] = []

  init(_ raw: String) {
    self.raw = raw
    if raw.hasPrefix("{") { readJSON() } else { readOld() }
  }

  private mutating func readJSON() {
    guard let object = (try? JSONValue.parse(Bytes(raw)))?.object else { return }
    for member in object.members {
      switch member.name {
      case "level": level = member.value.string.flatMap(Level.init)
      case "ts": time = member.value.string.flatMap(Self.time)
      case "msg": message = member.value.string
      case "caller", "logger": break
      default:
        fields.append((member.name, member.value.string ?? member.value.encoded().string))
      }
    }
  }

  /// `2026-01-02 15:04:05.123456 I | etcdserver: …`
  private mutating func readOld() {
    let words = raw.split(separator: " ", maxSplits: 4)
    guard words.count == 5, words[3] == "|", let found = Level(String(words[2])) else { return }
    level = found
    time = Self.time("\(words[0])T\(words[1])Z")
    message = String(words[4])
  }

  private static func time(_ text: String) -> Int64? {
    CivilTime(rfc3339: text)?.nanosecondsSinceEpoch
  }

  /// For people: time of day, level, message, fields.
  var human: String {
    guard let message else { return raw }
    let clock = time.map {
      ClusterEvent.time($0).split(separator: "T").last.map { String($0.prefix(12)) } ?? ""
    }
    let parts = [clock, level.map { $0.shown.padded(to: 5) }, message].compactMap { $0 }
    return (parts + fields.map { "\($0.name)=\($0.value)" }).joined(separator: " ")
  }
}

extension String {
  /// With blanks behind it, up to a width.
  func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
