import GoText

/// A command together with those it stands below, the root first.
public struct CommandPath: Sendable {
  public let commands: [Command]

  /// Whether `--help` was asked for or could have been.
  let hasHelpFlag: Bool

  public init(_ commands: [Command], hasHelpFlag: Bool = true) {
    self.commands = commands
    self.hasHelpFlag = hasHelpFlag
  }

  public var command: Command { commands[commands.count - 1] }
  /// `etcdutl snapshot status`.
  public var text: String { commands.map(\.name).joined(separator: " ") }

  private var helpFlag: CommandFlag {
    CommandFlag("help", shorthand: "h", .bool, "help for \(command.name)")
  }
  /// Flags to list for the command itself, by name.
  public var shownLocalFlags: [CommandFlag] {
    localFlags(withHelp: hasHelpFlag).filter { !$0.isHidden }.sorted { $0.name < $1.name }
  }
  /// Flags to list of the commands above, by name.
  public var shownInheritedFlags: [CommandFlag] {
    inheritedFlags.filter { !$0.isHidden }.sorted { $0.name < $1.name }
  }
  /// Flags of the command itself.
  func localFlags(withHelp: Bool = true) -> [CommandFlag] {
    command.flags + command.persistentFlags + (withHelp ? [helpFlag] : [])
  }
  /// Flags of the commands above that hold here too.
  public var inheritedFlags: [CommandFlag] { commands.dropLast().flatMap(\.persistentFlags) }

  var reader: FlagReader { FlagReader(localFlags() + inheritedFlags) }

  /// What a command says of itself, at length where it does, and its usage.
  public func help() -> String {
    "\(command.long.isEmpty ? command.short : command.long)\n\n\(usage())"
  }

  /// The usage text, in cobra's layout.
  /// - Parameter withHelp: whether `--help` is listed.
  public func usage(withHelp: Bool = true) -> String {
    let command = command
    var text = "Usage:"
    if command.isRunnable { text += "\n  " + useLine }
    if command.hasAvailableCommands { text += "\n  \(self.text) [command]" }
    if !command.aliases.isEmpty {
      text += "\n\nAliases:\n  " + ([command.name] + command.aliases).joined(separator: ", ")
    }
    if !command.example.isEmpty { text += "\n\nExamples:\n" + command.example }
    if command.hasAvailableCommands {
      text += "\n\nAvailable Commands:"
      let width = Swift.max(11, command.commands.map(\.name.count).max() ?? 0)
      for below in command.sortedCommands where below.isAvailable {
        text += "\n  " + padded(below.name, width) + " " + below.short
      }
    }
    let local = FlagTable.text(localFlags(withHelp: withHelp))
    if !local.isEmpty { text += "\n\nFlags:\n" + local }
    let inherited = FlagTable.text(inheritedFlags)
    if !inherited.isEmpty { text += "\n\nGlobal Flags:\n" + inherited }
    if command.hasAvailableCommands {
      text += "\n\nUse \"\(self.text) [command] --help\" for more information about a command."
    }
    return text + "\n"
  }

  public var useLine: String {
    let above = commands.dropLast().map(\.name)
    let line = (above + [command.use]).joined(separator: " ")
    let adds = command.showsFlagsInUseLine && !command.use.holds("[flags]")
    return adds ? line + " [flags]" : line
  }
}

/// The table of flags inside a usage text.
private enum FlagTable {
  static func text(_ flags: [CommandFlag]) -> String {
    let shown = flags.filter { !$0.isHidden }.sorted { $0.name < $1.name }
    let heads = shown.map(head)
    let width = (heads.map(\.count).max() ?? 0) + 3
    return zip(shown, heads).map { flag, head in
      padded(head, width) + flag.usage.filter { $0 != "`" } + defaultText(flag)
    }.joined(separator: "\n")
  }

  private static func head(_ flag: CommandFlag) -> String {
    let short = flag.shorthand.map { "  -\($0), " } ?? "      "
    let parts = flag.usage.split(separator: "`", omittingEmptySubsequences: false)
    let value = parts.count >= 3 ? String(parts[1]) : flag.kind.typeName
    return short + "--" + flag.name + (value.isEmpty ? "" : " " + value)
  }

  private static func defaultText(_ flag: CommandFlag) -> String {
    if flag.fallback == flag.kind.zero { return "" }
    let shown = flag.kind.isList ? "[\(flag.fallback)]" : flag.fallback
    return " (default \(flag.kind.isQuoted ? GoQuote.text(shown) : shown))"
  }
}

private func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: Swift.max(0, width - text.count))
}
