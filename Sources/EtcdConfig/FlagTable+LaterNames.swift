extension FlagTable {
  /// Flags of 3.5 by the names that etcd 3.6 gave them. Both at once are refused.
  ///
  /// - Source: etcd 3.6 `etcdmain.experimentalFlagMigrationMap`.
  static let laterNames: [(name: String, old: String)] = [
    ("bootstrap-defrag-threshold-megabytes", "experimental-bootstrap-defrag-threshold-megabytes"),
    ("compact-hash-check-time", "experimental-compact-hash-check-time"),
    ("compaction-batch-limit", "experimental-compaction-batch-limit"),
    ("compaction-sleep-interval", "experimental-compaction-sleep-interval"),
    ("corrupt-check-time", "experimental-corrupt-check-time"),
    ("distributed-tracing-address", "experimental-distributed-tracing-address"),
    ("distributed-tracing-instance-id", "experimental-distributed-tracing-instance-id"),
    ("distributed-tracing-sampling-rate", "experimental-distributed-tracing-sampling-rate"),
    ("distributed-tracing-service-name", "experimental-distributed-tracing-service-name"),
    ("downgrade-check-time", "experimental-downgrade-check-time"),
    ("enable-distributed-tracing", "experimental-enable-distributed-tracing"),
    ("memory-mlock", "experimental-memory-mlock"),
    ("peer-skip-client-san-verification", "experimental-peer-skip-client-san-verification"),
    ("snapshot-catchup-entries", "experimental-snapshot-catchup-entries"),
    ("warning-apply-duration", "experimental-warning-apply-duration"),
    ("warning-unary-request-duration", "experimental-warning-unary-request-duration"),
    ("watch-progress-notify-interval", "experimental-watch-progress-notify-interval"),
  ]

  static func later(_ flags: [Flag]) -> [Flag] {
    let byName = Dictionary(uniqueKeysWithValues: flags.map { ($0.name, $0) })
    return laterNames.compactMap { name, old in
      guard let flag = byName[old] else { return nil }
      var renamed = Flag(
        name, .later, flag.kind, flag.fallback, "The same as --\(old).", flag.support,
        apply: flag.apply)
      renamed.sameAs = old
      return renamed
    }
  }

  /// - Throws: `ConfigFailure` in etcd 3.6's words when a flag is given by both names.
  static func checkNames(_ given: [FlagParser.Given]) throws(ConfigFailure) {
    let names = Set(given.map(\.name))
    for (name, old) in laterNames where names.contains(name) && names.contains(old) {
      throw ConfigFailure(
        "cannot set --\(old) and --\(name) at the same time, please use --\(name) only")
    }
  }
}
