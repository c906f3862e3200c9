import Bytes
import GoText
import JSON

/// Something that happened to a cluster. Pure.
struct ClusterEvent: Sendable, Equatable {
  /// `start`, `spawn`, `ready`, `leader`, `no-leader`, `exit`, `stop`, `kill`, `pause`, … `down`.
  var kind: String
  /// Whom it is about; `nil` for the cluster.
  var member: String?
  /// A sentence for people.
  var text: String

  /// One line of the event log.
  /// - Parameter nanoseconds: since 1970.
  func line(at nanoseconds: Int64) -> String {
    var object: JSONObject = ["time": .string(Self.time(nanoseconds)), "kind": .string(kind)]
    if let member { object["member"] = .string(member) }
    object["text"] = .string(text)
    return JSONValue.object(object).encoded().string
  }

  /// RFC 3339 in UTC, with microseconds.
  static func time(_ nanoseconds: Int64) -> String {
    CivilTime(nanosecondsSinceEpoch: nanoseconds).rfc3339(fraction: .microseconds)
  }

  /// A line of the event log for people: the time of day in UTC, and the sentence.
  static func human(_ json: JSONValue) -> String {
    let time = json["time"]?.string ?? ""
    let clock = time.split(separator: "T").last.map { $0.prefix(12) } ?? ""
    return "\(clock)  \(json["text"]?.string ?? "")"
  }
}
