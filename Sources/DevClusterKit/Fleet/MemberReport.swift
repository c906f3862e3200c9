import Bytes
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
  /// Its ID in the cluster; `nil` when it did not say.
  public var id: UInt64?
  public var isLeader = false

  public init(plan: MemberPlan, state: MemberState, pid: Int32? = nil, exit: String? = nil) {
    self.plan = plan
    self.state = state
    self.pid = pid
    self.exit = exit
  }

  var json: JSONValue {
    var object: JSONObject = [
      "name": .string(plan.name), "state": .string(state.rawValue), "leader": .bool(isLeader),
    ]
    if let pid { object["pid"] = .integer(pid) }
    if let exit { object["exit"] = .string(exit) }
    if let id { object["id"] = .string(String(id, radix: 16)) }
    return .object(object)
  }

  /// `nil` when `json` is no report of a member of `plan`.
  init?(_ json: JSONValue, _ plan: ClusterPlan) {
    guard let member = json["name"]?.string.flatMap(plan.member),
      let state = json["state"]?.string.flatMap(MemberState.init(rawValue:))
    else { return nil }
    self.init(
      plan: member, state: state, pid: json["pid"]?.integer(as: Int32.self),
      exit: json["exit"]?.string)
    id = json["id"]?.string.flatMap { UInt64($0, radix: 16) }
    isLeader = json["leader"]?.bool ?? false
  }
}

/// A table of members. Pure.
public enum StatusTable {
  public static func text(_ reports: [MemberReport], _ plan: ClusterPlan) -> String {
    var rows = [["MEMBER", "ID", "CLIENT", "PEER", "STATE", "LEADER", "PID"]]
    for report in reports {
      rows.append([
        report.plan.name, report.id.map { String($0, radix: 16) } ?? "-", report.plan.clientURL,
        report.plan.peerURL, report.state.rawValue + (report.exit.map { " (\($0))" } ?? ""),
        report.isLeader ? "*" : "", report.pid.map(String.init) ?? "-",
      ])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let lines = rows.map { row in
      var line = ""
      for (cell, width) in zip(row, widths) {
        line += cell + String(repeating: " ", count: width - cell.count + 2)
      }
      while line.hasSuffix(" ") { line.removeLast() }
      return line
    }
    return lines.joined(separator: "\n") + "\n" + plan.exportLine
  }
}
