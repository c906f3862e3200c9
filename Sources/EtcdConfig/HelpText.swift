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


    """

  /// All flags by group.
  static var helpText: String {
    var out = ""
    for group in Flag.Group.allCases where group != .hidden {
      out += "\(group.rawValue):\n"
      for flag in FlagTable.all where flag.group == group {
        let shown = flag.name == "data-dir" ? "${name}.etcd" : flag.fallback
        out += "  --\(flag.name) '\(shown)'\n"
        for line in flag.help.split(separator: "\n") { out += "    \(line)\n" }
        if case .notYet = flag.support { out += "    (not supported by this version yet)\n" }
        if case .noEffect(let reason) = flag.support { out += "    (no effect: \(reason))\n" }
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
