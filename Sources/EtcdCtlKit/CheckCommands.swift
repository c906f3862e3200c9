import Bytes
import CommandLineTool
import EtcdAPI
import EtcdClient
import EventLoops
import GoText
import Protobuf
import TLS

/// Loads that show what a cluster carries. No progress is shown.
///
/// - Source: etcd `etcdctl/ctlv3/command/check.go`.
extension EtcdCtl {
  static func checkCommand(_ world: World) -> Command {
    var check = Command(
      "check <subcommand>", short: "commands for checking properties of the etcd cluster")
    var datascale = command(
      "datascale [options]",
      "Check the memory usage of holding data for different workloads on a given server endpoint.",
      checkFlags("datascale")
    ) { (invocation) throws(CommandFailure) in try checkDatascale(invocation, world) }
    datascale.long =
      "If no endpoint is provided, localhost will be used. If multiple endpoints are provided, "
      + "first endpoint will be used."
    check.commands = [
      command(
        "perf [options]", "Check the performance of the etcd cluster", checkFlags("performance")
      ) { (invocation) throws(CommandFailure) in try checkPerf(invocation, world) },
      datascale,
    ]
    return check
  }

  private static func checkFlags(_ name: String) -> [CommandFlag] {
    let short = name == "performance" ? "perf" : name
    return [
      CommandFlag(
        "load", .string, default: "s",
        "The \(name) check's workload model. Accepted workloads: s(small), m(medium), l(large), "
          + "xl(xLarge)"),
      CommandFlag(
        "prefix", .string, default: "/etcdctl-check-\(short)/",
        "The prefix for writing the \(name) check's keys."),
      CommandFlag(
        "auto-compact", .bool, "Compact storage with last revision after test is finished."),
      CommandFlag("auto-defrag", .bool, "Defragment storage after test is finished."),
    ]
  }

  private static func model(_ invocation: Invocation) throws(CommandFailure) -> Int {
    let load = invocation.string("load")
    switch load {
    case "s", "small": return 0
    case "m", "medium": return 1
    case "l", "large": return 2
    case "xl", "xLarge": return 3
    default:
      throw CommandFailure("unknown load option \(load)", exitCode: CommandFailure.badFeature)
    }
  }

  // MARK: perf

  private static func checkPerf(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let model = try model(invocation)
    let rate = [150, 1000, 8000, 15000][model]
    let context = try Context(invocation, world)
    let prefix = invocation.string("prefix")
    try mustBeEmpty(prefix, quote: "'", context)
    let load = CheckLoad(
      prefix: argumentBytes(prefix), keyBytes: 256, valueBytes: 1024,
      clients: [50, 200, 500, 1000][model], perSecond: rate, seconds: 60, requests: .max)
    let report = load.run(context)
    let revision = cleanUp(prefix, context)
    if let revision { try finish(invocation, context, revision: revision) }
    var isGood = true
    func judge(_ good: Bool, _ pass: String, _ fail: String) {
      invocation.console.print((good ? pass : fail) + "\n")
      isGood = isGood && good
    }
    if !report.errors.isEmpty { judge(false, "", report.errorText) }
    let throughput = "\(Int(report.perSecond) + 1) writes/s"
    judge(
      report.perSecond / Double(rate) > 0.9, "PASS: Throughput is \(throughput)",
      "FAIL: Throughput too low: \(throughput)")
    let slowest = sixDigits(report.slowest)
    judge(
      report.slowest <= 0.5, "PASS: Slowest request took \(slowest)s",
      "Slowest request took too long: \(slowest)s")
    let deviation = sixDigits(report.deviation)
    judge(
      report.deviation <= 0.1, "PASS: Stddev is \(deviation)s", "Stddev too high: \(deviation)s")
    invocation.console.print(isGood ? "PASS\n" : "FAIL\n")
    if !isGood { throw .told() }
  }

  static func decimal(_ value: Double, _ digits: Int) -> String {
    let scale = (0..<digits).reduce(1) { scale, _ in scale * 10 }
    // checked: what a server says of its memory may be anything; what is no number of ours is the largest
    let units = Int(exactly: (value.magnitude * Double(scale)).rounded()) ?? .max
    let fraction = String(units % scale + scale).dropFirst()
    return (value < 0 ? "-" : "") + "\(units / scale).\(fraction)"
  }

  private static func sixDigits(_ value: Double) -> String { decimal(value, 6) }

  private static func mustBeEmpty(
    _ prefix: String, quote: String, _ context: Context
  ) throws(CommandFailure) {
    let key = argumentBytes(prefix)
    let answer = try context.request(
      Etcdserverpb.KVService.range,
      Etcdserverpb.RangeRequest(key: key, rangeEnd: key.endOfPrefix, limit: 1),
      Etcdserverpb.RangeResponse.self)
    guard answer.message.kvs.isEmpty else {
      throw CommandFailure(
        "prefix \(GoQuote.text(prefix)) has keys. Delete with \(quote)etcdctl del --prefix "
          + "\(prefix)\(quote) first", exitCode: CommandFailure.invalidInput)
    }
  }

  /// Deletes what was written.
  /// - Returns: the revision behind; `nil` when that failed, which was told.
  private static func cleanUp(_ prefix: String, _ context: Context) -> Int64? {
    let key = argumentBytes(prefix)
    do throws(ClientFailure) {
      let answer = try long(context) { (session, deadline) async throws(ClientFailure) in
        try await session.call(
          Etcdserverpb.KVService.deleteRange,
          Etcdserverpb.DeleteRangeRequest(key: key, rangeEnd: key.endOfPrefix),
          Etcdserverpb.DeleteRangeResponse.self, deadline: deadline)
      }
      return answer.message.header?.revision
    } catch {
      context.console.print(
        "FAIL: Cleanup failed during key deletion: ERROR(\(error.message))\n")
      return nil
    }
  }

  /// A request that may take half a minute.
  private static func long<R: Sendable>(
    _ context: Context,
    _ body: @escaping @Sendable (Session, ContinuousClock.Instant) async throws(ClientFailure) -> R
  ) throws(ClientFailure) -> R {
    let session = context.session
    return try Context.wait { () async throws(ClientFailure) in
      try await body(session, .now + .seconds(30))
    }
  }

  /// Compacts and defragments as the flags say.
  private static func finish(
    _ invocation: Invocation, _ context: Context, revision: Int64
  ) throws(CommandFailure) {
    do throws(ClientFailure) {
      if invocation.bool("auto-compact") {
        context.console.print("Compacting with revision \(revision)\n")
        _ = try long(context) { (session, deadline) async throws(ClientFailure) in
          try await session.call(
            Etcdserverpb.KVService.compact,
            Etcdserverpb.CompactionRequest(revision: revision, physical: true),
            Etcdserverpb.CompactionResponse.self, deadline: deadline)
        }
        context.console.print("Compacted with revision \(revision)\n")
      }
      guard invocation.bool("auto-defrag") else { return }
      for endpoint in context.settings.endpoints {
        context.console.print("Defragmenting \(GoQuote.text(endpoint))\n")
        let session = try context.session(to: endpoint)
        defer { session.close() }
        _ = try Context.wait { () async throws(ClientFailure) in
          try await session.call(
            Etcdserverpb.MaintenanceService.defragment, Etcdserverpb.DefragmentRequest(),
            Etcdserverpb.DefragmentResponse.self, deadline: .now + .seconds(30))
        }
        context.console.print("Defragmented \(GoQuote.text(endpoint))\n")
      }
    } catch { throw CommandFailure(error.message) }
  }

  // MARK: datascale

  private static func checkDatascale(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let model = try model(invocation)
    let context = try Context(invocation, world)
    let prefix = invocation.string("prefix")
    try mustBeEmpty(prefix, quote: "", context)
    let count = [10_000, 100_000, 1_000_000, 3_000_000][model]
    let clients = [50, 200, 500, 1000][model]
    let before = try residentBytes(context, "before")
    context.console.print(
      "Start data scale check for work load [\(count) key-value pairs, 1024 bytes per key-value, "
        + "\(clients) concurrent clients].\n")
    let load = CheckLoad(
      prefix: argumentBytes(prefix), keyBytes: 512, valueBytes: 512, clients: clients,
      perSecond: nil, seconds: nil, requests: count)
    let report = load.run(context)
    let after = try residentBytes(context, "after")
    guard let revision = cleanUp(prefix, context) else { throw .told() }
    try finish(invocation, context, revision: revision)
    guard report.errors.isEmpty else {
      context.console.print(report.errorText + "\n")
      throw .told()
    }
    context.console.print(
      "PASS: Approximate system memory used : \(decimal((after - before) / 1_048_576, 2)) MB.\n")
  }

  /// What the first endpoint says about its memory.
  private static func residentBytes(
    _ context: Context, _ when: String
  ) throws(CommandFailure) -> Double {
    let name = "process_resident_memory_bytes"
    let text = metrics(context)
    let line = text?.split(separator: "\n").first { $0.hasPrefix(name + " ") }
    guard let line, let value = Double(line.dropFirst(name.count + 1)), value > 0 else {
      if text != nil { context.console.print("could not find: \(name)\n") }
      context.console.print("FAIL: Could not read \(name) \(when) the put operations.\n")
      throw .told()
    }
    return value
  }

  private static func metrics(_ context: Context) -> String? {
    let settings = context.settings
    let endpoint = settings.endpoints[0]
    do throws(ClientFailure) {
      let pages: MemberPages
      do throws(TLSFailure) {
        pages = try MemberPages(settings, [endpoint], loop: context.loop, timeout: .seconds(30))
      } catch { throw ClientFailure(local: error.description) }
      defer { pages.close() }
      return try Context.wait { () async throws(ClientFailure) in
        try await pages.get("/metrics", at: endpoint).get().body.string
      }
    } catch {
      context.console.print("fetch error: \(error.message)\n")
      return nil
    }
  }
}
