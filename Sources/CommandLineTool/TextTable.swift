/// Tables with rules of `+` and `-`.
///
/// - Source: tablewriter as etcd's tools set it up: capitals in the middle of the heading, cells on
///   the right.
public enum TextTable {
  /// - Parameter rows: each with as many cells as `header`.
  public static func render(header: [String], rows: [[String]]) -> String {
    let widths = header.indices.map { column in
      rows.reduce(header[column].count) { Swift.max($0, $1[column].count) }
    }
    let rule = "+" + widths.map { String(repeating: "-", count: $0 + 2) + "+" }.joined() + "\n"
    func row(_ cells: [String]) -> String { "|" + cells.map { " \($0) |" }.joined() + "\n" }
    let head = zip(header, widths).map { name, width in
      let gap = width - name.count
      return blank(gap / 2) + name.uppercased() + blank(gap - gap / 2)
    }
    let body = rows.map { cells in
      row(zip(cells, widths).map { blank($1 - $0.count) + $0 })
    }
    return rule + row(head) + rule + body.joined() + rule
  }

  private static func blank(_ count: Int) -> String { String(repeating: " ", count: count) }
}

/// Amounts for people.
public enum Amount {
  /// Bytes in steps of 1000, two digits at least: `20 kB`, `1.2 MB`.
  /// - Source: go-humanize `Bytes`.
  public static func bytes(_ count: Int) -> String {
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

  /// A time as Go's `Duration.String` writes it: `1m30s`, `1.5ms`.
  public static func duration(nanoseconds: Int64) -> String {
    if nanoseconds == 0 { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let size = nanoseconds.magnitude
    for (unit, name) in [(1, "ns"), (1_000, "\u{b5}s"), (1_000_000, "ms")] as [(UInt64, String)]
    where size < unit * 1000 && size < 1_000_000_000 {
      return sign + decimal(size, unit) + name
    }
    let seconds = size / 1_000_000_000
    var text = decimal(size % 60_000_000_000, 1_000_000_000) + "s"
    if seconds >= 60 { text = "\(seconds / 60 % 60)m" + text }
    if seconds >= 3600 { text = "\(seconds / 3600)h" + text }
    return sign + text
  }

  private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
    var fraction = String(value % unit + unit).dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    return "\(value / unit)" + (fraction.isEmpty ? "" : "." + fraction)
  }
}
