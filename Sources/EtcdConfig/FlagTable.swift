/// Every flag of the server.
enum FlagTable {
  static let all: [Flag] = firstNames + later(firstNames)

  private static let firstNames: [Flag] =
    general + member + clustering + security + auth + monitoring + logging + tracing + proxy
    + experimental + unsafe + retired

  static let byName: [String: Flag] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  private static let general: [Flag] = [
    Flag("version", .hidden, .bool, "false", "Print the version and exit.") {
      $0.wantsVersion = $1.bool
    },
    Flag(
      "config-file", .file, .text, "",
      "Path to the server configuration file, in YAML. Other flags and variables are then ignored."),
    Flag(
      "check-config", .file, .bool, "false",
      "Print every setting, its value and where it comes from, and exit. Not in Go etcd."
    ) { $0.wantsCheck = $1.bool },
  ]

  /// Flags of etcd 0.4 and 2, still accepted by etcd 3.
  private static let retired: [Flag] = [
    "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force",
    "max-result-buffer", "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout",
    "retry-interval", "snapshot", "v", "vv", "test.coverprofile", "test.outputdir",
  ].map { Flag($0, .hidden, .retired, "", "") }
}
