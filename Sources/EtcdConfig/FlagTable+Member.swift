extension FlagTable {
  static let member: [Flag] = identity + sockets + limits

  private static let identity: [Flag] = [
    Flag("name", .member, .text, "default", "Human-readable name for this member.") {
      $0.server.name = $1.text
    },
    Flag("data-dir", .member, .text, "", "Path to the data directory.") {
      $0.server.dataDirectory = $1.text
    },
    Flag("wal-dir", .member, .text, "", "Path to the dedicated wal directory.") {
      $0.server.walDirectory = $1.text
    },
    Flag(
      "snapshot-count", .member, .unsigned, "100000",
      "Number of committed transactions to trigger a snapshot to disk."
    ) { $0.server.snapshotCount = $1.unsigned },
    Flag(
      "heartbeat-interval", .member, .unsigned, "100",
      "Time (in milliseconds) of a heartbeat interval."
    ) { $0.server.heartbeatInterval = $1.int },
    Flag(
      "election-timeout", .member, .unsigned, "1000",
      "Time (in milliseconds) for an election to timeout."
    ) { $0.server.electionTimeout = $1.int },
    Flag(
      "initial-election-tick-advance", .member, .bool, "true",
      "Whether to fast-forward initial election ticks on boot for faster election."
    ) { $0.server.initialElectionTickAdvance = $1.bool },
  ]

  private static let sockets: [Flag] = [
    Flag(
      "listen-peer-urls", .member, .urls(exceptions: [""]), "http://localhost:2380",
      "List of URLs to listen on for peer traffic."
    ) { if let urls = $1.uniqueURLs { $0.listenPeer = urls } },
    Flag(
      "listen-client-urls", .member, .urls(exceptions: [""]), "http://localhost:2379",
      "List of URLs to listen on for client traffic."
    ) { if let urls = $1.uniqueURLs { $0.listenClient = urls } },
    Flag(
      "listen-client-http-urls", .member, .urls(exceptions: [""]), "",
      "List of URLs to listen on for HTTP-only client traffic; the other client URLs then carry"
        + " gRPC alone."
    ) { if let urls = $1.uniqueURLs { $0.listenClientHTTP = urls } },
    Flag(
      "grpc-keepalive-min-time", .member, .duration, "5s",
      "Minimum duration interval that a client should wait before pinging server."
    ) { $0.server.keepaliveMinTime = $1.milliseconds },
    Flag(
      "grpc-keepalive-interval", .member, .duration, "2h",
      "Frequency duration of server-to-client ping to check if a connection is alive (0 to"
        + " disable)."
    ) { $0.server.keepaliveInterval = $1.milliseconds },
    Flag(
      "grpc-keepalive-timeout", .member, .duration, "20s",
      "Additional duration of wait before closing a non-responsive connection (0 to disable)."
    ) { $0.server.keepaliveTimeout = $1.milliseconds },
    Flag(
      "enable-grpc-gateway", .member, .bool, "true", "Enable GRPC gateway."
    ) { $0.server.enableGateway = $1.bool },
    Flag(
      "socket-reuse-port", .member, .bool, "false",
      "Enable to set socket option SO_REUSEPORT on listeners allowing rebinding of a port already"
        + " in use."
    ) { $0.server.socketReusePort = $1.bool },
    Flag(
      "socket-reuse-address", .member, .bool, "false",
      "Enable to set socket option SO_REUSEADDR on listeners allowing binding to an address in"
        + " TIME_WAIT state.", .noEffect("listeners always set SO_REUSEADDR")),
    Flag(
      "raft-read-timeout", .member, .duration, "5s",
      "Read timeout set on each peer connection."
    ) { $0.server.raftReadTimeout = $1.time },
    Flag(
      "raft-write-timeout", .member, .duration, "5s",
      "Write timeout set on each peer connection."
    ) { $0.server.raftWriteTimeout = $1.time },
  ]

  private static let limits: [Flag] = [
    Flag(
      "max-snapshots", .member, .unsigned, "5",
      "Maximum number of snapshot files to retain (0 is unlimited)."
    ) { $0.server.maxSnapshots = $1.int },
    Flag(
      "max-wals", .member, .unsigned, "5",
      "Maximum number of wal files to retain (0 is unlimited)."
    ) { $0.server.maxWALs = $1.int },
    Flag(
      "quota-backend-bytes", .member, .signed, "0",
      "Raise alarms when backend size exceeds the given quota (0 defaults to low space quota)."
    ) { $0.server.quotaBackendBytes = $1.signed },
    Flag(
      "backend-bbolt-freelist-type", .member, .text, "map",
      "Type of freelist that the backend uses (array and map are supported types).",
      .noEffect("the freelist has one form in memory")),
    Flag(
      "backend-batch-interval", .member, .duration, "0s",
      "Maximum time before commit the backend transaction."
    ) { $0.server.backendBatchInterval = $1.time },
    Flag(
      "backend-batch-limit", .member, .signed, "0",
      "Maximum operations before commit the backend transaction."
    ) { $0.backendBatchLimit = $1.signed },
    Flag(
      "max-txn-ops", .member, .unsigned, "128",
      "Maximum number of operations permitted in a transaction."
    ) { $0.server.maxTxnOps = $1.int },
    Flag(
      "max-learners", .member, .signed, "1",
      "Sets the maximum number of learners that can be available in the cluster membership. Must be"
        + " the same on every member."
    ) { $0.server.maxLearners = Int(clamping: $1.signed) },
    Flag(
      "max-request-bytes", .member, .unsigned, "1572864",
      "Maximum client request size in bytes the server will accept."
    ) { $0.server.maxRequestBytes = $1.int },
    Flag(
      "max-concurrent-streams", .member, .unsigned32, "4294967295",
      "Maximum concurrent streams that each client can open at a time."
    ) { $0.server.maxConcurrentStreams = UInt32(clamping: $1.unsigned) },
  ]
}
