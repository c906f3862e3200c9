extension CommandLine {
  /// The forms a call can have; printed with a message when a flag cannot be read.
  public static let usage = """
    Usage:

      etcd [flags]
        Start an etcd server.

      etcd --config-file FILE
        Start an etcd server as the file says; other flags and variables are ignored.

      etcd [flags] --check-config
        Show every setting and where it comes from.

      etcd --version
        Show the version of etcd.

      etcd -h | --help
        Show the help information about etcd.

      etcd gateway
        Run the stateless pass-through etcd TCP connection forwarding proxy.


    """

  /// All flags that help shows, by group, for manuals and completions.
  package static var flagGroups: [(name: String, flags: [FlagEntry])] {
    Flag.Group.allCases.filter { $0 != .hidden }.map { group in
      (group.rawValue, FlagTable.all.filter { $0.group == group }.map(FlagEntry.init))
    }
  }

  /// All flags by group.
  static var helpText: String {
    var out = ""
    for group in Flag.Group.allCases where group != .hidden {
      out += "\(group.rawValue):\n"
      for flag in FlagTable.all where flag.group == group {
        out += "  --\(flag.name) '\(flag.shownFallback)'\n"
        for line in flag.shownHelp.split(separator: "\n") { out += "    \(line)\n" }
      }
      out += "\n"
    }
    return out + "CAUTIOUS with unsafe flag! It may break the guarantees given by the consensus"
      + " protocol!\n"
  }

  /// Four lines, as etcd's: tools read the version from the first.
  static var versionText: String {
    """
    etcd Version: \(ServerVersion.etcd)
    Git SHA: Not provided (etcd in Swift \(ServerVersion.own))
    Go Version: none (Swift 6)
    Go OS/Arch: \(platform)

    """
  }

  /// Named as Go names platforms.
  static var platform: String {
    #if os(macOS)
      let system = "darwin"
    #else
      let system = "linux"
    #endif
    #if arch(x86_64)
      return system + "/amd64"
    #elseif arch(arm64)
      return system + "/arm64"
    #else
      return system + "/unknown"
    #endif
  }
}

extension Flag {
  /// The default for people.
  fileprivate var shownFallback: String { name == "data-dir" ? "${name}.etcd" : fallback }

  /// What it does, and whether it does.
  fileprivate var shownHelp: String {
    switch support {
    case .full: help
    case .noEffect(let reason): help + "\n(no effect: \(reason))"
    }
  }
}

/// A flag of the server as manuals and completions show it.
package struct FlagEntry: Sendable {
  package let name: String
  package let fallback: String
  /// Lines.
  package let help: String
  /// Whether it stands without a value.
  package let isBare: Bool
  /// Whether its value is a path.
  package let isFile: Bool
  /// The values that it takes, where there are few.
  package let values: [String]

  init(_ flag: Flag) {
    name = flag.name
    fallback = flag.shownFallback
    help = flag.shownHelp
    isBare = flag.isBare
    isFile = ["-file", "-dir"].contains(where: flag.name.hasSuffix)
    if case .choice(let choices, _) = flag.kind {
      values = choices.filter { !$0.isEmpty }
    } else {
      values = []
    }
  }
}
