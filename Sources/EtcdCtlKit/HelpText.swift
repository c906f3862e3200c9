import CommandLineTool
import EtcdConfig
import GoText

/// The help of a command, in etcdctl's layout.
///
/// - Source: etcd `pkg/cobrautl/help.go`.
enum HelpText {
  static func text(_ path: CommandPath) -> String {
    let command = path.command
    let isRoot = path.commands.count == 1
    let name = isRoot ? command.name : path.commands.dropFirst().map(\.name).joined(separator: " ")
    var text = "NAME:\n\t\(name) - \(command.short)\n\nUSAGE:\n\t\(path.useLine)\n"
    let version = ServerVersion.etcd
    if isRoot { text += "\nVERSION:\n\t\(version)\n" }
    if !command.commands.isEmpty {
      let parts = ServerVersion.majorMinor(version)
      text += "\nAPI VERSION:\n\t\(parts)\n\n\nCOMMANDS:\n"
      text += list(command, prefix: "").map { "\t\($0.name)\t\($0.short)\n" }.joined()
    }
    if !command.long.isEmpty {
      text += "\nDESCRIPTION:\n"
      for line in trimmed(command.long).split(
        separator: "\n", omittingEmptySubsequences: false)
      {
        text += "\t\(line)\n"
      }
    }
    let local = path.shownLocalFlags
    if !local.isEmpty { text += "\nOPTIONS:\n" + local.map(line).joined() }
    let global = path.shownInheritedFlags
    if !global.isEmpty { text += "\nGLOBAL OPTIONS:\n" + global.map(line).joined() }
    return TabText.align(text + "\n")
  }

  private static func list(_ command: Command, prefix: String) -> [(name: String, short: String)] {
    command.sortedCommands.flatMap { below in
      let name = prefix + below.name
      let own = below.isRunnable && !below.isHidden ? [(name, below.short)] : []
      return own + list(below, prefix: name + " ")
    }
  }

  private static func trimmed(_ text: String) -> Substring {
    var text = text[...]
    while let first = text.first, "\n\t ".contains(first) { text.removeFirst() }
    while let last = text.last, "\n\t ".contains(last) { text.removeLast() }
    return text
  }

  private static func line(_ flag: CommandFlag) -> String {
    let short = flag.shorthand.map { "  -\($0), --" } ?? "      --"
    let value =
      flag.kind.isQuoted
      ? GoQuote.text(flag.fallback) : flag.kind.isList ? "[\(flag.fallback)]" : flag.fallback
    let shown = flag.kind.bare == nil ? "=\(value)" : "[=\(value)]"
    return "\(short)\(flag.name)\(shown)\t\(flag.usage)\n"
  }
}
