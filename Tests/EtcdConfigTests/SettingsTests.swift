import GoText
import Testing

@testable import EtcdConfig

@Suite struct EnvironmentTests {
  @Test func variablesStandForFlags() throws {
    let found = try accepted(
      ["--name", "line"],
      [
        "ETCD_NAME": "environment", "ETCD_MAX_TXN_OPS": "7", "ETCD_LOG_LEVEL": "",
        "ETCD_UNKNOWN": "1", "ETCD_VERSION": "3", "PATH": "/bin", "ETCD_PRE_VOTE": "false",
      ])
    #expect(found.server.name == "line")
    #expect(found.server.maxTxnOps == 7)
    #expect(!found.server.preVote)
    #expect(found.log.level == "info")
    let lines = found.notices.map { notice in
      "\(notice.level) \(notice.message) "
        + notice.fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
    }
    #expect(
      lines == [
        "warn cannot set special environment variable key=ETCD_VERSION value=3",
        "info recognized and used environment variable variable-name=ETCD_MAX_TXN_OPS"
          + " variable-value=7",
        "warn environment variable is shadowed by corresponding command-line flag; the flag wins"
          + " environment-variable=ETCD_NAME",
        "info recognized and used environment variable variable-name=ETCD_PRE_VOTE"
          + " variable-value=false",
        "warn unrecognized environment variable environment-variable=ETCD_UNKNOWN=1",
        "warn 'data-dir' was empty; using default data-dir=line.etcd",
      ])
  }
}

@Suite struct SettingsTests {
  /// A default stands in the table and in `ServerConfig`; they must not part.
  @Test func defaultsAgree() {
    var server = Settings.defaults.server
    server.dataDirectory = ServerConfig().dataDirectory
    #expect(server == ServerConfig())
    #expect(Settings.defaults.advertisePeer.map(\.description) == server.initialAdvertisePeerURLs)
    #expect(
      Settings.defaults.advertiseClient?.map(\.description) == server.advertiseClientURLs)
  }

  @Test func namesAreUniqueAndVariablesToo() {
    #expect(Set(FlagTable.all.map(\.name)).count == FlagTable.all.count)
    #expect(Set(FlagTable.all.map(\.environmentName)).count == FlagTable.all.count)
    #expect(FlagTable.byName["auto-tls"]?.environmentName == "ETCD_AUTO_TLS")
  }

  @Test func retiredFlagsOnlyWarn() throws {
    let found = try accepted(["--snapshot", "--vv=anything", "--name", "x"])
    #expect(
      found.notices.filter { $0.message == "flag is no longer supported - ignoring" }
        .map { $0.fields.map(\.value) } == [["-snapshot"], ["-vv"]])
    #expect(found.server.name == "x")
  }

  @Test func flagsWithoutEffectSaySo() throws {
    let found = try accepted([
      "--backend-bbolt-freelist-type", "array", "--socket-reuse-address=false",
    ])
    #expect(
      found.notices.first?.fields.map(\.value).first == "--backend-bbolt-freelist-type")
    #expect(found.notices.filter { $0.message == "flag has no effect" }.count == 1)
  }

  /// Not among the command lines that are compared: etcd 3.5.1 does not know the second flag.
  @Test func leaseCheckpoints() throws {
    let (both, persist) = (
      ["--experimental-enable-lease-checkpoint", "--experimental-enable-lease-checkpoint-persist"],
      ["--experimental-enable-lease-checkpoint-persist"]
    )
    let server = try accepted(both).server
    #expect(server.leaseCheckpoint && server.leaseCheckpointPersist)
    #expect(
      refusal(persist)?.message
        == "setting experimental-enable-lease-checkpoint-persist requires"
        + " experimental-enable-lease-checkpoint")
    let found = try accepted(["--experimental-enable-lease-checkpoint"])
    #expect(found.notices.contains { $0.message.contains("checkpointing is enabled without") })
  }

  @Test func versionsOfTLSBelongTogether() throws {
    #expect(
      refusal(["--tls-min-version", "TLS1.1"])?.message
        == "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)")
    #expect(
      refusal(["--tls-min-version", "TLS1.3", "--tls-max-version", "TLS1.2"])?.message
        == "min version (TLS1.3) is greater than max version (TLS1.2)")
    #expect(
      refusal(["--tls-min-version", "TLS1.3", "--cipher-suites", "X"])?.message
        == "cipher suites cannot be configured when only TLS1.3 is enabled")
    let found = try accepted([
      "--initial-advertise-peer-urls", "https://a:1", "--initial-cluster", "default=https://a:1",
      "--peer-cert-allowed-cn", "a,b", "--cipher-suites", "",
    ]).server
    #expect(found.peerTLS.allowedCommonNames == ["a", "b"] && found.cipherSuites.isEmpty)
    #expect(found.initialClusterProblem == nil)
  }

  @Test func compactionIsReadByMode() throws {
    func read(_ mode: String, _ text: String) throws -> AutoCompaction? {
      try accepted(["--auto-compaction-mode", mode, "--auto-compaction-retention", text]).server
        .autoCompaction
    }
    #expect(try read("periodic", "0") == nil)
    #expect(try read("periodic", "") == nil)
    #expect(try read("periodic", "2") == .periodic(.seconds(7200)))
    #expect(try read("periodic", "90s") == .periodic(.seconds(90)))
    #expect(try read("periodic", "0s") == nil)
    #expect(try read("revision", "1000") == .revision(1000))
    #expect(try read("revision", "1h") == .revision(3_600_000_000_000))
    #expect(try read("revision", "1000ns") == .revision(1000))
    for bad in [["revision", "-1h"], ["periodic", "-1h"], ["periodic", "9223372036854775807"]] {
      let line = ["--auto-compaction-mode", bad[0], "--auto-compaction-retention", bad[1]]
      #expect(refusal(line)?.message.hasPrefix("error parsing CompactionRetention: ") == true)
    }
  }

  @Test func logIsConfigured() throws {
    let log = try accepted([
      "--log-outputs", "stderr,stdout,/tmp/x.log", "--log-level", "debug", "--log-format",
      "console",
    ]).log
    #expect(log.outputs == [.standardError, .standardOutput, .file("/tmp/x.log")])
    #expect(log.level == "debug")
    #expect(log.format == .console)
    for (given, level) in [
      ("DEBUG", "debug"), ("Info", "info"), ("dpanic", "dpanic"), ("", "info"), ("wArN", "warn"),
    ] {
      #expect(try accepted(["--log-level", given]).log.level == level)
    }
    #expect(
      try accepted(["--log-outputs", "stderr,/dev/null"]).log.outputs == [.file("/dev/null")])
    #expect(try accepted(["--log-outputs", "systemd/journal"]).log.outputs == [.journal])
    #expect(
      refusal(["--log-outputs", "systemd/journal,stderr"])?.message
        == "running with systemd/journal but other '--log-outputs' values"
        + " ([\"systemd/journal\" \"stderr\"]) are configured with 'default'; override 'default'"
        + " value with something else")
    #expect(refusal(["--log-level", "loud"])?.message == "unrecognized level: \"loud\"")
    #expect(refusal(["--log-format", "xml"])?.message.contains("\"xml\"") == true)
  }

  @Test func logRotationIsReadAsLumberjacks() throws {
    func read(_ outputs: String, _ text: String?) throws -> LogConfig.Rotation? {
      let json = text.map { ["--log-rotation-config-json", $0] } ?? []
      return try accepted(["--enable-log-rotation", "--log-outputs", outputs] + json).log.rotation
    }
    #expect(try read("/tmp/a.log", nil) == LogConfig.Rotation())
    #expect(try accepted(["--log-outputs", "/tmp/a.log"]).log.rotation == nil)
    let found = try read(
      "stderr,/tmp/a.log",
      #"{"MaxSize": 1, "maxage": 2, "maxbackups": 3, "localtime": true, "compress": true, "x": []}"#
    )
    var expected = LogConfig.Rotation()
    (expected.maxSize, expected.maxAge, expected.maxBackups) = (1, 2, 3)
    (expected.localTime, expected.compress) = (true, true)
    #expect(found == expected)
    let single =
      "--log-outputs requires a single file path when --log-rotate-config-json is defined"
    for (outputs, text, message) in [
      ("default", "{}", single), ("stderr", "{}", single), ("/tmp/a,/tmp/b", "{}", single),
      (
        "/tmp/a", #"{"maxsize": true}"#,
        "invalid log rotation config: json: cannot unmarshal bool into Go struct field"
          + " logRotationConfig.Logger.maxsize of type int"
      ),
      (
        "/tmp/a", #"{"compress": 1}"#,
        "invalid log rotation config: json: cannot unmarshal number into Go struct field"
          + " logRotationConfig.Logger.compress of type bool"
      ),
      (
        "/tmp/a", #"{"maxsize": true"#,
        "improperly formatted log rotation config: unexpected end of JSON input"
      ),
    ] {
      let line = [
        "--enable-log-rotation", "--log-outputs", outputs, "--log-rotation-config-json", text,
      ]
      #expect(refusal(line)?.message == message)
    }
  }

  /// Old files name what etcd 3.6 no longer has; etcd 3.5 warns and goes on.
  @Test func deprecatedFlagsWarnWhateverTheirValue() throws {
    for (flag, value) in [
      ("proxy", "off"), ("enable-v2", "false"), ("proxy-failure-wait", "10"),
      ("proxy-refresh-interval", "30000"), ("experimental-enable-v2v3", "v2v3"),
    ] {
      let line = "--\(flag) is deprecated in 3.5 and will be decommissioned in 3.6."
      #expect(try accepted(["--\(flag)=\(value)"]).notices.contains { $0.message == line })
      #expect(!(try accepted([]).notices.contains { $0.message == line }))
    }
    #expect(try accepted(["--backend-bbolt-freelist-type=list"]).server.name == "default")
  }

  @Test func proxiesAdvertiseNothing() throws {
    let listens = ["--listen-client-urls", "http://127.0.0.1:2379"]
    #expect(refusal(listens)?.message.hasPrefix("--advertise-client-urls is required") == true)
    #expect(try accepted(["--proxy", "on"] + listens).server.proxy.mode == .on)
    let proxy = try accepted([
      "-proxy", "readonly", "--proxy-failure-wait=1", "--proxy-refresh-interval=2",
      "--proxy-dial-timeout=3", "--proxy-write-timeout=4", "--proxy-read-timeout=5",
    ]).server.proxy
    #expect(proxy.mode == .readonly && proxy.failureWait == .milliseconds(1))
    #expect(proxy.refreshInterval == .milliseconds(2) && proxy.dialTimeout == .milliseconds(3))
    #expect(proxy.writeTimeout == .milliseconds(4) && proxy.readTimeout == .milliseconds(5))
    let longest = try accepted(["--proxy-read-timeout", "18446744073709551615"]).server.proxy
    #expect(longest.readTimeout == .seconds(10 * 365 * 86_400))
  }

  @Test func sizesBeyondReasonAreNoted() throws {
    let found = try accepted([
      "--max-request-bytes", "20000000", "--quota-backend-bytes", "9000000000",
      "--snapshot-count", "0", "--listen-peer-urls", "http://0.0.0.0:2380",
    ])
    #expect(
      Set(found.notices.map(\.message)).isSuperset(of: [
        "exceeded recommended request limit", "quota exceeds the recommended maximum",
        "set snapshot count to default",
        "listening on all addresses but advertising localhost; other machines cannot reach this"
          + " member",
      ]))
    #expect(found.server.snapshotCount == 100_000)
  }

  @Test func bootstrapComparesResolvedNames() throws {
    let config = try accepted([
      "--initial-advertise-peer-urls", "http://10.0.0.1:2380", "--initial-cluster",
      "default=http://node1:2380",
    ]).server
    #expect(config.bootstrapProblem { $0 == "node1:2380" ? "10.0.0.1:2380" : nil } == nil)
    #expect(
      config.bootstrapProblem { _ in "10.0.0.2:2380" }
        == "--initial-cluster has default=http://node1:2380 but missing from"
        + " --initial-advertise-peer-urls=http://10.0.0.1:2380 (\"http://10.0.0.1:2380\"(resolved"
        + " from \"http://10.0.0.1:2380\") != \"http://10.0.0.2:2380\"(resolved from"
        + " \"http://node1:2380\"))")
    #expect(config.bootstrapProblem { _ in nil }?.contains("failed to resolve") == true)
    var joining = config
    joining.isNewCluster = false
    #expect(joining.bootstrapProblem { _ in nil } == nil)
  }

  @Test(arguments: V2Deprecation.allCases) func theV2APIEndsWithItsStages(_ stage: V2Deprecation) {
    let found = refusal(["--enable-v2", "--v2-deprecation=\(stage.rawValue)"])
    let message =
      "--enable-v2 and --v2-deprecation=\(stage.rawValue) are mutually exclusive"
    #expect(found?.message == (stage == .notYet ? nil : message))
    #expect(refusal(["--v2-deprecation=\(stage.rawValue)"]) == nil)
  }

  @Test func theV2APIIsServedOfTheV2StoreAlone() {
    let prefix = "--experimental-enable-v2v3=/v2"
    #expect(refusal([prefix]) == nil)
    #expect(refusal(["--enable-v2", "--experimental-enable-v2v3="]) == nil)
    // The last value counts.
    #expect(refusal(["--enable-v2", prefix, "--experimental-enable-v2v3="]) == nil)
    #expect(refusal(["--enable-v2"], ["ETCD_EXPERIMENTAL_ENABLE_V2V3": "/v2"])?.exitCode == 1)
    let found = refusal(["--enable-v2", prefix])
    #expect(found?.message.hasPrefix("--experimental-enable-v2v3 is not supported: ") == true)
    #expect(found?.message.contains("etcdctl migrate") == true)
  }
}
