/// Every flag of the server.
enum FlagTable {
  static let all: [Flag] =
    member + clustering + security + auth + monitoring + logging + tracing + proxy
    + experimental + unsafe + general + retired

  static let byName: [String: Flag] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  private static let general: [Flag] = [
    Flag("version", .hidden, .bool, "false", "Print the version and exit.") {
      $0.wantsVersion = $1.bool
    },
    Flag("config-file", .hidden, .text, "", "Path to the server configuration file.", .notYet),
  ]

  /// Flags of etcd 0.4 and 2, still accepted by etcd 3.
  private static let retired: [Flag] = [
    "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force",
    "max-result-buffer", "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout",
    "retry-interval", "snapshot", "v", "vv", "test.coverprofile", "test.outputdir",
  ].map { Flag($0, .hidden, .retired, "", "") }
}
