import Testing

@testable import CommandLineTool

/// Flags as pflag reads them.
@Suite struct FlagReaderTests {
  static let reader = FlagReader([
    CommandFlag("write-out", shorthand: "w", .string, default: "simple", "format"),
    CommandFlag("force", shorthand: "f", .bool, "force"),
    CommandFlag("rev", .signed, "revision"),
    CommandFlag("size", .unsigned, "size"),
    CommandFlag("names", .strings, default: "x", "names"),
    CommandFlag("wait", .duration, default: "2s", "wait"),
  ])

  private func read(_ words: String...) throws -> (FlagReader.Result, Invocation) {
    let result = try Self.reader.read(words)
    let console = Console(print: { _ in }, printError: { _ in })
    return (
      result,
      Invocation(
        CommandPath([Command("test", short: "")]), arguments: result.arguments,
        argumentsAtDash: result.argumentsAtDash, console: console, values: result.values)
    )
  }

  private func problem(_ words: String...) -> String? {
    do throws(FlagReader.Failure) {
      _ = try Self.reader.read(words)
      return nil
    } catch { return error.message }
  }

  @Test func everySpellingOfAValue() throws {
    for words in [
      ["--write-out", "json"], ["--write-out=json"], ["-w", "json"], ["-wjson"], ["-w=json"],
      ["-fw", "json"], ["-fwjson"], ["-w", "x", "-w", "json"],
    ] {
      let result = try Self.reader.read(words)
      #expect(result.values.text("write-out") == "json", "\(words)")
      #expect(result.arguments.isEmpty, "\(words)")
    }
  }

  @Test func listsAddUpAndDurationsAreChecked() throws {
    #expect(try read().0.values.text("names") == "x")
    #expect(try read("--names", "a,b", "--names=c").0.values.text("names") == "a,b,c")
    #expect(try read("--wait=1m3s").0.values.text("wait") == "1m3s")
    #expect(
      problem("--wait", "soon")
        == "invalid argument \"soon\" for \"--wait\" flag: time: invalid duration \"soon\"")
    let (_, invocation) = try read("a")
    #expect(invocation.has("wait") && !invocation.has("other"))
  }

  @Test func flagsAndArgumentsMayBeMixed() throws {
    let (result, flags) = try read("a", "-f", "b", "--rev", "-7", "-", "", "--", "--size", "c")
    #expect(result.arguments == ["a", "b", "-", "", "--size", "c"])
    #expect(flags.bool("force"))
    #expect(flags.signed("rev") == -7)
    #expect(flags.unsigned("size") == 0)
    #expect(flags.isGiven("rev") && !flags.isGiven("size"))
  }

  @Test func defaultsStandUntilAFlagIsGiven() throws {
    let (_, flags) = try read("--force=false", "--size=0x10")
    #expect(flags.string("write-out") == "simple")
    #expect(!flags.bool("force") && flags.isGiven("force"))
    #expect(flags.unsigned("size") == 16)
  }

  @Test func whatIsWrongIsSaidInPflagsWords() {
    #expect(problem("--nope") == "unknown flag: --nope")
    #expect(problem("--nope=1") == "unknown flag: --nope")
    #expect(problem("-fx") == "unknown shorthand flag: 'x' in -x")
    #expect(problem("--write-out") == "flag needs an argument: --write-out")
    #expect(problem("-fw") == "flag needs an argument: 'w' in -w")
    #expect(problem("--=x") == "bad flag syntax: --=x")
    #expect(problem("---x") == "bad flag syntax: ---x")
    #expect(
      problem("-f=x")
        == "invalid argument \"x\" for \"-f, --force\" flag: strconv.ParseBool: parsing \"x\": "
        + "invalid syntax")
    #expect(
      problem("--size", "-1")
        == "invalid argument \"-1\" for \"--size\" flag: strconv.ParseUint: parsing \"-1\": "
        + "invalid syntax")
    #expect(
      problem("--rev=9223372036854775808")
        == "invalid argument \"9223372036854775808\" for \"--rev\" flag: strconv.ParseInt: "
        + "parsing \"9223372036854775808\": value out of range")
  }

  @Test func valuesOfFlagsAreNoCommands() {
    let words = Self.reader.plainWords(["-w", "a", "--force", "b", "--rev=1", "c", "--", "d"])
    #expect(words.map(\.word) == ["b", "c"])
    #expect(words.map(\.position) == [3, 5])
  }
}
