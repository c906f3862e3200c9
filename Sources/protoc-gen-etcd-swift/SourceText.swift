/// Lines of generated Swift, indented by two spaces a level.
struct SourceText {
  private(set) var text = ""
  private var level = 0

  mutating func line(_ line: String = "") {
    if !line.isEmpty { text += String(repeating: "  ", count: level) + line }
    text += "\n"
  }

  /// An opening line, an indented body and the closing brace.
  mutating func block(_ opening: String, _ body: (inout SourceText) -> Void) {
    line(opening + " {")
    level += 1
    body(&self)
    level -= 1
    line("}")
  }

  /// A doc comment: the one of the .proto file or `fallback`.
  mutating func doc(_ comment: String?, _ fallback: String) {
    let lines = (comment ?? fallback).split(separator: "\n", omittingEmptySubsequences: false)
      .map { $0.hasPrefix(" ") ? $0.dropFirst() : $0 }
    for text in lines[..<(lines.lastIndex { !$0.isEmpty }.map { $0 + 1 } ?? 0)] {
      line(text.isEmpty ? "///" : "/// \(text)")
    }
  }
}
