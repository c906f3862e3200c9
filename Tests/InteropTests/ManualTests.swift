import Foundation
import TestSupport
import Testing

/// Manual pages and completions are of the tables that the programs are made of.
@Suite struct ManualTests {
  private static let maker = Binaries.built("etcd-manuals")
  private static let programs = ["etcd", "etcdctl", "etcdutl", "devcluster"]

  /// A page as people see it, without its line breaks.
  private static func page(_ program: String) -> String {
    run("/bin/sh", ["-c", "\"$1\" man \"$2\"", "sh", maker, program]).output
      .replacing("\\-", with: "-")
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/groff")),
    arguments: programs)
  func thePageIsOne(_ program: String) {
    let done = run(
      "/bin/sh",
      ["-c", "\"$1\" man \"$2\" | groff -man -Tutf8 -Kutf8 -ww", "sh", Self.maker, program])
    #expect(done.status == 0 && done.error.isEmpty && done.output.count > 2000, "\(done.error)")
  }

  @Test func everyFlagAndCommandIsInIt() {
    let server = Self.page("etcd")
    let flags = run(Binaries.ours, ["--help"]).output.matches(of: #/(?m)^ +--([a-z0-9-]+) '/#)
    #expect(flags.count > 100)
    for flag in flags { #expect(server.contains("\\fB--\(flag.1)\\fR"), "--\(flag.1)") }
    let client = Self.page("etcdctl")
    let help = run(Binaries.ourCtl, ["--help"]).output
    let commands = help.split(separator: "COMMANDS:")[1].split(separator: "OPTIONS:")[0]
      .split(separator: "\n").compactMap { $0.split(separator: "\t").first }
    #expect(commands.count > 40)
    for command in commands where !["help"].contains(command) {
      #expect(client.contains(".SS \"etcdctl \(command)"), "\(command)")
    }
    for line in help.split(separator: "\n") {
      guard let name = line.firstMatch(of: #/--([a-z-]+)[=\[]/#)?.1 else { continue }
      #expect(client.contains("--\(name)\\fR"), "--\(name)")
    }
  }

  /// What bash offers for the words of a command line.
  private static func offers(_ program: String, _ words: [String]) -> [String] {
    let script = """
      source <("$1" completion bash "$2"); program=$2; shift 2
      PATH=\(URL(fileURLWithPath: maker).deletingLastPathComponent().path):$PATH
      COMP_WORDS=("$program" "$@"); COMP_CWORD=$#
      $(complete -p "$program" | sed 's/.*-F \\([^ ]*\\) .*/\\1/') 2>/dev/null
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    let done = run("/bin/bash", ["-c", script, "bash", maker, program] + words)
    return done.output.split(separator: "\n").map(String.init)
  }

  @Test func bashCompletes() {
    #expect(Self.offers("etcd", ["--initial-cluster-s"]) == ["--initial-cluster-state"])
    #expect(Self.offers("etcd", ["--initial-cluster-state", "e"]) == ["existing"])
    #expect(Self.offers("etcdctl", ["doc"]) == ["doctor"])
    #expect(Self.offers("etcdctl", ["-w", "js"]) == ["json"])
    #expect(Self.offers("etcdutl", ["snapshot", "re"]) == ["restore"])
    #expect(Self.offers("devcluster", ["stat"]) == ["status"])
  }

  @Test func whatIsUnknownIsRefused() {
    for words in [
      [], ["man"], ["man", "vi"], ["completion", "csh", "etcd"], ["completion", "csh", "etcdctl"],
    ] {
      let done = run(Self.maker, words)
      #expect(done.status == 2 && done.error.hasPrefix("usage: "), "\(words)")
    }
  }
}
