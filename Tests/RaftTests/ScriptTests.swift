import Testing

@testable import Raft

/// Runs one kind of script, block by block.
protocol ScriptRunner {
  /// The output of a block; throws when the block cannot be run.
  mutating func run(_ block: ScriptBlock) throws -> String
}

/// The runner for a script, told by its commands.
func scriptRunner(for blocks: [ScriptBlock]) -> any ScriptRunner {
  for block in blocks {
    switch block.command {
    case "committed", "vote": return QuorumScript()
    case "simple", "enter-joint", "leave-joint": return ConfChangeScript()
    default: continue
    }
  }
  return InteractionScript()
}

/// Runs a whole script; returns what differed, or `nil`.
func runScript(_ text: String, name: String) throws -> String? {
  let blocks = try ScriptParser.blocks(text)
  var runner = scriptRunner(for: blocks)
  for block in blocks where block.command != "subtest" {
    var actual = try runner.run(block)
    if !actual.hasSuffix("\n") { actual += "\n" }
    if actual != block.expected {
      let diff = lineDiff(expected: block.expected, actual: actual)
      return "\(name):\(block.line): \(block.command) gives other output\n\(diff)"
    }
  }
  return nil
}

@Suite struct ScriptTests {
  @Test(
    .enabled(
      if: ScriptFiles.root != nil,
      "no scripts: RAFT_TESTDATA is not set and ../shared/raft-testdata does not exist"),
    arguments: ScriptFiles.all)
  func script(_ path: String) throws {
    if let difference = try runScript(try ScriptFiles.read(path), name: path) {
      Issue.record("\(difference)")
    }
  }

  @Test(.enabled(if: ScriptFiles.root != nil, "no scripts: RAFT_TESTDATA is not set"))
  func scriptsAreThere() throws {
    let blocks = try ScriptFiles.all.map { try ScriptParser.blocks(try ScriptFiles.read($0)).count }
    #expect(!blocks.isEmpty, "no script below \(ScriptFiles.root ?? "")")
    #expect(blocks.allSatisfy { $0 > 0 })
    print("ran \(blocks.count) scripts with \(blocks.reduce(0, +)) blocks")
  }

  @Test func parserReadsAllForms() throws {
    let text = """
      # a comment
      cmd 1 a=b c=(1, 2,(x, y)) \\
        d=
      input

      more
      ----
      one
      two

      other
      ----
      ----
      first

      last
      ----
      ----
      empty
      ----
      """
    let blocks = try ScriptParser.blocks(text)
    try #require(blocks.count == 3)
    #expect(blocks[0].command == "cmd")
    #expect(blocks[0].line == 2)
    #expect(blocks[0].arguments.map(\.key) == ["1", "a", "c", "d"])
    #expect(blocks[0].values("c") == ["1", "2", "(x, y)"])
    #expect(blocks[0].values("d") == [""])
    #expect(blocks[0].input == "input\n\nmore")
    #expect(blocks[0].expected == "one\ntwo\n")
    #expect(blocks[1].expected == "first\n\nlast\n")
    #expect(blocks[2].expected == "")
    #expect(throws: ScriptError.self) { try ScriptParser.blocks("cmd a=(1, 2\n----\n") }
  }

  @Test func differencesAreFound() throws {
    let good = "committed cfg=(1) idx=(5)\n----\n     idx\nx>    5    (id=1)\n5\n"
    let difference = try runScript(good, name: "inline")
    #expect(difference?.contains("- x>    5    (id=1)\n") == true)
    #expect(difference?.contains("+ >      5    (id=1)\n") == true)
    let vote = "vote cfg=(1,2) votes=(y,_)\n----\nVotePending\n"
    #expect(try runScript(vote, name: "inline") == nil)
    #expect(throws: ScriptError.self) { try runScript("vote cfg=(a)\n----\n", name: "inline") }
    let unknown = "no-such-command\n----\nunknown command\n"
    #expect(try runScript(unknown, name: "inline") == nil)
  }
}
