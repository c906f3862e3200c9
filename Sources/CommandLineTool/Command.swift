import GoText

/// One command of a program, with its flags and the commands below it.
///
/// - Source: the texts, orders and exit codes follow cobra 1.1, which etcd's tools are built with.
public struct Command: Sendable {
  /// Name, then what the usage line shows behind it: `status <filename>`.
  public var use: String
  /// One line for the list of commands.
  public var short: String
  /// Other names.
  public var aliases: [String] = []
  /// Paragraphs for a help that shows them.
  public var long = ""
  /// Lines for the `Examples:` part of the usage.
  public var example = ""
  /// Flags of this command alone.
  public var flags: [CommandFlag] = []
  /// Flags of this command and of all below it.
  public var persistentFlags: [CommandFlag] = []
  public var commands: [Command] = []
  public var arguments = ArgumentRule.any
  /// Left out of lists and suggestions.
  public var isHidden = false
  /// Why not to use it any more; makes it hidden too.
  public var deprecated: String?
  /// Whether ` [flags]` is added to the usage line.
  public var showsFlagsInUseLine = true
  /// What it does; without it the usage is shown.
  public var run: (@Sendable (Invocation) throws(CommandFailure) -> Void)?
  /// What the tool itself does for it.
  var builtin: Builtin?

  enum Builtin: Sendable {
    case help
    case complete
    case script(Completion.Shell)
  }

  public init(_ use: String, short: String) {
    self.use = use
    self.short = short
  }

  /// First word of `use`.
  public var name: String { String(use.prefix { $0 != " " }) }

  public var isRunnable: Bool { run != nil || builtin != nil }
  /// Whether lists show it.
  package var isAvailable: Bool {
    !isHidden && deprecated == nil && (isRunnable || commands.contains { $0.isAvailable })
  }
  var hasAvailableCommands: Bool { commands.contains { $0.isAvailable } }
  public var sortedCommands: [Command] { commands.sorted { $0.name < $1.name } }
}

/// How many arguments a command takes.
public enum ArgumentRule: Sendable, Equatable {
  /// Any number; the command itself may refuse some. At the root a word is an unknown command.
  case any
  case exactly(Int)
}

/// A command that was found, with its arguments and flags.
public struct Invocation: Sendable {
  /// Arguments that are no flags.
  public let arguments: [String]
  /// How many of them stand in front of `--`; `nil` when there was none.
  /// - Source: pflag `ArgsLenAtDash`.
  public let argumentsAtDash: Int?
  /// Flags of the commands above.
  public let inheritedFlags: [CommandFlag]
  /// First word of the command.
  public let name: String
  public let console: Console
  let values: FlagValues

  init(
    _ path: CommandPath, arguments: [String], argumentsAtDash: Int?, console: Console,
    values: FlagValues
  ) {
    inheritedFlags = path.inheritedFlags
    name = path.command.name
    self.arguments = arguments
    self.argumentsAtDash = argumentsAtDash
    self.console = console
    self.values = values
  }

  /// Reads the words behind a command outside of a tool; its own flags only.
  /// - Throws: why the words cannot be read.
  public init(
    of command: Command, words: [String], console: Console
  ) throws(CommandFailure) {
    do throws(FlagReader.Failure) {
      let result = try FlagReader(command.flags).read(words)
      arguments = result.arguments
      argumentsAtDash = result.argumentsAtDash
      values = result.values
      inheritedFlags = []
      name = command.name
      self.console = console
    } catch { throw CommandFailure(error.message) }
  }

  /// Whether a flag was on the command line.
  public func isGiven(_ name: String) -> Bool { values.given.contains(name) }
  /// Text of a flag, or its default.
  public func string(_ name: String) -> String { values.text(name) }
  /// Texts of a flag in the order in which they were given; empty when it was not.
  public func all(_ name: String) -> [String] { values.all(name) }
  public func bool(_ name: String) -> Bool { GoNumber.bool(values.text(name)) ?? false }
  public func unsigned(_ name: String) -> UInt64 {
    (try? GoNumber.unsigned(values.text(name))) ?? 0
  }
  public func signed(_ name: String) -> Int64 { (try? GoNumber.signed(values.text(name))) ?? 0 }
  /// Whether the command has a flag of this name.
  public func has(_ name: String) -> Bool { values.isKnown(name) }
}

/// Why a command failed: goes to standard error as `Error: MESSAGE`.
public struct CommandFailure: Error, Equatable, Sendable {
  public let message: String
  public let exitCode: Int32
  /// Whether the command told the reason itself: then nothing is added.
  public private(set) var isTold = false

  /// A failure whose reason stands in the output already.
  public static func told(exitCode: Int32 = CommandFailure.error) -> CommandFailure {
    var failure = CommandFailure("", exitCode: exitCode)
    failure.isTold = true
    return failure
  }

  public init(_ message: String, exitCode: Int32 = CommandFailure.error) {
    self.message = message
    self.exitCode = exitCode
  }

  /// - Source: etcd `cobrautl/error.go`.
  public static let error: Int32 = 1
  public static let badConnection: Int32 = 2
  public static let invalidInput: Int32 = 3
  public static let badFeature: Int32 = 4
  public static let interrupted: Int32 = 5
  public static let badArguments: Int32 = 128
}

/// Where a program writes; texts carry their own line ends.
public struct Console: Sendable {
  public let print: @Sendable (String) -> Void
  public let printError: @Sendable (String) -> Void

  public init(
    print: @escaping @Sendable (String) -> Void, printError: @escaping @Sendable (String) -> Void
  ) {
    self.print = print
    self.printError = printError
  }
}
