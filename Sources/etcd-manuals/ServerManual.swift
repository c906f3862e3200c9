import EtcdConfig

/// The page of the server, and what completes its flags in a shell: of the table that `--help` shows.
enum ServerManual {
  private static let groups = EtcdConfig.CommandLine.flagGroups

  static func text(date: String, source: String) -> String {
    var page = Roff(
      "etcd", date: date, source: source,
      about: "a distributed, reliable key-value store for the most critical data of a system")
    page.section("SYNOPSIS")
    page.verbatim(EtcdConfig.CommandLine.usage)
    page.section("DESCRIPTION")
    page.paragraph(
      "A member of an etcd cluster. Each flag has a variable, ETCD_ and the flag's name in capitals with "
        + "_ for -; the flag wins. A configuration file counts alone.")
    for group in groups {
      page.section(group.name)
      for flag in group.flags {
        let isPlain = flag.fallback.isEmpty || (flag.isBare && flag.fallback == "false")
        let fallback = isPlain ? "" : "\nDefault: \(flag.fallback)"
        page.item("--\(flag.name)", flag.isBare ? "" : "value", flag.help + fallback)
      }
    }
    page.section("SIGNALS")
    page.item(
      "SIGTERM, SIGINT", "",
      "Hands leadership over, lets requests end and ends; a second one ends at once.")
    page.item("SIGHUP", "", "Reads the log's level again.")
    page.section("FILES")
    page.item("/etc/etcd/etcd.env", "", "Settings of the service, as variables.")
    page.item("/var/lib/etcd", "", "Data of the service.")
    page.section("SEE ALSO")
    page.paragraph("etcdctl(1), etcdutl(1), devcluster(1)")
    return page.text
  }

  private static var flags: [FlagEntry] { groups.flatMap(\.flags) }

  /// - Returns: `nil` for a shell that is not known.
  static func completion(_ shell: String) -> String? {
    switch shell {
    case "bash": bash
    case "zsh": zsh
    case "fish": fish
    default: nil
    }
  }

  private static var bash: String {
    let cases = flags.filter { !$0.values.isEmpty }.map { flag in
      "    --\(flag.name)) words='\(flag.values.joined(separator: " "))' ;;\n"
    }
    let files = flags.filter(\.isFile).map { "--\($0.name)" }.joined(separator: "|")
    return """
      # bash completion for etcd
      _etcd() {
        local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words=""
        case $before in
      \(cases.joined())    \(files)) COMPREPLY=($(compgen -f -- "$word")); return ;;
        esac
        [ -n "$words" ] || words='\(flags.map { "--\($0.name)" }.joined(separator: " "))'
        COMPREPLY=($(compgen -W "$words" -- "$word"))
      }
      complete -o default -F _etcd etcd

      """
  }

  private static func firstLine(_ text: String) -> String {
    String(text.prefix { $0 != "\n" }.filter { !"'[]:\\\"`$".contains($0) })
  }

  private static var zsh: String {
    let lines = flags.map { flag -> String in
      let value =
        flag.isBare
        ? ""
        : flag.isFile
          ? ":file:_files"
          : flag.values.isEmpty
            ? ":value: " : ":value:(\(flag.values.joined(separator: " ")))"
      let name = flag.isBare ? "--\(flag.name)" : "--\(flag.name)="
      return "  '\(name)[\(firstLine(flag.help))]\(value)' \\\n"
    }
    return "#compdef etcd\n_arguments \\\n" + lines.joined() + "  '*: :'\n"
  }

  private static var fish: String {
    let lines = flags.map { flag -> String in
      let values =
        flag.values.isEmpty ? "" : " -a '\(flag.values.joined(separator: " "))'"
      let value = flag.isBare ? "" : flag.isFile ? " -r -F" : " -x\(values)"
      return "complete -c etcd -l \(flag.name)\(value) -d '\(firstLine(flag.help))'\n"
    }
    return "# fish completion for etcd\ncomplete -c etcd -f\n" + lines.joined()
  }
}
