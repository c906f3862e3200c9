import CommandLineTool
import V2API

/// A command of the v2 API, or a group of them.
struct V2Command: Sendable {
  let name: String
  let usage: String
  /// What the help text names behind the command.
  var argumentsUsage = "[arguments...]"
  /// Stands for the whole line of usage.
  var usageText = ""
  var description = ""
  var flags: [V2Flag] = []
  var commands: [V2Command] = []
  var run: @Sendable (V2Invocation) throws(CommandFailure) -> Void = { _ in }
}

/// A command of the v2 API with the words it was called with.
struct V2Invocation: Sendable {
  let world: EtcdCtl.World
  let console: Console
  /// The flags in front of the command.
  let globals: V2Words
  let words: V2Words

  var arguments: [String] { words.arguments }

  /// - Throws: exit code 128 without a first word.
  func key() throws(CommandFailure) -> String {
    guard let key = arguments.first else {
      throw V2Failure.other("key required").told(self, exitCode: CommandFailure.badArguments)
    }
    return key
  }

  /// The second word, or all of standard input.
  /// - Throws: exit code 128 when there is none.
  func value() throws(CommandFailure) -> String {
    if arguments.count > 1 { return arguments[1] }
    let input = EtcdCtl.argument(Array(Input(world.read).all()))
    guard !input.isEmpty else {
      throw V2Failure.other("value required").told(self, exitCode: CommandFailure.badArguments)
    }
    return input
  }

  /// Ends the command with a line of its own.
  func refused(_ line: String, exitCode: Int32 = CommandFailure.error) -> CommandFailure {
    console.printError(line + "\n")
    return .told(exitCode: exitCode)
  }

  /// The end of the command's requests.
  var deadline: ContinuousClock.Instant { .now + globals.duration("total-timeout") }
}

/// Help texts of the v2 API's commands.
///
/// - Source: urfave/cli v1 `template.go`.
enum V2Help {
  private static let helpCommand = (
    "help, h", "Shows a list of commands or help for one command"
  )

  /// Of the program, or of a group that is asked for its help as a program is.
  static func program(
    _ name: String, _ usage: String, version: String, _ commands: [V2Command], _ flags: [V2Flag],
    listsHelp: Bool
  ) -> String {
    var rows = commands.map { ($0.name, $0.usage) }
    if listsHelp { rows.append(helpCommand) }
    return section("NAME", "\(name) - \(usage)") + "\n"
      + section("USAGE", "\(name) [global options] command [command options] [arguments...]")
      + "\n" + section("VERSION", version) + "\n" + "COMMANDS:\n" + table(rows)
      + "\nGLOBAL OPTIONS:\n" + table(flags.map(\.helpCells))
  }

  static func group(_ name: String, _ group: V2Command) -> String {
    section("NAME", "\(name) - \(group.usage)") + "\n"
      + section("USAGE", "\(name) command [command options] [arguments...]") + "\n"
      + "COMMANDS:\n" + table(group.commands.map { ($0.name, $0.usage) }) + "\n"
      + options([V2Flag.help]) + "\n"
  }

  static func command(_ name: String, _ command: V2Command) -> String {
    let options = command.flags.isEmpty ? "" : " [command options]"
    let usage =
      command.usageText.isEmpty
      ? "\(name)\(options) \(command.argumentsUsage)" : command.usageText
    var text = section("NAME", "\(name) - \(command.usage)") + "\n" + section("USAGE", usage)
    if !command.description.isEmpty {
      text += "\n" + section("DESCRIPTION", command.description)
    }
    if !command.flags.isEmpty { text += "\n" + self.options(command.flags) }
    return text + (command.flags.isEmpty ? "" : "\n")
  }

  private static func section(_ title: String, _ body: String) -> String {
    "\(title):\n   \(body)\n"
  }

  private static func options(_ flags: [V2Flag]) -> String {
    "OPTIONS:\n" + table(flags.map(\.helpCells)) + "   "
  }

  /// Two columns with two blanks in between.
  private static func table(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { name, text in
      "   \(name)\(String(repeating: " ", count: max(width, name.count) - name.count))  \(text)\n"
    }.joined()
  }
}
