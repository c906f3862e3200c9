import Bytes
import EventLoops
import HTTP
import JSON
import Platform

/// What takes time in this member, for people: `/debug/pprof/times`. Every thread does one thing (core, log,
/// storage, loops), so that its processor time says what is busy.
struct DebugProfile: Sendable {
  let member: RunningMember

  func register(in router: inout HTTPRouter) {
    router.add(nil, "\(DebugEndpoints.profilePath)/times") { exchange, _ in
      exchange.respond(
        status: 200, headers: ["Content-Type": "application/json; charset=utf-8"], body: times)
    }
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
