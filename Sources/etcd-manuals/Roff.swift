/// A manual page in the making, in the macros of man(7).
struct Roff {
  private(set) var text = ""

  /// - Parameters:
  ///   - date: `2006-01-02`, or empty.
  ///   - source: what it is a part of.
  init(_ name: String, date: String, source: String, about: String) {
    line(
      ".TH \"\(Self.escaped(name.uppercased()))\" 1 \"\(date)\" \"\(Self.escaped(source))\" etcd")
    section("NAME")
    line("\(Self.escaped(name)) \\- \(Self.escaped(about))")
  }

  private mutating func line(_ line: String) { text += line + "\n" }

  mutating func section(_ name: String) { line(".SH \"\(Self.escaped(name))\"") }
  mutating func subsection(_ name: String) { line(".SS \"\(Self.escaped(name))\"") }

  /// Words that run on; an empty line ends a paragraph.
  mutating func paragraph(_ words: String) {
    line(".PP")
    for part in words.split(separator: "\n", omittingEmptySubsequences: false) {
      line(part.allSatisfy { $0 == " " } ? ".PP" : Self.escaped(String(part)))
    }
  }

  /// Lines as they are.
  mutating func verbatim(_ lines: String) {
    line(".PP\n.nf")
    for part in lines.split(separator: "\n", omittingEmptySubsequences: false) {
      let indent = part.prefix { $0 == " " }
      line(part.isEmpty ? "\\&" : "\\&\(indent)\(Self.escaped(String(part)))")
    }
    line(".fi")
  }

  /// A term in bold, a word behind it in italics, and what it means.
  mutating func item(_ term: String, _ value: String = "", _ meaning: String) {
    line(".TP")
    let behind = value.isEmpty ? "" : " \\fI\(Self.escaped(value))\\fR"
    line("\\fB\(Self.escaped(term))\\fR\(behind)")
    line(
      meaning.split(separator: "\n").map { Self.escaped(String($0)) }.joined(separator: "\n.br\n"))
  }

  /// What no macro and no escape is taken from.
  /// - Source: groff_char(7): a minus is `\-`, a backslash `\(rs`.
  static func escaped(_ text: String) -> String {
    let safe = text.replacing("\\", with: "\\(rs").replacing("-", with: "\\-")
      .replacing("\"", with: "\\(dq").replacing("'", with: "\\(aq").replacing("`", with: "\\(ga")
      .replacing("~", with: "\\(ti").replacing("^", with: "\\(ha").replacing("\t", with: "  ")
    let trimmed = safe.drop { $0 == " " }
    return trimmed.hasPrefix(".") ? "\\&\(trimmed)" : String(trimmed)
  }
}
