import CommandLineTool
import EtcdConfig

/// `etcdctl` of the v2 API.
///
/// - Source: etcd 3.5 `etcdctl/ctlv2`, urfave/cli v1 `app.go`, `command.go`.
struct V2Program {
  private static let name = "etcdctl"
  private static let usage = "A simple command line client for etcd."
  /// What urfave/cli ends with when it knows no such topic.
  private static let unknownTopic: Int32 = 3

  static let flags: [V2Flag] = [
    V2Flag(
      "debug", .bool, "output cURL commands which can be used to reproduce the request"),
    V2Flag(
      "no-sync", .bool, "don't synchronize cluster information before sending request"),
    V2Flag(
      ["output", "o"], .string, default: "simple",
      "output response in the given format (`simple`, `extended` or `json`)"),
    V2Flag(
      ["discovery-srv", "D"], .string,
      "domain name to query for SRV records describing cluster endpoints"),
    V2Flag(
      "insecure-discovery", .bool, "accept insecure SRV records describing cluster endpoints"),
    V2Flag(["peers", "C"], .string, "DEPRECATED - \"--endpoints\" should be used instead"),
    V2Flag("endpoint", .string, "DEPRECATED - \"--endpoints\" should be used instead"),
    V2Flag(
      "endpoints", .string,
      "a comma-delimited list of machine addresses in the cluster "
        + "(default: \"http://127.0.0.1:2379,http://127.0.0.1:4001\")"),
    V2Flag("cert-file", .string, "identify HTTPS client using this SSL certificate file"),
    V2Flag("key-file", .string, "identify HTTPS client using this SSL key file"),
    V2Flag(
      "ca-file", .string, "verify certificates of HTTPS-enabled servers using this CA bundle"),
    V2Flag(
      ["username", "u"], .string,
      "provide username[:password] and prompt if password is not supplied."),
    V2Flag("timeout", .duration, default: "2s", "connection timeout per request"),
    V2Flag(
      "total-timeout", .duration, default: "5s",
      "timeout for the command execution (except watch)"),
  ]

  let world: EtcdCtl.World
  let console: Console
  private let commands = EtcdCtl.v2Commands
  private let globalFlags = Self.flags + [.help, .version]

  /// - Returns: the exit code.
  func run(_ arguments: [String]) -> Int32 {
    let globals: V2Words
    do throws(V2Words.Failure) { globals = try V2Words(globalFlags, arguments) } catch {
      let isForm = error.message.hasPrefix("Cannot use two forms")
      console.print(isForm ? "\(error.message)\n" : "Incorrect Usage. \(error.message)\n\n")
      console.print(help)
      return failed(error.message)
    }
    if globals.bool("help") { return say(help) }
    if globals.bool("version") {
      return say("etcdctl version: \(ServerVersion.etcd)\nAPI version: 2\n")
    }
    guard let name = globals.arguments.first else { return say(help) }
    let rest = Array(globals.arguments.dropFirst())
    if name == "help" || name == "h" { return topic(rest, in: commands, Self.name) ?? say(help) }
    guard let command = commands.first(where: { $0.name == name }) else {
      return noTopic(name)
    }
    return command.commands.isEmpty
      ? run(command, rest, globals, Self.name) : run(group: command, rest, globals)
  }

  private var help: String {
    V2Help.program(
      Self.name, Self.usage, version: ServerVersion.etcd, commands, globalFlags, listsHelp: true)
  }

  private func say(_ text: String) -> Int32 {
    console.print(text)
    return 0
  }

  private func failed(_ message: String) -> Int32 {
    console.printError(message + "\n")
    return CommandFailure.error
  }

  private func noTopic(_ name: String) -> Int32 {
    console.printError("No help topic for '\(name)'\n")
    return Self.unknownTopic
  }

  /// Shows the help that `help` was asked for; `nil` when it was asked for nothing.
  private func topic(_ words: [String], in commands: [V2Command], _ path: String) -> Int32? {
    guard let name = words.first else { return nil }
    guard let command = commands.first(where: { $0.name == name }) else { return noTopic(name) }
    return say(V2Help.command("\(path) \(name)", command))
  }

  private func run(group: V2Command, _ words: [String], _ globals: V2Words) -> Int32 {
    let path = "\(Self.name) \(group.name)"
    let help = V2Help.group(path, group)
    let read: V2Words
    do throws(V2Words.Failure) { read = try V2Words([.help, .version], words) } catch {
      console.print("Incorrect Usage. \(error.message)\n\n" + help)
      return failed(error.message)
    }
    guard !read.bool("help"), let name = read.arguments.first else { return say(help) }
    let rest = Array(read.arguments.dropFirst())
    if name == "help" || name == "h" {
      let own = V2Help.program(
        path, group.usage, version: ServerVersion.etcd, group.commands, [.help],
        listsHelp: false)
      return topic(rest, in: group.commands, path) ?? say(own)
    }
    guard let command = group.commands.first(where: { $0.name == name }) else {
      return noTopic(name)
    }
    return run(command, rest, globals, path)
  }

  private func run(
    _ command: V2Command, _ words: [String], _ globals: V2Words, _ path: String
  ) -> Int32 {
    let help = V2Help.command("\(path) \(command.name)", command)
    let flags = command.flags + [.help]
    let read: V2Words
    do throws(V2Words.Failure) {
      read = try V2Words(flags, V2Words.reordered(words, flags))
    } catch {
      console.print("Incorrect Usage: \(error.message)\n\n" + help)
      return failed(error.message)
    }
    if read.bool("help") { return say(help) }
    let invocation = V2Invocation(
      world: world, console: console, globals: globals, words: read)
    do throws(CommandFailure) { try command.run(invocation) } catch {
      if !error.isTold { console.printError(error.message + "\n") }
      return error.exitCode
    }
    return 0
  }
}

/// Whether a command line is one of the v2 API.
enum V2Mode {
  /// Commands that the v3 API has not.
  private static let commands: Set<String> = [
    "backup", "cluster-health", "mk", "mkdir", "rm", "rmdir", "ls", "set", "setdir", "update",
    "updatedir", "exec-watch",
  ]
  /// Names of flags that the v3 API has not.
  private static let flags: Set<String> = {
    var names = Set(V2Program.flags.flatMap(\.names))
    names.subtract(Globals.flags.map(\.name))
    return names
  }()
  private static let valued: Set<String> = {
    let later = Globals.flags.filter { $0.kind.bare == nil }
    let shorthands = later.compactMap(\.shorthand).map { "\($0)" }
    return Set(later.map(\.name) + shorthands)
  }()

  /// Whether the words in front of the command, or the command, exist in the v2 API only.
  static func isMeant(by words: [String]) -> Bool {
    var rest = words[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("-"), word.utf8.count > 1 else { return commands.contains(word) }
      guard word != "--" else { return false }
      let body = word.drop { $0 == "-" }
      let name = String(body.prefix { $0 != "=" })
      if flags.contains(name) { return true }
      if valued.contains(name), !body.contains("=") { rest = rest.dropFirst() }
    }
    return false
  }
}
