import CommandLineTool
import DiskFaults
import FaultRelay
import GoText

/// Commands that make and end faults between members. Pure.
extension DevCluster {
  private static let links = """
    LINK is m1->m2 (bytes of m1 to m2, whoever dialled), m1<->m2 or m1 m2 (both ways), or m1 alone (it and
    all others). Each side may be several names or roles between commas, and clients, when the cluster was
    started with --client-relay. Quote arrows for the shell.
    """

  private static let duration = CommandFlag(
    "for", .duration,
    "end the fault after `DURATION`, such as 10s; devcluster heal ends it at any time")

  static func faults(_ perform: @escaping Perform) -> [Command] {
    [
      cut(perform),
      valued("slow", "50ms|50ms±10ms", "Delays bytes between members", perform) {
        (text) throws(DevClusterError) in try slow(text)
      },
      valued("limit", "1MB/s", "Limits the bytes a second between members", perform) {
        (text) throws(DevClusterError) in .limit(try rate(text))
      },
      valued("loss", "5%", "Loses segments between members, as TCP sees it", perform) {
        (text) throws(DevClusterError) in .loss(try share(text))
      },
      resetLink(perform), disk(perform), clock(perform), heal(perform),
    ]
  }

  private static func cut(_ perform: @escaping Perform) -> Command {
    var command = Command("cut LINK", short: "Cuts members off from each other")
    command.long = """
      Cuts members off from each other. What is cut may be held (bytes wait, and arrive late), swallowed (they
      are lost, and the connection breaks at the end) or refused (connections of either side break at once: one
      needs both directions).

      \(links)
      """
    var mode = CommandFlag("mode", .string, default: "hold", "hold, swallow or refuse")
    mode.choices = LinkRule.Cut.allCases.map(\.rawValue)
    command.flags = [mode, duration]
    command.run = running(perform) { (call) throws(DevClusterError) in
      guard let mode = LinkRule.Cut(rawValue: call.string("mode")) else {
        throw .usage("--mode is hold, swallow or refuse, not '\(call.string("mode"))'")
      }
      return .ask(.fault(try order(.cut(mode), call.arguments, call)))
    }
    return command
  }

  private static func valued(
    _ name: String, _ value: String, _ short: String, _ perform: @escaping Perform,
    _ kind: @escaping @Sendable (String) throws(DevClusterError) -> FaultOrder.Kind
  ) -> Command {
    var command = Command("\(name) LINK \(value)", short: short)
    command.long = "\(short).\n\n\(links)"
    command.flags = [duration]
    command.run = running(perform) { (call) throws(DevClusterError) in
      guard let last = call.arguments.last, call.arguments.count > 1 else {
        throw .usage(
          "devcluster \(name) needs a link and a value, such as: \(name) 'm1->m2' \(value)")
      }
      return .ask(.fault(try order(try kind(last), call.arguments.dropLast(), call)))
    }
    if name == "slow" { command.long += "\n\nA delay of 0ms ends the one that was." }
    return command
  }

  private static func resetLink(_ perform: @escaping Perform) -> Command {
    var command = Command("reset-link LINK", short: "Ends the connections between members once")
    command.long = "\(command.short).\n\n\(links)"
    command.run = running(perform) { (call) throws(DevClusterError) in
      .ask(.fault(try order(.reset, call.arguments, call)))
    }
    return command
  }

  private static func disk(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "disk WHO slow 20ms|full|fail|ok", short: "Makes members' disks slow, full or broken (Linux)")
    command.long = """
      Makes members' disks slow (each sync takes longer), full (there is no more room: ENOSPC) or broken
      (writes and syncs fail: EIO), and ok again. A member that is started again has the same disk.

      \(who)
      """
    command.flags = [duration]
    command.run = running(perform) { (call) throws(DevClusterError) in
      .ask(.fault(try diskOrder(call)))
    }
    return command
  }

  private static func diskOrder(_ call: Invocation) throws(DevClusterError) -> FaultOrder {
    let words = call.arguments
    guard let at = words.firstIndex(where: { ["slow", "full", "fail", "ok"].contains($0) }), at > 0
    else { throw .usage("devcluster disk needs members and slow 20ms, full, fail or ok") }
    let rest = words[(at + 1)...]
    guard rest.count == (words[at] == "slow" ? 1 : 0) else {
      throw .usage(
        words[at] == "slow"
          ? "devcluster disk WHO slow needs a time, such as 20ms"
          : "devcluster disk: unexpected '\(rest[rest.startIndex])'")
    }
    var rule = DiskRule(failure: DiskRule.Failure(rawValue: words[at]))
    if let text = rest.first {
      guard let time = nanoseconds(text), time > 0 else {
        throw .usage("'\(text)' is no time; one is 20ms")
      }
      rule.delay = UInt64(time)
    }
    return FaultOrder(
      .disk(rule), from: Array(words[..<at]), to: [], isOneWay: false,
      duration: try faultDuration(call))
  }

  private static func clock(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "clock WHO ahead 5s|behind 5s|ok", short: "Makes the clocks of our own etcd's members wrong")
    command.long = """
      Makes members' time of day wrong, and right again: what they show in logs and answers, the ends of v2's
      keys, of tokens and the like. Leases and elections go by another clock, and certificates by the system's.
      Works for our own etcd alone: others read the system's clock. A member that is started again has the same
      clock.

      \(who)
      """
    command.flags = [duration]
    command.run = running(perform) { (call) throws(DevClusterError) in
      .ask(.fault(try clockOrder(call)))
    }
    return command
  }

  private static func clockOrder(_ call: Invocation) throws(DevClusterError) -> FaultOrder {
    let words = call.arguments
    guard let at = words.firstIndex(where: { ["ahead", "behind", "ok"].contains($0) }), at > 0,
      words.count == (words[at] == "ok" ? at + 1 : at + 2)
    else { throw .usage("devcluster clock needs members and ahead 5s, behind 5s or ok") }
    var offset: Int64 = 0
    if words[at] != "ok" {
      guard let time = nanoseconds(words[at + 1]), time > 0,
        FaultOrder.clockOffsets.contains(time)
      else { throw .usage("'\(words[at + 1])' is no time; one is 5s, up to ten years (87600h)") }
      offset = words[at] == "ahead" ? time : -time
    }
    return FaultOrder(
      .clock(offset), from: Array(words[..<at]), to: [], isOneWay: false,
      duration: try faultDuration(call))
  }

  private static func heal(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "heal [WHO…|LINK]", short: "Ends all faults, of links, disks and clocks, or those of some")
    command.long = "\(command.short).\n\n\(who)\n\n\(links)"
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "heal", atMost: ClusterPlan.membersMax)
      return .ask(.heal(call.arguments))
    }
    return command
  }

  private static func order(
    _ kind: FaultOrder.Kind, _ words: [String], _ call: Invocation
  ) throws(DevClusterError) -> FaultOrder {
    guard !words.isEmpty else { throw .usage("a link is missing, such as 'm1->m2' or leader") }
    let links = try FaultOrder.links(words)
    return FaultOrder(
      kind, from: links.from, to: links.to, isOneWay: links.isOneWay,
      duration: try faultDuration(call))
  }

  private static func faultDuration(_ call: Invocation) throws(DevClusterError) -> UInt64? {
    guard call.has("for"), call.isGiven("for") else { return nil }
    guard let given = nanoseconds(call.string("for")), given > 0 else {
      throw .usage("--for needs a time above 0")
    }
    return UInt64(given)
  }

  // MARK: values

  /// `50ms`, `50ms±10ms` or `50ms+-10ms`.
  static func slow(_ text: String) throws(DevClusterError) -> FaultOrder.Kind {
    let parts = text.replacing("+-", with: "±").split(separator: "±").map(String.init)
    let times = parts.compactMap(nanoseconds)
    guard (1...2).contains(parts.count), times.count == parts.count,
      times.allSatisfy({ $0 >= 0 && $0 <= 3_600_000_000_000 })
    else { throw .usage("'\(text)' is no delay; one is 50ms or 50ms±10ms") }
    return .slow(UInt64(times[0]), jitter: times.count > 1 ? UInt64(times[1]) : 0)
  }

  /// `1MB/s`, `64KiB/s`, `500`.
  static func rate(_ text: String) throws(DevClusterError) -> UInt64 {
    let name = text.hasSuffix("/s") ? String(text.dropLast(2)) : text
    let digits = name.prefix { $0.isNumber }
    let units: [String: UInt64] = [
      "": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10,
      "MiB": 1 << 20, "GiB": 1 << 30,
    ]
    guard let number = UInt64(digits), let unit = units[String(name.dropFirst(digits.count))],
      case (let rate, let overflow) = number.multipliedReportingOverflow(by: unit), !overflow,
      rate > 0
    else { throw .usage("'\(text)' is no rate; one is 1MB/s or 64KiB/s") }
    return rate
  }

  /// `5%` or `0.05`.
  static func share(_ text: String) throws(DevClusterError) -> Double {
    let isPercent = text.hasSuffix("%")
    guard let number = Double(isPercent ? String(text.dropLast()) : text), number.isFinite,
      case let share = isPercent ? number / 100 : number, (0...1).contains(share)
    else { throw .usage("'\(text)' is no share; one is 5% or 0.05") }
    return share
  }
}
