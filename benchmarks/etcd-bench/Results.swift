import Foundation

/// A number with a fixed count of decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
  String(format: "%.\(decimals)f", value)
}

/// One line of the results: the medians for each server.
struct ResultLine {
  let work: String
  /// Unit of `values` and how they are written.
  let unit: Unit
  var values: [Server: [Double]] = [:]
  var cpu: [Server: [Double]] = [:]
  /// The ratio ours/Go that the issue asks for, and that of the CPU time.
  var goal: Double?
  var cpuGoal: Double?

  enum Unit {
    case perSecond, microseconds, milliseconds, mebibytes, percent

    func text(_ value: Double) -> String {
      switch self {
      case .perSecond: "\(fixed(value, 0))/s"
      case .microseconds: "\(fixed(value, 0)) µs"
      case .milliseconds: "\(fixed(value, 0)) ms"
      case .mebibytes: "\(fixed(value / Double(1 << 20), 1)) MiB"
      case .percent: "\(fixed(value, 2)) %"
      }
    }

    var moreIsBetter: Bool { self == .perSecond }
  }

  func value(_ server: Server) -> Double { median(values[server] ?? []) }

  func row(_ ours: Server, _ reference: Server) -> [String] {
    let (mine, theirs) = (value(ours), value(reference))
    let ratio = theirs > 0 ? mine / theirs : 0
    var cells = [work, unit.text(theirs), unit.text(mine), "\(fixed(ratio, 2))×"]
    var holds = true
    if let myCPU = cpu[ours].map(median), let theirCPU = cpu[reference].map(median) {
      let share = theirCPU > 0 ? myCPU / theirCPU : 0
      cells.append("\(fixed(theirCPU, 1)) / \(fixed(myCPU, 1)) (\(fixed(share, 2))×)")
      if let cpuGoal { holds = holds && share <= cpuGoal }
    } else {
      cells.append("")
    }
    guard let goal else { return cells + ["", ""] }
    holds = holds && (unit.moreIsBetter ? ratio >= goal : ratio <= goal)
    let sign = unit.moreIsBetter ? "≥" : "≤"
    let target =
      "\(sign) \(fixed(goal, 2))×" + (cpuGoal.map { ", CPU ≤ \(fixed($0, 2))×" } ?? "")
    return cells + [target, holds ? "pass" : "short"]
  }
}

/// All lines, in the order in which they were first measured.
struct Results {
  private(set) var lines: [ResultLine] = []

  mutating func add(_ line: ResultLine, _ server: Server, _ value: Double, cpu: Double? = nil) {
    let index: Int
    if let known = lines.firstIndex(where: { $0.work == line.work }) {
      index = known
    } else {
      index = lines.count
      lines.append(line)
    }
    lines[index].values[server, default: []].append(value)
    if let cpu { lines[index].cpu[server, default: []].append(cpu) }
  }

  /// The table against one reference, in Markdown.
  func table(_ ours: Server, _ reference: Server) -> String {
    let head = [
      "work", reference.name, "ours", "ours/Go", "CPU µs/request Go / ours", "target", "result",
    ]
    let rows = lines.map { $0.row(ours, reference) }
    let text = [head, head.map { _ in "---" }] + rows
    return text.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n") + "\n"
  }
}
