import GoText

/// A program made of commands.
public struct Tool: Sendable {
  public let root: Command
  /// What `--help` and `help` print; the usage unless a program says otherwise.
  public var helpText: @Sendable (CommandPath) -> String = { $0.usage() }

  /// Whether the usage behind an error goes to the output, as that of a usage function of one's own
  /// does in cobra.
  public var printsUsageAsOutput = false

  /// What an error of the command line is told as, on standard error; cobra's message, usage and message
  /// again unless a program says otherwise.
  public var misuse: (@Sendable (CommandPath, _ message: String) -> String)?

  /// The exit code of such an error.
  public var misuseExitCode = CommandFailure.error

  /// Whether the beginning of a command's name will do when no other begins so.
  private let matchesPrefixes: Bool

  /// Adds `help`, `completion` and what the completion scripts call.
  public init(_ root: Command, matchesPrefixes: Bool = true) {
    self.matchesPrefixes = matchesPrefixes
    var root = root
    var help = Command("help [command]", short: "Help about any command")
    help.builtin = .help
    help.long =
      "Help provides help for any command in the application.\n"
      + "Simply type \(root.name) help [path to command] for full details."
    root.commands += [help] + Completion.commands(root.name)
    self.root = root
  }

  /// What completes the program's words in a shell; `nil` for one that is not known.
  package func completionScript(for shell: String) -> String? {
    Completion.Shell(rawValue: shell).map { Completion.script($0, for: root.name) }
  }

  /// Runs the command that `arguments`, without the program's name, ask for.
  /// - Returns: the exit code.
  public func run(_ arguments: [String], console: Console) -> Int32 {
    let finder = CommandFinder(root: root, matchesPrefixes: matchesPrefixes)
    if arguments.first == Completion.commandName {
      // What is completed may begin with a dash: nothing of it is a flag of this command.
      let lines = Completion.candidates(Array(arguments.dropFirst()), finder)
      console.print(lines.map { $0 + "\n" }.joined())
      return 0
    }
    let (path, words) = finder.find(arguments)
    if let unknown = finder.unknownCommand(path, words) {
      if let misuse {
        console.printError(misuse(path, unknown))
        return misuseExitCode
      }
      console.printError("Error: \(unknown)\nRun '\(root.name) --help' for usage.\n")
      console.printError("Error: \(unknown)\n")
      return CommandFailure.error
    }
    return execute(path, words, console)
  }

  private func execute(_ path: CommandPath, _ words: [String], _ console: Console) -> Int32 {
    let command = path.command
    if let reason = command.deprecated {
      console.printError("Command \(GoQuote.text(command.name)) is deprecated, \(reason)\n")
    }
    let result: FlagReader.Result
    do throws(FlagReader.Failure) { result = try path.reader.read(words) } catch {
      return misused(path, error.message, console)
    }
    let invocation = Invocation(
      path, arguments: result.arguments, argumentsAtDash: result.argumentsAtDash,
      console: console, values: result.values)
    guard command.isRunnable, !invocation.bool("help") else {
      console.print(helpText(path))
      return 0
    }
    if case .exactly(let count) = command.arguments, result.arguments.count != count {
      return misused(
        path, "accepts \(count) arg(s), received \(result.arguments.count)", console)
    }
    let missing = path.reader.flags.filter { $0.isRequired && !invocation.isGiven($0.name) }
      .map(\.name).sorted()
    if !missing.isEmpty {
      let names = missing.joined(separator: "\", \"")
      return misused(path, "required flag(s) \"\(names)\" not set", console)
    }
    do throws(CommandFailure) {
      try command.run?(invocation)
    } catch {
      if !error.isTold { console.printError("Error: \(error.message)\n") }
      return error.exitCode
    }
    if let builtin = command.builtin { runBuiltin(builtin, invocation) }
    return 0
  }

  /// Tells what is wrong with the command line: cobra says it before the usage, etcd's `main` after.
  private func misused(_ path: CommandPath, _ message: String, _ console: Console) -> Int32 {
    if let misuse {
      console.printError(misuse(path, message))
    } else if printsUsageAsOutput {
      console.printError("Error: \(message)\n")
      console.print(helpText(path))
      console.printError("\nError: \(message)\n")
    } else {
      console.printError("Error: \(message)\n\(path.usage())\nError: \(message)\n")
    }
    return misuseExitCode
  }

  private func runBuiltin(_ builtin: Command.Builtin, _ invocation: Invocation) {
    let finder = CommandFinder(root: root, matchesPrefixes: matchesPrefixes)
    switch builtin {
    case .help:
      let (path, words) = finder.find(invocation.arguments)
      if finder.unknownCommand(path, words) != nil {
        let topic = invocation.arguments.map { "`\($0)`" }.joined(separator: " ")
        invocation.console.printError("Unknown help topic [\(topic)]\n")
        if printsUsageAsOutput {
          invocation.console.print(helpText(CommandPath([root], hasHelpFlag: false)))
        } else {
          invocation.console.printError(CommandPath([root]).usage(withHelp: false))
        }
      } else {
        invocation.console.print(helpText(path))
      }
    case .script(let shell): invocation.console.print(Completion.script(shell, for: root.name))
    case .complete: break
    }
  }
}
