import GoText

/// Why a configuration cannot run, in etcd's words where it has some.
struct ConfigFailure: Error, Equatable {
  let message: String
  init(_ message: String) { self.message = message }
}

/// Checks settings as a whole, in etcd's order.
///
/// - Source: etcd `embed.Config.Validate` and `setupLogging`.
struct Validation {
  /// Longest election timeout, in milliseconds.
  static let electionTimeoutMax = 50_000
  /// Requests above this size are allowed but unwise.
  static let recommendedRequestBytes = 10 << 20
  /// Backends above this size are allowed but unwise.
  static let recommendedQuotaBytes: Int64 = 8 << 30

  var settings: Settings
  var log = LogConfig()

  init(_ settings: Settings) { self.settings = settings }

  /// The finished configuration.
  /// - Throws: `ConfigFailure` for the first rule broken.
  static func run(
    _ settings: Settings
  ) throws(ConfigFailure) -> (server: ServerConfig, log: LogConfig, notices: [Notice]) {
    var validation = Validation(settings)
    try validation.checkLog()
    try validation.checkURLs()
    try validation.checkBootstrap()
    try validation.checkTimes()
    try validation.checkLeases()
    try validation.checkIntervals()
    try validation.checkCompaction()
    try validation.checkTracing()
    try validation.checkTLS()
    try validation.checkV2()
    validation.completeNames()
    validation.adviseOnSizes()
    return (validation.settings.server, validation.log, validation.settings.notices)
  }

  /// Keeps a line for the log.
  mutating func notice(_ level: Notice.Level, _ message: String, _ fields: (String, String)...) {
    settings.notices.append(Notice(level, message, fields))
  }

  /// - Source: etcd 3.6 `embed.validateTracingConfig`; Go's exporter takes any address, and dials it for ever.
  private func checkTracing() throws(ConfigFailure) {
    let tracing = settings.server.tracing
    guard tracing.isEnabled else { return }
    if tracing.samplingRate < 0 { throw ConfigFailure("tracing sampling rate must be positive") }
    if tracing.samplingRate > 1_000_000 {
      throw ConfigFailure("tracing sampling rate must be less than 1000000")
    }
    guard let address = HostPort(tracing.address), UInt16(address.port) != nil else {
      throw ConfigFailure(
        "distributed tracing collector address \(GoQuote.text(tracing.address)) is not of the form host:port"
      )
    }
  }

  private mutating func checkURLs() throws(ConfigFailure) {
    for urls in [
      settings.listenPeer, settings.listenClient, settings.listenClientHTTP, settings.listenMetrics,
    ] {
      try Self.checkBinding(urls)
    }
    try Self.checkHosts(settings.advertisePeer, "--initial-advertise-peer-urls")
    try Self.checkHosts(settings.advertiseClient ?? [], "--advertise-client-urls")
    settings.server.listenPeerURLs = try Self.listenURLs(settings.listenPeer)
    settings.server.listenClientURLs = try Self.listenURLs(settings.listenClient)
    settings.server.listenClientHTTPURLs = try Self.listenURLs(settings.listenClientHTTP)
    settings.server.listenMetricsURLs = try Self.listenURLs(settings.listenMetrics)
    if let url = settings.listenClientHTTP.first(where: settings.listenClient.contains) {
      throw ConfigFailure(
        "cannot bind both --client-listen-urls and --client-listen-http-urls on the same url \(url)"
      )
    }
  }

  /// Sockets are bound to addresses, not names.
  private static func checkBinding(_ urls: [EtcdURL]) throws(ConfigFailure) {
    for url in urls {
      guard let address = url.hostPort else { continue }
      if address.host != "localhost" && !address.isNumeric {
        throw ConfigFailure("expected IP in URL for binding (\(url))")
      }
    }
  }

  private static func checkHosts(_ urls: [EtcdURL], _ name: String) throws(ConfigFailure) {
    for url in urls where url.hostPort?.host == "" {
      let list = urls.map(\.description).joined(separator: ",")
      throw ConfigFailure(
        "\(name) \(GoQuote.text(list)) must be \"host:port\" (unexpected empty host (\(url)))")
    }
  }

  private static func listenURLs(_ urls: [EtcdURL]) throws(ConfigFailure) -> [ListenURL] {
    var found: [ListenURL] = []
    for url in urls {
      guard let address = url.hostPort else {
        found.append(ListenURL(scheme: url.scheme, host: url.address, port: 0))
        continue
      }
      // An empty port is the one the system chooses, as for Go's listeners.
      // checked: digits of a text, nil when they are too many
      guard let port = address.port.isEmpty ? 0 : Int(address.port), port <= 65_535 else {
        throw ConfigFailure("listen tcp: address \(address.port): invalid port")
      }
      found.append(ListenURL(scheme: url.scheme, host: address.host, port: port))
    }
    return found
  }

  /// The first members are named in one way.
  /// - Source: etcd `embed.Config.Validate`, `etcdmain.config.configFromCmdLine`.
  private mutating func checkBootstrap() throws(ConfigFailure) {
    let server = settings.server
    let isDiscovered =
      !server.registry.endpoints.isEmpty
      || [server.discoveryURL, server.discoverySRV, server.discoverySRVName]
        .contains { !$0.isEmpty }
    // A configuration file that has the default, as samples do, names no members by it.
    let isDefault = settings.initialCluster == Settings.defaults.initialCluster
    if isDiscovered, !settings.isInitialClusterGiven || isDefault { settings.initialCluster = "" }
    let ways =
      [settings.initialCluster, server.discoveryURL, server.discoverySRV].count { !$0.isEmpty }
      + (server.registry.endpoints.isEmpty ? 0 : 1)
    guard ways <= 1 else {
      throw ConfigFailure(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery\""
          + " or \"discovery-srv\"")
    }
    if !server.discoveryProxy.isEmpty, server.registry.isAnyGiven {
      throw ConfigFailure(
        "both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings (discovery-token,"
          + " discovery-endpoints, discovery-cert, discovery-key, discovery-cacert, discovery-user,"
          + " discovery-password) are set")
    }
    guard server.registry.token.isEmpty == server.registry.endpoints.isEmpty else {
      throw ConfigFailure("both --discovery-token and --discovery-endpoints must be set")
    }
  }

  private func checkTimes() throws(ConfigFailure) {
    let (heartbeat, election) = (settings.server.heartbeatInterval, settings.server.electionTimeout)
    if heartbeat == 0 {
      throw ConfigFailure("--heartbeat-interval must be >0 (set to \(heartbeat)ms)")
    }
    if election == 0 {
      throw ConfigFailure("--election-timeout must be >0 (set to \(election)ms)")
    }
    if heartbeat > election / 5 {
      throw ConfigFailure(
        "--election-timeout[\(election)ms] should be at least as 5 times as"
          + " --heartbeat-interval[\(heartbeat)ms]")
    }
    if election > Self.electionTimeoutMax {
      throw ConfigFailure(
        "--election-timeout[\(election)ms] is too long, and should be set less than"
          + " \(Self.electionTimeoutMax)ms")
    }
    if settings.advertiseClient == nil {
      throw ConfigFailure(
        "--advertise-client-urls is required when --listen-client-urls is set explicitly")
    }
  }

  private mutating func checkLeases() throws(ConfigFailure) {
    let server = settings.server
    if server.leaseCheckpoint, !server.leaseCheckpointPersist {
      settings.notices.append(
        Notice(
          .warn,
          "Detected that checkpointing is enabled without persistence. Consider enabling"
            + " experimental-enable-lease-checkpoint-persist"))
    }
    guard server.leaseCheckpoint || !server.leaseCheckpointPersist else {
      throw ConfigFailure(
        "setting experimental-enable-lease-checkpoint-persist requires"
          + " experimental-enable-lease-checkpoint")
    }
  }

  private mutating func checkCompaction() throws(ConfigFailure) {
    let mode = settings.compactionMode
    guard ["periodic", "revision", ""].contains(mode) else {
      throw ConfigFailure("unknown auto-compaction-mode \(GoQuote.text(mode))")
    }
    let text = settings.compactionRetention.isEmpty ? "0" : settings.compactionRetention
    if mode.isEmpty, text != "0" {
      notice(
        .warn, "auto-compaction-retention does nothing without auto-compaction-mode",
        ("auto-compaction-retention", text))
    }
    if let number = Int64(text), number >= 0 {
      guard number > 0, !mode.isEmpty else { return }
      guard mode == "periodic" else {
        settings.server.autoCompaction = .revision(number)
        return
      }
      guard number <= 100 * 365 * 24 else {
        throw ConfigFailure("error parsing CompactionRetention: \(text) hours are too long")
      }
      settings.server.autoCompaction = .periodic(.seconds(number * 3600))
      return
    }
    let nanoseconds: Int64
    do {
      nanoseconds = try GoDuration.parse(text)
    } catch {
      throw ConfigFailure("error parsing CompactionRetention: \(error.message)")
    }
    guard nanoseconds >= 0 else {
      throw ConfigFailure("error parsing CompactionRetention: \(GoQuote.text(text)) is negative")
    }
    guard nanoseconds > 0, !mode.isEmpty else { return }
    guard mode == "revision" else {
      settings.server.autoCompaction = .periodic(.nanoseconds(nanoseconds))
      return
    }
    // etcd reads a duration as the number of its nanoseconds; hardly what was meant.
    settings.server.autoCompaction = .revision(nanoseconds)
    notice(
      .warn,
      "auto-compaction-retention is a duration but auto-compaction-mode counts revisions;"
        + " taking its nanoseconds as their number",
      ("auto-compaction-retention", text), ("revisions", "\(nanoseconds)"))
  }

  /// What follows from the member's name.
  private mutating func completeNames() {
    let own = settings.advertisePeer.map(\.description)
    settings.server.initialAdvertisePeerURLs = own
    settings.server.advertiseClientURLs = (settings.advertiseClient ?? []).map(\.description)
    let name = settings.server.name
    // Only the name was given: the member founds a cluster of its own.
    if name != "default" && settings.initialCluster == Settings.defaults.initialCluster {
      settings.initialCluster = own.map { "\(name.isEmpty ? "default" : name)=\($0)" }
        .joined(separator: ",")
    }
    settings.server.setInitialCluster(settings.initialCluster)
    if settings.server.dataDirectory.isEmpty {
      settings.server.dataDirectory = "\(name).etcd"
      settings.notices.append(
        Notice(
          .warn, "'data-dir' was empty; using default",
          ("data-dir", settings.server.dataDirectory)))
    }
    for (listening, advertised, flag) in [
      (settings.listenPeer, own, "--initial-advertise-peer-urls"),
      (settings.listenClient, settings.server.advertiseClientURLs, "--advertise-client-urls"),
    ] {
      let isWildcard = listening.contains { ["0.0.0.0", "::"].contains($0.hostPort?.host) }
      guard isWildcard, advertised.allSatisfy({ $0.hasPrefix("http://localhost:") }) else {
        continue
      }
      settings.notices.append(
        Notice(
          .warn,
          "listening on all addresses but advertising localhost; other machines cannot"
            + " reach this member", ("flag", flag),
          ("advertised", advertised.joined(separator: ","))))
    }
  }

  private mutating func adviseOnSizes() {
    if settings.server.snapshotCount == 0 {
      settings.server.snapshotCount = ServerConfig().snapshotCount
      settings.notices.append(
        Notice(
          .info, "set snapshot count to default",
          ("updated-snapshot-count", "\(settings.server.snapshotCount)")))
    }
    if settings.server.maxRequestBytes > Self.recommendedRequestBytes {
      settings.notices.append(
        Notice(
          .warn, "exceeded recommended request limit",
          ("max-request-bytes", "\(settings.server.maxRequestBytes)"),
          ("recommended-request-bytes", "\(Self.recommendedRequestBytes)")))
    }
    if settings.server.quotaBackendBytes > Self.recommendedQuotaBytes {
      settings.notices.append(
        Notice(
          .warn, "quota exceeds the recommended maximum",
          ("quota-size-bytes", "\(settings.server.quotaBackendBytes)"),
          ("quota-maximum-size-bytes", "\(Self.recommendedQuotaBytes)")))
    }
  }
}
