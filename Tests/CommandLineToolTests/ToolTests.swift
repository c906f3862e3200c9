import Synchronization
import Testing

@testable import CommandLineTool

/// Commands, usage texts and exit codes as cobra's.
@Suite struct ToolTests {
  /// What a run printed.
  struct Ran: Equatable {
    var code: Int32
    var output: String
    var error: String
  }

  final class Screen: Sendable {
    let texts = Mutex((output: "", error: ""))
    var console: Console {
      Console(
        print: { text in self.texts.withLock { $0.output += text } },
        printError: { text in self.texts.withLock { $0.error += text } })
    }
  }

  static let tool: Tool = {
    var copy = Command("copy <from> <to>", short: "Copies one thing")
    copy.aliases = ["cp"]
    copy.arguments = .exactly(2)
    var depth = CommandFlag("depth", .unsigned, default: "3", "how `LEVELS` deep")
    depth.choices = ["1", "10", "2"]
    copy.flags = [depth, CommandFlag("quiet", shorthand: "q", .bool, "say nothing")]
    copy.run = { (invocation) throws(CommandFailure) in
      let words = invocation.arguments.joined(separator: ">")
      invocation.console.print("\(words) \(invocation.unsigned("depth"))\n")
    }
    var fail = Command("fail", short: "Fails")
    fail.run = { (_) throws(CommandFailure) in throw CommandFailure("no luck", exitCode: 4) }
    var secret = Command("secret", short: "Not shown")
    secret.isHidden = true
    secret.run = { (_) throws(CommandFailure) in }
    var need = Command("need", short: "Needs flags")
    var first = CommandFlag("b", .string, "")
    first.isRequired = true
    var second = CommandFlag("a", .string, "")
    second.isRequired = true
    need.flags = [first, second]
    need.run = { (_) throws(CommandFailure) in }
    var things = Command("things", short: "About things")
    things.commands = [copy, fail, secret, need]
    var root = Command("tool", short: "A tool")
    root.persistentFlags = [CommandFlag("mode", shorthand: "m", .string, default: "x", "the mode")]
    root.commands = [things]
    return Tool(root)
  }()

  private func run(_ words: String...) -> Ran {
    let screen = Screen()
    let code = Self.tool.run(words, console: screen.console)
    return screen.texts.withLock { Ran(code: code, output: $0.output, error: $0.error) }
  }

  @Test func commandsAreFoundByNameAliasAndPrefix() {
    for words in [
      ["things", "copy"], ["things", "cp"], ["t", "co"], ["-m", "things", "t", "cop"],
    ] {
      let screen = Screen()
      #expect(Self.tool.run(words + ["a", "b", "--depth", "9"], console: screen.console) == 0)
      #expect(screen.texts.withLock { $0.output } == "a>b 9\n", "\(words)")
    }
  }

  @Test func usageHasCobrasLayout() {
    #expect(
      run("things", "copy", "--help")
        == Ran(
          code: 0,
          output: """
            Usage:
              tool things copy <from> <to> [flags]

            Aliases:
              copy, cp

            Flags:
                  --depth LEVELS   how LEVELS deep (default 3)
              -h, --help           help for copy
              -q, --quiet          say nothing

            Global Flags:
              -m, --mode string   the mode (default "x")

            """, error: ""))
    #expect(
      run("things").output == """
        Usage:
          tool things [command]

        Available Commands:
          copy        Copies one thing
          fail        Fails
          need        Needs flags

        Flags:
          -h, --help   help for things

        Global Flags:
          -m, --mode string   the mode (default "x")

        Use "tool things [command] --help" for more information about a command.

        """)
    #expect(run("help", "things", "copy") == run("things", "copy", "-h"))
  }

  @Test func failuresGoToStandardErrorWithTheirCode() {
    #expect(run("things", "fail") == Ran(code: 4, output: "", error: "Error: no luck\n"))
    let unknown = run("thinks", "--mode", "y")
    #expect(unknown.code == 1 && unknown.output.isEmpty)
    #expect(unknown.error.hasPrefix("Error: unknown command \"thinks\" for \"tool\"\n\nDid you"))
    #expect(unknown.error.contains("\tthings\n"))
    let usage = run("things", "copy", "-h").output
    for (words, message) in [
      (["a"], "accepts 2 arg(s), received 1"), (["--nope"], "unknown flag: --nope"),
    ] {
      let screen = Screen()
      #expect(Self.tool.run(["things", "copy"] + words, console: screen.console) == 1)
      #expect(
        screen.texts.withLock { $0.error } == "Error: \(message)\n\(usage)\nError: \(message)\n")
    }
    #expect(run("things", "need").error.hasPrefix("Error: required flag(s) \"a\", \"b\" not set\n"))
  }

  @Test func distanceIsLevenshteins() {
    for (a, b, distance) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0)] {
      #expect(CommandFinder.distance(Array(a), Array(b)) == distance)
    }
  }

  @Test func completionKnowsCommandsFlagsAndValues() {
    #expect(run("__complete", "=t").output == "things\tAbout things\n")
    #expect(
      run("__complete", "=", "things").output
        == "copy\tCopies one thing\nfail\tFails\nneed\tNeeds flags\n")
    #expect(run("__complete", "=--de", "things", "copy").output == "--depth\thow `LEVELS` deep\n")
    #expect(run("__complete", "=-", "things", "copy").output.contains("-m\tthe mode\n"))
    #expect(run("__complete", "=1", "things", "copy", "--depth").output == "1\n10\n")
    #expect(run("__complete", "=", "things", "copy", "a").output == "")
    #expect(run("__complete", "x").output == "")
    for shell in Completion.Shell.allCases {
      let ran = run("completion", shell.rawValue)
      #expect(ran.code == 0 && ran.output.contains("__complete \"="), "\(shell)")
    }
    #expect(run("completion", "tcsh").output.hasPrefix("Usage:\n  tool completion [command]\n"))
  }
}
