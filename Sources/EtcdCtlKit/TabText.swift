/// Lines of cells that end in tabs, aligned with tabs.
///
/// A column is the cells at the same place in lines that follow each other; the text behind the last
/// tab of a line belongs to none.
///
/// - Source: Go's `text/tabwriter` with minimal width 0, tab width 8, padding 1 and tabs for padding.
enum TabText {
  private static let tab = 8

  static func align(_ text: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
    var out = ""
    write(lines, &out, from: 0, to: lines.count, widths: [])
    out.removeLast()
    return out
  }

  /// Writes lines whose first columns have the given widths.
  private static func write(
    _ lines: [[String]], _ out: inout String, from start: Int, to end: Int, widths: [Int]
  ) {
    let column = widths.count
    var line = start
    while line < end {
      guard column + 1 < lines[line].count else {
        put(lines[line], widths, &out)
        line += 1
        continue
      }
      var last = line
      var width = 0
      while last < end, column + 1 < lines[last].count {
        width = Swift.max(width, lines[last][column].unicodeScalars.count + 1)
        last += 1
      }
      write(lines, &out, from: line, to: last, widths: widths + [width])
      line = last
    }
  }

  private static func put(_ cells: [String], _ widths: [Int], _ out: inout String) {
    for (column, cell) in cells.enumerated() {
      out += cell
      guard column < widths.count, column + 1 < cells.count else { continue }
      let target = (widths[column] + tab - 1) / tab * tab
      let missing = target - cell.unicodeScalars.count
      out += String(repeating: "\t", count: (missing + tab - 1) / tab)
    }
    out += "\n"
  }
}
