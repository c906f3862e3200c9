import Bytes
import CommandLineTool
import EtcdAPI
import EtcdClient
import EventLoops
import GoText
import Protobuf
import TLS

/// `etcdctl top`: ours, Go's etcdctl has none.
extension EtcdCtl {
  static func topCommand(_ world: World) -> Command {
    var top = command(
      "top", "Shows requests, latencies, watchers, lag and space of each member, again and again",
      [
        CommandFlag("interval", .duration, default: "2s", "time between two looks at the members"),
        CommandFlag(
          "count", shorthand: "n", .unsigned, default: "0", "how often to show them, 0 for ever"),
        CommandFlag("once", .bool, "show them once"),
      ]
    ) { (invocation) throws(CommandFailure) in try watchMembers(invocation, world) }
    top.long = """
      Reads the /metrics of all members, Go's too. Rates and latencies are of the time since the
      look before. On a terminal the screen is written over; elsewhere one table follows the other.
      """
    return top
  }

  private static func watchMembers(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world, signsIn: false)
    let interval = (try? GoDuration.parse(invocation.string("interval"))) ?? 0
    guard interval >= 100_000_000 else {
      throw misuse("--interval must be 100ms at least, it is \(invocation.string("interval"))")
    }
    let endpoints = memberEndpoints(context)
    let pages: MemberPages
    do throws(TLSFailure) {
      pages = try MemberPages(
        context.settings, endpoints, loop: context.loop, timeout: context.settings.commandTimeout)
    } catch { throw CommandFailure(error.description) }
    defer { pages.close() }
    let last = invocation.bool("once") ? 1 : invocation.unsigned("count")
    let isLive = world.showsLive && context.settings.format == .simple
    var before = look(endpoints, pages)
    var shown: UInt64 = 0
    while last == 0 || shown < last {
      pause(.nanoseconds(interval))
      let now = look(endpoints, pages)
      // Home, and what is left of the screen away.
      if isLive { world.write("\u{1B}[H\u{1B}[J") }
      try context.printer.show(TopReport.views(TopRow.rows(now, before: before)))
      shown &+= 1
      guard world.isOutputOpen() else { return }
      before = now
    }
    guard before.contains(where: { $0.metrics != nil }) else {
      throw CommandFailure("no member shows its metrics")
    }
  }

  /// One of each member, or those of the command line when no list is to be had.
  private static func memberEndpoints(_ context: Context) -> [String] {
    let session = context.session
    let deadline = context.deadline
    let list = try? Context.wait { () async throws(ClientFailure) in
      try await session.call(
        Etcdserverpb.ClusterService.memberList, Etcdserverpb.MemberListRequest(linearizable: false),
        Etcdserverpb.MemberListResponse.self, deadline: deadline)
    }
    let given = Set(context.settings.endpoints.map(Endpoint.name))
    let found = (list?.message.members ?? []).compactMap { member in
      // One that was given is known to be reachable.
      member.clientURLs.first { given.contains(Endpoint.name($0)) } ?? member.clientURLs.first
    }
    return Array(
      (found.isEmpty ? context.settings.endpoints : found).prefix(DoctorProbe.endpointsMax))
  }

  private static func pause(_ time: Duration) {
    _ = try? Context.wait { () async throws(ClientFailure) in try? await Task.sleep(for: time) }
  }

  private static func look(_ endpoints: [String], _ pages: MemberPages) -> [TopSample] {
    let found = try? Context.wait { () async throws(ClientFailure) in
      await withTaskGroup(of: (Int, TopSample).self) { group in
        for (at, endpoint) in endpoints.enumerated() {
          group.addTask { (at, await look(at: endpoint, pages)) }
        }
        var samples: [(Int, TopSample)] = []
        for await sample in group { samples.append(sample) }
        return samples.sorted { $0.0 < $1.0 }.map(\.1)
      }
    }
    return found ?? []
  }

  private static let clockStart = ContinuousClock.now

  private static func look(at endpoint: String, _ pages: MemberPages) async -> TopSample {
    let answer = await pages.get("/metrics", at: endpoint)
    let time = clockStart.duration(to: .now) / .seconds(1)
    switch answer {
    case .success(let page) where page.status == 200:
      let metrics = MetricsText(page.body.string, where: TopSample.isWanted)
      return TopSample(endpoint: endpoint, time: time, metrics: metrics)
    case .success(let page):
      return TopSample(
        endpoint: endpoint, time: time, metrics: nil, problem: "/metrics: status \(page.status)")
    case .failure(let failure):
      return TopSample(endpoint: endpoint, time: time, metrics: nil, problem: failure.message)
    }
  }
}
