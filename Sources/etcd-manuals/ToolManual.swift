import CommandLineTool

/// The page of a program made of commands: what `--help` of each says.
struct ToolManual {
  private let tool: Tool
  private var page: Roff

  init(_ tool: Tool, date: String, source: String) {
    self.tool = tool
    page = Roff(tool.root.name, date: date, source: source, about: tool.root.short)
  }

  /// The text of the page.
  /// - Parameter more: adds what no table knows.
  mutating func text(_ more: (inout Roff) -> Void) -> String {
    let root = tool.root
    page.section("SYNOPSIS")
    page.item(root.name, "[command] [arguments] [flags]", "")
    if !root.long.isEmpty {
      page.section("DESCRIPTION")
      page.paragraph(root.long)
    }
    page.section("COMMANDS")
    describe([root])
    page.section("GLOBAL OPTIONS")
    for flag in CommandPath([root]).shownLocalFlags { describe(flag) }
    more(&page)
    return page.text
  }

  private mutating func describe(_ path: [Command]) {
    guard let command = path.last else { return }
    for below in command.sortedCommands where below.isAvailable {
      let path = path + [below]
      if below.isRunnable { describe(CommandPath(path)) }
      describe(path)
    }
  }

  private mutating func describe(_ path: CommandPath) {
    page.subsection(path.useLine)
    page.paragraph(
      path.command.short.hasSuffix(".") ? path.command.short : path.command.short + ".")
    if !path.command.long.isEmpty { page.paragraph(path.command.long) }
    if !path.command.example.isEmpty { page.verbatim(path.command.example) }
    for flag in path.shownLocalFlags where flag.name != "help" { describe(flag) }
  }

  private mutating func describe(_ flag: CommandFlag) {
    let short = flag.shorthand.map { "-\($0), " } ?? ""
    // A word in back quotes names the value.
    let parts = flag.usage.split(separator: "`", omittingEmptySubsequences: false)
    let value = parts.count >= 3 ? String(parts[1]) : flag.kind.typeName
    let fallback = flag.fallback == flag.kind.zero ? "" : "\nDefault: \(flag.fallback)"
    page.item("\(short)--\(flag.name)", value, flag.usage.filter { $0 != "`" } + fallback)
  }
}
