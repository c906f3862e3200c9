/// Keeps a table below lines that scroll by: each frame takes back the table of the one before, writes what is new,
/// and the table again. A value: who sends its frames must send them all.
///
/// - Source: ECMA-48 for cursor up (CUU) and erase in display (ED).
struct StickyTable {
  /// Widths of the table's lines on the screen.
  private var drawn: [Int] = []

  /// - Parameters:
  ///   - lines: what comes above the table; it may be wider than the terminal.
  ///   - table: its lines; what is wider than the terminal is cut. Empty to leave the screen as others expect it.
  ///   - columns: of the terminal now.
  mutating func frame(_ lines: [[UInt8]], table: [String], columns: Int) -> [UInt8] {
    var frame: [UInt8] = []
    if !drawn.isEmpty {
      // A terminal that became narrower broke the lines of before.
      let rows = drawn.reduce(0) { $0 + max(1, ($1 + columns - 1) / max(1, columns)) }
      frame += Array("\u{1b}[\(rows)A\r\u{1b}[J".utf8)
    }
    for line in lines {
      frame += line
      frame.append(0x0a)
    }
    let cut = table.map { String($0.prefix(columns)) }
    for line in cut { frame += Array("\(line)\n".utf8) }
    drawn = cut.map(\.count)
    return frame
  }
}
