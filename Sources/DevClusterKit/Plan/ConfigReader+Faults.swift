import YAML

/// Zones and faults of a configuration file.
extension ConfigReader {
  /// Faults that can stand in a file: those that last.
  static let faultCommands = ["cut", "slow", "limit", "loss", "disk", "clock"]

  /// ```
  /// zones: {eu: [m1, m2], us: [m3], latency: {eu-us: 40ms±5ms}}
  /// ```
  func zones(_ node: YAMLNode) throws(DevClusterError) -> ZonePlan {
    var plan = ZonePlan()
    let entries = try fields.entries(node, "zones", nil)
    for entry in entries where entry.name != "latency" {
      var zone = ZonePlan.Zone(name: entry.name, parties: [])
      for party in try fields.list(entry.value, entry.name) {
        let name = try fields.text(party, entry.name)
        guard name == "clients" || Self.memberNames.contains(name) else {
          throw fields.wrong(party, entry.name, "m1 to m\(ClusterPlan.membersMax) or clients")
        }
        guard !(plan.zones + [zone]).contains(where: { $0.parties.contains(name) }) else {
          throw fields.failure(party, "\(name) is in two zones")
        }
        zone.parties.append(name)
      }
      plan.zones.append(zone)
    }
    for entry in entries where entry.name == "latency" {
      for latency in try fields.entries(entry.value, "latency", nil) {
        plan.latencies.append(try self.latency(latency.name, latency.value, plan))
      }
    }
    return plan
  }

  private func latency(
    _ name: String, _ node: YAMLNode, _ plan: ZonePlan
  ) throws(DevClusterError) -> ZonePlan.Latency {
    guard let pair = plan.pair(name) else {
      let zones = plan.zones.map(\.name).joined(separator: ", ")
      throw fields.failure(
        node, "'\(name)' is no pair of zones, such as eu-us, among: \(zones)")
    }
    let kind: FaultOrder.Kind
    do throws(DevClusterError) { kind = try DevCluster.slow(try fields.text(node, name)) } catch {
      throw fields.wrong(node, name, "a time such as 40ms or 40ms±5ms")
    }
    guard case .slow(let delay, let jitter) = kind else { preconditionFailure("slow is slow") }
    return .init(from: pair.from, to: pair.to, delay: delay, jitter: jitter)
  }

  /// ```
  /// faults: [{slow: "leader 20ms"}, {disk: m2 slow 5ms, for: 10s}]
  /// ```
  func faults(_ node: YAMLNode) throws(DevClusterError) -> [FaultOrder] {
    try fields.list(node, "faults").map { (node) throws(DevClusterError) in
      let entries = try fields.entries(node, "a fault", Self.faultCommands + ["for"])
      let commands = entries.filter { $0.name != "for" }
      guard commands.count == 1, let command = commands.first else {
        throw fields.wrong(node, "a fault", "one command, such as {slow: leader 20ms},")
      }
      let words = "\(command.name) \(try fields.text(command.value, command.name))"
      let step: Scenario.Step
      do throws(DevClusterError) { step = try ScenarioWords.step(words) } catch {
        throw fields.failure(command.value, error.description)
      }
      guard case .fault(var order) = step.request else {
        throw fields.wrong(command.value, command.name, "a fault")
      }
      if let length = entries.first(where: { $0.name == "for" }) {
        order.duration = try fields.time(length.value, "for", 1...3_600_000_000_000)
      }
      return order
    }
  }
}
