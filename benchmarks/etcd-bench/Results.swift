import Foundation

/// A number with a fixed count of decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
  String(format: "%.\(decimals)f", value)
}

/// One line of the results: the medians for each server.
struct ResultLine {
  let work: String
  let unit: Unit
  var goal: Goal?
  private var values: [Server: [Double]] = [:]
  private var cpu: [Server: [Double]] = [:]

  init(_ work: String, _ unit: Unit, _ goal: Goal? = nil) {
    self.work = work
    self.unit = unit
    self.goal = goal
  }

  func value(_ server: Server) -> Double? { values[server].map(median) }

  mutating func add(_ server: Server, _ value: Double, cpu: Double?) {
    values[server, default: []].append(value)
    if let cpu { self.cpu[server, default: []].append(cpu) }
  }

  /// The cells of a table against one reference.
  func row(
    _ ours: Server, _ reference: Server, other: @escaping (String) -> Double?
  ) -> [String] {
    guard let mine = value(ours) else { return [] }
    let theirs = value(reference)
    let myCPU = cpu[ours].map(median)
    let measured = Goal.Measured(
      mine: mine, theirs: theirs, myCPU: myCPU, theirCPU: cpu[reference].map(median), other: other)
    var cells = [work, theirs.map(unit.text) ?? "", unit.text(mine)]
    cells.append(measured.ratio.map { "\(fixed($0, 2))×" } ?? "")
    cells.append(
      [cpu[reference].map(median), myCPU].map { $0.map { fixed($0, 1) } ?? "" }
        .joined(separator: myCPU == nil ? "" : " / "))
    cells.append(goal?.text ?? "")
    cells.append(goal?.isReached(measured).map { $0 ? "pass" : "**short**" } ?? "")
    return cells
  }
}

/// All lines, in the order in which they were first measured.
struct Results {
  private(set) var lines: [ResultLine] = []
  /// What limits each load, in words.
  private(set) var limits: [String] = []
  /// Measurements that could not be made, and why.
  private(set) var failures: [String] = []

  mutating func add(_ line: ResultLine, _ server: Server, _ value: Double, cpu: Double? = nil) {
    let index: Int
    if let known = lines.firstIndex(where: { $0.work == line.work }) {
      index = known
    } else {
      index = lines.count
      lines.append(line)
    }
    lines[index].add(server, value, cpu: cpu)
    say("  \(line.work), \(server.name): \(line.unit.text(value))")
  }

  mutating func addLimit(_ text: String) { limits.append(text) }
  mutating func addFailure(_ text: String) { failures.append(text) }

  /// The table against one reference, in Markdown: every line that we have, or that both have.
  func table(_ ours: Server, _ reference: Server, onlyShared: Bool) -> String {
    let head = [
      "work", reference.name, "ours", "ours/Go", "CPU µs/request Go / ours", "target", "result",
    ]
    let shown = onlyShared ? lines.filter { $0.value(reference) != nil } : lines
    let rows = shown.map { line in
      line.row(ours, reference) { work in
        lines.first { $0.work == work }?.value(ours)
      }
    }.filter { !$0.isEmpty }
    return Self.markdown(head, rows)
  }

  static func markdown(_ head: [String], _ rows: [[String]]) -> String {
    let text = [head, head.map { _ in "---" }] + rows
    return text.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n") + "\n"
  }
}
