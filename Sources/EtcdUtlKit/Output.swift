import CommandLineTool

/// A result in the formats of `--write-out`.
struct Output {
  /// One named value.
  struct Item {
    /// Name in JSON.
    let json: String
    /// Name in the format `fields`.
    let field: String
    /// Name over a column.
    let column: String
    /// The number as JSON and `fields` show it.
    let number: String
    /// The number as columns show it.
    let shown: String
  }
  let items: [Item]

  /// The formats a command line may ask for.
  enum Format: String {
    case fields, json, protobuf, simple, table
  }

  /// - Throws: for a format that does not exist, before any work is done.
  static func format(_ invocation: Invocation) throws(CommandFailure) -> Format {
    guard let format = Format(rawValue: invocation.string("write-out")) else {
      throw CommandFailure("unsupported output format", exitCode: CommandFailure.badFeature)
    }
    return format
  }

  /// - Throws: for `protobuf`: these results are no messages.
  func text(_ format: Format) throws(CommandFailure) -> String {
    switch format {
    case .simple: return items.map(\.shown).joined(separator: ", ") + "\n"
    case .json:
      return "{" + items.map { "\"\($0.json)\":\($0.number)" }.joined(separator: ",") + "}\n"
    case .fields: return items.map { "\"\($0.field)\" : \($0.number)\n" }.joined()
    case .table: return table
    case .protobuf:
      throw CommandFailure(
        "protobuf not supported as output format", exitCode: CommandFailure.badFeature)
    }
  }

  /// Headings in the middle, values on the right.
  private var table: String {
    let widths = items.map { Swift.max($0.column.count, $0.shown.count) }
    let rule = "+" + widths.map { String(repeating: "-", count: $0 + 2) + "+" }.joined() + "\n"
    func row(_ cells: [String]) -> String { "|" + cells.map { " \($0) |" }.joined() + "\n" }
    let head = zip(items, widths).map { item, width in
      let gap = width - item.column.count
      return blank(gap / 2) + item.column.uppercased() + blank(gap - gap / 2)
    }
    let body = zip(items, widths).map { item, width in
      blank(width - item.shown.count) + item.shown
    }
    return rule + row(head) + rule + row(body) + rule
  }

  private func blank(_ count: Int) -> String { String(repeating: " ", count: count) }

  /// Bytes in steps of 1000, two digits at least: `20 kB`, `1.2 MB`.
  /// - Source: go-humanize `Bytes`.
  static func bytes(_ count: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    if count < 10 { return "\(count) B" }
    var unit = 0
    var scale = 1
    while unit + 1 < units.count, count / scale >= 1000 {
      scale *= 1000
      unit += 1
    }
    let tenths = Int((Double(count) / Double(scale) * 10 + 0.5).rounded(.down))
    if tenths >= 100 {
      let value = Double(tenths) / 10
      return "\(Int(value.rounded(.toNearestOrEven))) \(units[unit])"
    }
    return "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }
}
