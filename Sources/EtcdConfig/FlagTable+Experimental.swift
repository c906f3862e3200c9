extension FlagTable {
  static let experimental: [Flag] = checks + tuning

  private static let checks: [Flag] = [
    Flag(
      "experimental-initial-corrupt-check", .experimental, .bool, "false",
      "Enable to check data corruption before serving any client/peer traffic."
    ) { $0.server.initialCorruptCheck = $1.bool },
    Flag(
      "experimental-corrupt-check-time", .experimental, .duration, "0s",
      "Duration of time between cluster corruption check passes."
    ) { $0.server.corruptCheckInterval = $1.time },
    Flag(
      "experimental-compact-hash-check-enabled", .experimental, .bool, "false",
      "Enable leader to periodically check followers compaction hashes."
    ) { $0.server.compactHashCheck = $1.bool },
    Flag(
      "experimental-compact-hash-check-time", .experimental, .duration, "1m",
      "Duration of time between leader checks followers compaction hashes."
    ) { $0.server.compactHashCheckInterval = $1.time },
    Flag(
      "experimental-enable-v2v3", .experimental, .text, "",
      "Serve v2 requests through the v3 backend under a given prefix.",
      .noEffect("without --enable-v2 it asks for nothing, and with it the start is refused")
    ) { $0.v2v3Prefix = $1.text },
    Flag(
      "experimental-enable-lease-checkpoint", .experimental, .bool, "false",
      "Enables primary lessor to persist lease remainingTTL to prevent indefinite auto-renewal of"
        + " long lived leases."
    ) { $0.server.leaseCheckpoint = $1.bool },
    Flag(
      "experimental-enable-lease-checkpoint-persist", .experimental, .bool, "false",
      "Enables persisting remainingTTL to prevent indefinite auto-renewal of long lived leases."
    ) { $0.server.leaseCheckpointPersist = $1.bool },
    Flag(
      "experimental-downgrade-check-time", .experimental, .duration, "5s",
      "Duration of time between two downgrade status checks."
    ) { $0.server.downgradeCheckInterval = $1.time },
    Flag(
      "experimental-memory-mlock", .experimental, .bool, "false",
      "Enable to enforce etcd pages (in particular bbolt) to stay in RAM."
    ) { $0.server.memoryLock = $1.bool },
  ]

  private static let tuning: [Flag] = [
    Flag(
      "experimental-compaction-batch-limit", .experimental, .signed, "1000",
      "Sets the maximum revisions deleted in each compaction batch."
    ) { $0.compactionBatchLimit = $1.signed },
    Flag(
      "experimental-compaction-sleep-interval", .experimental, .duration, "10ms",
      "Sets the sleep interval between each compaction batch."
    ) { $0.server.compactionSleepInterval = $1.time },
    Flag(
      "experimental-watch-progress-notify-interval", .experimental, .duration, "10m",
      "Duration of periodical watch progress notification."
    ) { $0.server.watchProgressNotifyInterval = $1.time },
    Flag(
      "experimental-warning-apply-duration", .experimental, .duration, "100ms",
      "Warning is generated if requests take more than this duration."
    ) { $0.server.warningApplyDuration = $1.time },
    Flag(
      "experimental-warning-unary-request-duration", .experimental, .duration, "300ms",
      "Warning is generated if a unary request takes more than this duration."
    ) { $0.server.warningUnaryRequestDuration = $1.time },
    Flag(
      "feature-gates", .experimental, .text, "",
      "Feature gates of etcd 3.6 as name=bool, separated by commas: StopGRPCServiceOnDefrag,"
        + " InitialCorruptCheck, CompactHashCheck, TxnModeWriteWithSharedBuffer, LeaseCheckpoint,"
        + " LeaseCheckpointPersist, AllAlpha, AllBeta."
    ) { _, _ in },
    Flag(
      "experimental-txn-mode-write-with-shared-buffer", .experimental, .bool, "true",
      "Enable the write transaction to use a shared buffer in its readonly check operations.",
      .noEffect("transactions never copy a buffer")),
    Flag(
      "experimental-bootstrap-defrag-threshold-megabytes", .experimental, .unsigned, "0",
      "Enable the defrag during etcd server bootstrap on condition that it will free at least the"
        + " provided threshold of disk space."
    ) { $0.server.bootstrapDefragThresholdMegabytes = $1.unsigned },
    Flag(
      "experimental-stop-grpc-service-on-defrag", .experimental, .bool, "false",
      "Enable etcd gRPC service to stop serving client requests on defragmentation."
    ) { $0.server.stopGRPCOnDefrag = $1.bool },
    Flag(
      "experimental-nospace-auto-disarm", .experimental, .bool, "false",
      "Count the space in use against the quota instead of the file's size, and take the alarm NOSPACE"
        + " away once less than 90 per cent of it is used. Not in Go etcd."
    ) { $0.server.disarmsNoSpace = $1.bool },
    Flag(
      "experimental-client-loops", .experimental, .unsigned, "0",
      "Number of threads that serve client connections, at most 8 (0 to follow the number of"
        + " processors). Not in Go etcd."
    ) { $0.server.clientLoops = $1.int },
    Flag(
      "experimental-snapshot-catchup-entries", .hidden, .unsigned, "5000",
      "Number of entries for a slow follower to catch up after compacting the raft storage"
        + " entries."
    ) { $0.server.snapshotCatchUpEntries = $1.unsigned },
  ]
}
