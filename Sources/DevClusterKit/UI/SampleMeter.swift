import JSON

/// Makes rates and latencies of what members count. Pure.
struct SampleMeter: Sendable {
  private struct Reading: Sendable {
    let metrics: MemberMetrics
    /// Nanoseconds of the loop's clock.
    let time: UInt64
  }

  private var last: [String: Reading] = [:]
  private var rates: [String: Rates] = [:]

  /// Of one member, between its last two pages.
  private struct Rates: Sendable {
    var puts = 0.0
    var put: Double?
    var sync: Double?
    var cpu = 0.0
    /// Bytes a second by the ID of who gets them.
    var sent: [String: Double] = [:]
  }

  /// Takes a page of a member; `nil` when it gave none.
  mutating func add(_ member: String, _ metrics: MemberMetrics?, at time: UInt64) {
    guard let metrics else {
      last[member] = nil
      rates[member] = nil
      return
    }
    let before = last[member]
    last[member] = Reading(metrics: metrics, time: time)
    // One that was started again counts from 0.
    guard let before, before.time < time, before.metrics.startTime == metrics.startTime else {
      rates[member] = nil
      return
    }
    let seconds = Double(time - before.time) / 1e9
    let old = before.metrics
    var found = Rates()
    found.puts = max(0, metrics.puts - old.puts) / seconds
    found.put = MemberMetrics.quantile(0.99, old.putSeconds, metrics.putSeconds)
    found.sync = MemberMetrics.quantile(0.99, old.syncSeconds, metrics.syncSeconds)
    found.cpu = max(0, metrics.cpuSeconds - old.cpuSeconds) / seconds
    for (id, bytes) in metrics.sentBytes {
      found.sent[id] = max(0, bytes - (old.sentBytes[id] ?? 0)) / seconds
    }
    rates[member] = found
  }

  /// What the page draws: puts a second of the cluster (each member counts all of them: the highest is the
  /// cluster's), the slowest member's p99, and what each member says of its process and of its links.
  /// - Parameters:
  ///   - milliseconds: since 1970.
  ///   - names: of members by ID, in hexadecimal.
  func sample(at milliseconds: Int64, names: [String: String]) -> JSONObject {
    let puts = rates.values.map(\.puts).max()
    let put = rates.values.compactMap(\.put).max()
    let sync = rates.values.compactMap(\.sync).max()
    var members = JSONObject()
    for (name, reading) in last.sorted(by: { $0.key < $1.key }) {
      members[name] = member(reading.metrics, rates[name], at: milliseconds)
    }
    var links = JSONObject()
    for (from, rate) in rates.sorted(by: { $0.key < $1.key }) {
      for (id, bytes) in rate.sent.sorted(by: { $0.key < $1.key }) {
        guard let to = names[id] else { continue }
        links["\(from)->\(to)"] = Self.number(bytes)
      }
    }
    return [
      "time": .integer(milliseconds), "puts": puts.map(Self.number) ?? .null,
      "p99": (put ?? sync).map(Self.number) ?? .null,
      "p99Of": .string(put == nil ? "sync" : "put"), "members": .object(members),
      "links": .object(links),
    ]
  }

  private func member(
    _ metrics: MemberMetrics, _ rates: Rates?, at milliseconds: Int64
  ) -> JSONValue {
    var object: JSONObject = [
      "memoryBytes": Self.number(metrics.memoryBytes), "openFiles": Self.number(metrics.openFiles),
    ]
    if metrics.startTime > 0 {
      object["uptimeSeconds"] = Self.number(Double(milliseconds) / 1_000 - metrics.startTime)
    }
    if let rates { object["cpu"] = Self.number(rates.cpu) }
    return .object(object)
  }

  /// With what JSON has: no infinity, six digits.
  private static func number(_ value: Double) -> JSONValue {
    guard value.isFinite else { return .null }
    let rounded = (value * 1e6).rounded() / 1e6
    return .number(
      rounded == rounded.rounded() && abs(rounded) < 1e15
        ? String(Int64(rounded)) : "\(rounded)")
  }
}
