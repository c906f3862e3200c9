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
