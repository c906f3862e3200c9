import JSON

/// What a member does at this moment.
public enum MemberState: String, Sendable, CaseIterable {
  /// Ended by us, or never started.
  case stopped
  /// Ended on its own.
  case exited
  case paused
  /// Its process runs, but it does not answer or does not serve.
  case unhealthy
  case healthy
}

/// A member as `status` shows it.
public struct MemberReport: Sendable, Equatable {
  public var plan: MemberPlan
  public var state: MemberState
  public var pid: Int32?
  /// How it ended, when it did so on its own.
  public var exit: String?
  public var isLeader = false
  /// What it last said of itself; `nil` when it did not.
  var observation: Observation?
  /// How long ago that was, in milliseconds.
  var ageMilliseconds: UInt64 = 0

  public init(plan: MemberPlan, state: MemberState, pid: Int32? = nil, exit: String? = nil) {
    self.plan = plan
    self.state = state
    self.pid = pid
    self.exit = exit
  }

  /// Its role in the cluster.
  var role: String {
    if isLeader { return "leader" }
    if plan.isLearner { return "learner" }
    return state == .healthy ? "follower" : "-"
  }

  var json: JSONValue {
    var object: JSONObject = [
      "name": .string(plan.name), "state": .string(state.rawValue), "role": .string(role),
      "leader": .bool(isLeader), "learner": .bool(plan.isLearner),
      "client": .string(plan.clientURL), "peer": .string(plan.peerURL),
      "log": .string(plan.logFile), "data": .string(plan.dataDirectory),
    ]
    if let pid { object["pid"] = .integer(pid) }
    if let exit { object["exit"] = .string(exit) }
    guard let seen = observation else { return .object(object) }
    object["id"] = .string(String(seen.id, radix: 16))
    object["version"] = .string(seen.version)
    object["term"] = .integer(seen.term)
    object["raftIndex"] = .integer(seen.raftIndex)
    object["appliedIndex"] = .integer(seen.appliedIndex)
    object["revision"] = .integer(seen.revision)
    object["databaseBytes"] = .integer(seen.databaseBytes)
    object["databaseBytesInUse"] = .integer(seen.databaseBytesInUse)
    object["problems"] = .array(seen.problems.map(JSONValue.string))
    object["ageMilliseconds"] = .integer(ageMilliseconds)
    return .object(object)
  }
}

/// A table of members, from the status. Pure.
public enum StatusTable {
  /// Columns with the least width of a terminal that has them.
  private static let columns: [(title: String, width: Int)] = [
    ("MEMBER", 0), ("ID", 110), ("CLIENT", 0), ("PEER", 150), ("STATE", 0), ("ROLE", 0),
    ("TERM", 80), ("INDEX", 100), ("REVISION", 80), ("DB", 100), ("VERSION", 120), ("PID", 70),
  ]

  /// - Parameter width: of the terminal; what is wider leaves columns out.
  public static func text(_ status: JSONValue, width: Int = .max) -> String {
    let shown = columns.indices.filter { columns[$0].width <= width }
    func chosen(_ row: [String]) -> [String] { shown.map { row[$0] } }
    var table = TextTable(chosen(columns.map(\.title)))
    for member in status["members"]?.array ?? [] { table.add(chosen(row(member))) }
    return ([table.text] + notes(status)).joined(separator: "\n")
  }

  /// How the cluster is, in a sentence.
  static func sentence(_ status: JSONValue) -> String {
    let members = status["members"]?.array ?? []
    let healthy = members.count { $0["state"]?.string == MemberState.healthy.rawValue }
    let leader = status["leader"]?.string.map { "leader \($0)" } ?? "no leader"
    let term = status["term"]?.integer(as: UInt64.self) ?? 0
    return "\(healthy) of \(members.count) healthy, \(leader), term \(term)"
  }

  private static func row(_ member: JSONValue) -> [String] {
    func text(_ name: String) -> String { member[name]?.string ?? "-" }
    func number(_ name: String) -> String {
      member[name]?.integer(as: Int64.self).map { String($0) } ?? "-"
    }
    let exit = member["exit"]?.string.map { " (\($0))" } ?? ""
    return [
      text("name"), text("id"), text("client"), text("peer"), text("state") + exit, text("role"),
      number("term"), number("raftIndex"), number("revision"),
      member["databaseBytes"]?.integer(as: Int64.self).map(size) ?? "-", text("version"),
      number("pid"),
    ]
  }

  private static func size(_ bytes: Int64) -> String {
    bytes < 1 << 20 ? "\(bytes >> 10)K" : "\(bytes >> 20)M"
  }

  private static func notes(_ status: JSONValue) -> [String] {
    var notes: [String] = []
    for member in status["members"]?.array ?? [] {
      for problem in member["problems"]?.array ?? [] {
        notes.append("\(member["name"]?.string ?? "?"): \(problem.string ?? "?")")
      }
    }
    notes += (status["zones"]?.array ?? []).compactMap(\.string)
    for fault in status["faults"]?.array ?? [] {
      notes.append("fault: \(fault["text"]?.string ?? "?")")
    }
    if let quorum = status["quorum"], quorum["held"]?.bool == false,
      let healthy = quorum["healthy"]?.integer(as: Int.self),
      let needed = quorum["needed"]?.integer(as: Int.self)
    {
      notes.append("no quorum: \(healthy) healthy, \(needed) needed")
    }
    return notes
  }
}
