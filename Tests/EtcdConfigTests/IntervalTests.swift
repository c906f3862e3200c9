import EtcdConfig
import Testing

/// Times, batch sizes and switches that the running member consumes.
@Suite struct IntervalTests {
  @Test func checksAreRead() throws {
    let server = try accepted([
      "--experimental-initial-corrupt-check", "--experimental-corrupt-check-time=1h",
      "--experimental-compact-hash-check-enabled=true",
      "--experimental-compact-hash-check-time=30s", "--experimental-downgrade-check-time=7s",
      "--experimental-memory-mlock", "--v2-deprecation=write-only",
    ]).server
    #expect(server.initialCorruptCheck && server.compactHashCheck && server.memoryLock)
    #expect(server.corruptCheckInterval == .seconds(3600))
    #expect(server.compactHashCheckInterval == .seconds(30))
    #expect(server.downgradeCheckInterval == .seconds(7))
    #expect(server.v2Deprecation == .writeOnly)
    #expect(server.v2Deprecation > .notYet && server.v2Deprecation < .gone)
  }

  @Test func sizesAndTimesOfTheBackendAreRead() throws {
    let server = try accepted([
      "--experimental-compaction-batch-limit=50", "--experimental-compaction-sleep-interval=20ms",
      "--experimental-bootstrap-defrag-threshold-megabytes=18446744073709551615",
      "--experimental-stop-grpc-service-on-defrag", "--backend-batch-interval=250us",
      "--backend-batch-limit=123", "--experimental-watch-progress-notify-interval=5s",
      "--experimental-warning-apply-duration=250ms", "--enable-pprof", "--socket-reuse-port",
      "--raft-read-timeout=6s", "--raft-write-timeout=7s",
    ]).server
    #expect(server.compactionBatchLimit == 50)
    #expect(server.compactionSleepInterval == .milliseconds(20))
    #expect(server.bootstrapDefragThresholdMegabytes == .max)
    #expect(server.stopGRPCOnDefrag && server.enablePprof && server.socketReusePort)
    #expect(server.backendBatchInterval == .microseconds(250))
    #expect(server.backendBatchLimit == 123)
    #expect(server.watchProgressNotifyInterval == .seconds(5))
    #expect(server.warningApplyDuration == .milliseconds(250))
    #expect(server.raftReadTimeout == .seconds(6))
    #expect(server.raftWriteTimeout == .seconds(7))
  }

  /// What etcd raises, or takes for "not given".
  @Test func valuesBelowTheLeastAreReplaced() throws {
    let found = try accepted([
      "--raft-read-timeout=1s", "--raft-write-timeout=-1s",
      "--experimental-watch-progress-notify-interval=1ms",
      "--experimental-compaction-batch-limit=0", "--experimental-compaction-sleep-interval=0s",
      "--backend-batch-limit=-7", "--backend-batch-interval=-1s",
      "--experimental-corrupt-check-time=-1s",
    ])
    #expect(found.server.raftReadTimeout == .seconds(5))
    #expect(found.server.raftWriteTimeout == .seconds(5))
    #expect(found.server.watchProgressNotifyInterval == .milliseconds(100))
    #expect(found.server.compactionBatchLimit == 1000)
    #expect(found.server.compactionSleepInterval == .milliseconds(10))
    #expect(found.server.backendBatchLimit == 0)
    #expect(found.server.backendBatchInterval == .zero)
    #expect(found.server.corruptCheckInterval == .zero)
    let lines = found.notices.map(\.message)
    for line in [
      "raft-read-timeout increased to minimum value: 5s",
      "raft-write-timeout increased to minimum value: 5s",
      "adjusting watch progress notify interval to minimum period",
    ] {
      #expect(lines.contains(line), "\(line)")
    }
    #expect(
      try accepted(["--experimental-watch-progress-notify-interval=0s"]).server
        .watchProgressNotifyInterval == .seconds(600))
  }

  @Test func hashCheckTimeMustBePositive() {
    for (given, shown) in [("0s", "0s"), ("-90s", "-1m30s")] {
      #expect(
        refusal(["--experimental-compact-hash-check-time=\(given)"])?.message
          == "--experimental-compact-hash-check-time must be >0 (set to \(shown))")
    }
  }

  @Test func listenersForHTTPAlone() throws {
    let lines = [
      "--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://127.0.0.1:1",
    ]
    let server = try accepted(lines + ["--listen-client-http-urls=http://127.0.0.1:2"]).server
    #expect(server.listenClientHTTPURLs.map(\.description) == ["http://127.0.0.1:2"])
    #expect(try accepted([]).server.listenClientHTTPURLs.isEmpty)
    #expect(
      refusal(lines + ["--listen-client-http-urls=http://127.0.0.1:1"])?.message
        == "cannot bind both --client-listen-urls and --client-listen-http-urls on the same url"
        + " http://127.0.0.1:1")
    #expect(
      refusal(["--listen-client-http-urls=http://name:1"])?.message
        == "expected IP in URL for binding (http://name:1)")
  }
}
