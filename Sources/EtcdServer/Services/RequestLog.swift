import Calls
import EventLoops
import GoText
import Platform

/// Writes unary calls that took long into the log, and all of them while faults are looked for.
///
/// Counts of keys and the request's content, which etcd tells of some methods, are left open, as it does for
/// the others: what a client sends is not kept until its answer.
///
/// - Source: etcd `v3rpc/interceptor.go` logUnaryRequestStats.
struct RequestLog: Sendable {
  let logger: Logger
  /// Calls up to this are quick.
  let slow: Duration

  /// Calls up to this are of no interest.
  var threshold: Duration { logger.level == .debug ? .zero : slow }

  func note(_ call: FinishedCall) {
    let isSlow = call.time > slow
    guard isSlow || logger.level == .debug else { return }
    let start = WallClock.nanoseconds &- Int64(clamping: call.time.nanoseconds)
    let fields = [
      LogField(
        "start time",
        .string(CivilTime(nanosecondsSinceEpoch: start).rfc3339(fraction: .microseconds))),
      LogField("time spent", .duration(call.time)),
      LogField(
        "remote", .string(call.remoteAddress.map { "\($0)" } ?? "No remote client info.")),
      LogField("response type", .string(call.path)), LogField("request count", -1),
      LogField("request size", .int(call.requestBytes)), LogField("response count", -1),
      LogField("response size", .int(call.responseBytes)), LogField("request content", ""),
    ]
    if isSlow {
      logger.warn("request stats", fields)
    } else {
      logger.debug("request stats", fields)
    }
  }
}
