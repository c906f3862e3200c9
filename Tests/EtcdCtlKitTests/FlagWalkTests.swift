import CommandLineTool
import Foundation
import Testing

@testable import EtcdCtlKit

/// No flag may be taken and forgotten: each does something, is refused, or is told to do nothing.
@Suite struct FlagWalkTests {
  /// A value of each global flag that is not its default.
  private static let samples = [
    "endpoints": "h:1", "debug": "true", "write-out": "json", "hex": "true", "dial-timeout": "77s",
    "command-timeout": "77s", "keepalive-time": "77s", "keepalive-timeout": "77s",
    "insecure-transport": "false", "insecure-discovery": "false",
    "insecure-skip-tls-verify": "true", "cert": "f", "key": "f", "cacert": "f", "user": "u:p",
    "discovery-srv": "d", "discovery-srv-name": "n",
  ]

  /// How the settings look, with whatever was said on the way.
  private static func outcome(_ words: [String], _ variables: [String: String] = [:]) -> String {
    let desk = Desk()
    do throws(CommandFailure) {
      var settings = ""
      dump(try desk.settings(words, variables), to: &settings)
      return settings + desk.error
    } catch {
      return "refused: \(error.message)"
    }
  }

  @Test(arguments: Globals.flags.map(\.name)) func aGlobalFlagActs(_ name: String) throws {
    // A password is one of somebody.
    let (besides, value) =
      name == "password" ? (["--user=u:q"], "p") : ([], try #require(Self.samples[name]))
    let plain = Self.outcome(besides)
    #expect(!plain.hasPrefix("refused"))
    let changed = Self.outcome(besides + ["--\(name)=\(value)"])
    #expect(plain != changed, "--\(name) changes nothing")
    #expect(
      Self.outcome(besides, [Globals.variable(name): value]) != plain,
      "\(Globals.variable(name)) changes nothing")
    guard !changed.hasPrefix("refused"), Self.withoutTLS.contains(name) else { return }
    #expect(changed.contains("\"flag has no effect\"") && changed.contains("--\(name)"))
  }

  /// Flags that act on TLS or DNS alone.
  private static let withoutTLS: Set<String> = [
    "insecure-skip-tls-verify", "insecure-discovery", "discovery-srv-name",
  ]

  private static func walk(
    _ command: Command, _ path: String, _ body: (String, CommandFlag) -> Void
  ) {
    for flag in command.flags + command.persistentFlags { body(path, flag) }
    for below in command.commands { walk(below, "\(path) \(below.name)", body) }
  }

  /// A flag of a command that no code asks for is one without effect.
  @Test func everyFlagOfACommandIsRead() throws {
    let sources = try Self.sources()
    let tool = EtcdCtl.tool(Desk().world())
    var count = 0
    for command in tool.root.commands {
      Self.walk(command, command.name) { path, flag in
        count += 1
        let isRead = [
          "bool(\"\(flag.name)\"", "string(\"\(flag.name)\"", "signed(\"\(flag.name)\"",
          "unsigned(\"\(flag.name)\"", "all(\"\(flag.name)\"", "isGiven(\"\(flag.name)\"",
          "text(\"\(flag.name)\"", "duration(\"\(flag.name)\"",
        ].contains { sources.contains($0) }
        #expect(
          isRead || Self.readByList.contains(flag.name), "\(path) --\(flag.name) is not read")
      }
    }
    #expect(count > 60, "\(count)")
  }

  /// Those that stand in a list which is walked: refused without TLS.
  private static let readByList: Set<String> = ["dest-cert", "dest-key", "dest-cacert"]

  private static func sources() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    var text = ""
    for folder in ["Sources/EtcdCtlKit", "Sources/EtcdUtlKit"] {
      let base = root.appendingPathComponent(folder).path
      for name in try FileManager.default.subpathsOfDirectory(atPath: base)
      where name.hasSuffix(".swift") {
        text += try String(contentsOfFile: "\(base)/\(name)", encoding: .utf8)
      }
    }
    return text
  }
}
