extension FlagTable {
  static let clustering: [Flag] = bootstrap + discovery + registry + rules

  private static let bootstrap: [Flag] = [
    Flag(
      "initial-advertise-peer-urls", .clustering, .urls(exceptions: [""]),
      "http://localhost:2380",
      "List of this member's peer URLs to advertise to the rest of the cluster."
    ) { if let urls = $1.uniqueURLs { $0.advertisePeer = urls } },
    Flag(
      "initial-cluster", .clustering, .text, "default=http://localhost:2380",
      "Initial cluster configuration for bootstrapping."
    ) {
      $0.initialCluster = $1.text
      $0.isInitialClusterGiven = true
    },
    Flag(
      "initial-cluster-state", .clustering, .choice(["new", "existing"]), "new",
      "Initial cluster state ('new' or 'existing')."
    ) { $0.server.isNewCluster = $1.text == "new" },
    Flag(
      "initial-cluster-token", .clustering, .text, "etcd-cluster",
      "Initial cluster token for the etcd cluster during bootstrap.\nSpecifying this can protect"
        + " you from unintended cross-cluster interaction when running multiple clusters."
    ) { $0.server.initialClusterToken = $1.text },
    Flag(
      "advertise-client-urls", .clustering, .urls(exceptions: [""]), "http://localhost:2379",
      "List of this member's client URLs to advertise to the public.\nThe client URLs advertised"
        + " should be accessible to machines that talk to etcd cluster."
    ) { if let urls = $1.uniqueURLs { $0.advertiseClient = urls } },
  ]

  private static let discovery: [Flag] = [
    Flag(
      "discovery", .clustering, .text, "",
      "Discovery URL used to bootstrap the cluster."
    ) { $0.server.discoveryURL = $1.text },
    Flag(
      "discovery-fallback", .clustering, .choice(["proxy", "exit"]), "proxy",
      "Expected behavior ('exit' or 'proxy') when discovery services fails."
    ) { $0.server.discoveryFallsBackToProxy = $1.text == "proxy" },
    Flag(
      "discovery-proxy", .clustering, .text, "",
      "HTTP proxy to use for traffic to discovery service."
    ) { $0.server.discoveryProxy = $1.text },
    Flag(
      "discovery-srv", .clustering, .text, "",
      "DNS srv domain used to bootstrap the cluster."
    ) { $0.server.discoverySRV = $1.text },
    Flag(
      "discovery-srv-name", .clustering, .text, "",
      "Suffix to the dns srv name queried when bootstrapping."
    ) { $0.server.discoverySRVName = $1.text },
  ]

  private static let rules: [Flag] = [
    Flag(
      "strict-reconfig-check", .clustering, .bool, "true",
      "Reject reconfiguration requests that would cause quorum loss."
    ) { $0.server.strictReconfigCheck = $1.bool },
    Flag(
      "pre-vote", .clustering, .bool, "true", "Enable to run an additional Raft election phase."
    ) { $0.server.preVote = $1.bool },
    Flag(
      "auto-compaction-retention", .clustering, .text, "0",
      "Auto compaction retention length. 0 means disable auto compaction."
    ) { $0.compactionRetention = $1.text },
    Flag(
      "auto-compaction-mode", .clustering, .text, "periodic",
      "Interpret 'auto-compaction-retention' one of: periodic|revision. 'periodic' for duration"
        + " based retention, defaulting to hours if no time unit is provided (e.g. '5m')."
        + " 'revision' for revision number based retention."
    ) { $0.compactionMode = $1.text },
    Flag(
      "enable-v2", .clustering, .bool, "false",
      "Accept etcd V2 client requests."
    ) { $0.server.enableV2 = $1.bool },
    Flag(
      "v2-deprecation", .clustering,
      .choice(V2Deprecation.allCases.map(\.rawValue), quoting: true), "not-yet",
      "Phase of v2store deprecation. Allows to opt-in for higher compatibility mode."
    ) { $0.server.v2Deprecation = V2Deprecation(rawValue: $1.text) ?? .notYet },
  ]
}
