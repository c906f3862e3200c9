import Bytes
import EventLoops
import HTTP
import JSON
import Platform

/// What takes time in this member, for people: `/debug/pprof/times` and `/debug/pprof/profile`. Every thread
/// does one thing (core, log, storage, loops), so that its processor time says what is busy.
struct DebugProfile: Sendable {
  let member: RunningMember

  /// Seconds that a profile may take, and takes when nobody says; Go's default is the same.
  private static let longest = 120
  private static let usual = 30

  func register(in router: inout HTTPRouter) {
    router.add(nil, "\(DebugEndpoints.profilePath)/times") { exchange, _ in
      exchange.respond(
        status: 200, headers: ["Content-Type": "application/json; charset=utf-8"], body: times)
    }
    router.add(nil, "\(DebugEndpoints.profilePath)/profile") { exchange, _ in profile(exchange) }
  }

  private func profile(_ exchange: HTTPExchange) {
    let asked = HTTPQuery(exchange.request.query).all("seconds").first
    guard let seconds = asked.map({ Int($0) }) ?? Self.usual, (1...Self.longest).contains(seconds)
    else {
      return exchange.refuse(400, "seconds has to be a number from 1 to \(Self.longest)")
    }
    let before = ProcessFacts.threadTimes
    let timer = member.loop.schedule(after: .seconds(seconds)) {
      exchange.onDisconnect = nil
      exchange.respond(
        status: 200, text: Self.difference(before, ProcessFacts.threadTimes, seconds: seconds))
    }
    exchange.onDisconnect = { timer.cancel() }
  }

  /// Lines of per cent of a processor and name, the busiest first.
  static func difference(
    _ before: [ProcessFacts.ThreadTime], _ after: [ProcessFacts.ThreadTime], seconds: Int
  ) -> String {
    let earlier = Dictionary(
      before.map { ($0.number, $0.user &+ $0.system) }, uniquingKeysWith: { $1 })
    let whole = Double(seconds) * Double(Machine.clockTicks)
    let shares = after.map { thread in
      (
        share: Double(thread.user &+ thread.system &- (earlier[thread.number] ?? 0)) * 100 / whole,
        name: thread.name
      )
    }
    return "# per cent of a processor by thread, in \(seconds) s; for functions: perf record -g -p"
      + " \(Program.id)\n"
      + shares.sorted { $0.share > $1.share }.map {
        "\(Double(Int($0.share * 10)) / 10) \($0.name)\n"
      }.joined()
  }

  private var times: Bytes {
    let disk = member.metrics.disk
    let threads = ProcessFacts.threadTimes.map { thread -> JSONValue in
      [
        "name": .string(thread.name), "user_seconds": Self.seconds(thread.user),
        "system_seconds": Self.seconds(thread.system),
      ]
    }
    let value: JSONValue = [
      "threads": .array(threads), "wal_fsync": Self.summary(disk.walFsync),
      "wal_write": Self.summary(disk.walWrite), "backend_commit": Self.summary(disk.backendCommit),
      "backend_commit_write": Self.summary(disk.commitWrite),
      "snapshot_save": Self.summary(disk.snapSave), "defragmentation": Self.summary(disk.defrag),
    ]
    var writer = ByteWriter(capacity: 1024)
    writer.append(value.encoded())
    writer.append("\n")
    return writer.finish()
  }

  private static func seconds(_ ticks: UInt64) -> JSONValue {
    .number("\(Double(ticks) / Double(Machine.clockTicks))")
  }

  private static func summary(_ histogram: Histogram) -> JSONValue {
    let (sum, counts) = histogram.snapshot
    return [
      "count": .number("\(counts.reduce(0, &+))"), "seconds": .number("\(sum)"),
    ]
  }
}
