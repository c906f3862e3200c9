import Bytes
import GoText
import JSON

/// What the client says of its own accord, as zap's JSON encoding writes it. Scripts read these lines.
struct ClientLog: Sendable {
  /// Seconds since 1970-01-01 UTC.
  let now: @Sendable () -> Double
  let write: @Sendable (String) -> Void
  var name = "etcd-client"

  func warn(
    _ message: String, _ fields: [(String, JSONValue)], file: StaticString = #fileID,
    line: UInt = #line
  ) {
    var object = JSONObject([
      .init("level", "warn"), .init("ts", .string(Self.time(now()))),
      .init("logger", .string(name)), .init("caller", .string("\(file):\(line)")),
      .init("msg", .string(message)),
    ])
    object.members += fields.map { .init($0.0, $0.1) }
    write(JSONValue.object(object).encoded().string + "\n")
  }

  /// A line of gRPC's log, for `--debug`.
  func debug(_ level: String, _ message: String) {
    let time = Self.time(now())
    let (date, clock) = (time.prefix(10).replacing("-", with: "/"), time.dropFirst(11).prefix(8))
    write("\(level): \(date) \(clock) [core] \(message)\n")
  }

  /// `2006-01-02T15:04:05.000000Z`.
  static func time(_ seconds: Double) -> String {
    let micros = Int64(exactly: (seconds * 1_000_000).rounded()) ?? 0
    return CivilTime(microsecondsSinceEpoch: micros).rfc3339(fraction: .microseconds)
  }
}
