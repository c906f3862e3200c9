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

  @Test(arguments: FlagTable.all.map(\.name))
  func unsupportedFlagIsRefusedUnlessDefault(_ name: String) throws {
    let flag = try #require(FlagTable.byName[name])
    guard case .notYet = flag.support else { return }
    let other: String
    switch flag.kind {
    case .bool: other = flag.fallback == "true" ? "false" : "true"
    case .choice(let valid, _): other = try #require(valid.first { $0 != flag.fallback })
    case .duration: other = "77s"
    case .urls: other = "http://127.0.0.1:77"
    case .unsigned, .unsigned32, .signed: other = "77"
    case .text, .words, .retired: other = "other"
    }
    let found = try #require(refusal(["--\(name)=\(other)"]))
    #expect(found.message == "--\(name) is not supported by this version yet")
    #expect(found.exitCode == 1)
    #expect(refusal([], [flag.environmentName: other])?.message == found.message)
    #expect(refusal(["--\(name)=\(flag.fallback)"]) == nil)
    #expect(refusal(["--\(name)=\(other)", "--\(name)=\(flag.fallback)"]) == nil)
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

  @Test func tlsAndModesAreRefused() {
    #expect(
      refusal([
        "--listen-client-urls", "https://127.0.0.1:1", "--advertise-client-urls", "http://a:1",
      ])?.message.contains("TLS is not supported by this version yet") == true)
    #expect(
      refusal(["--initial-advertise-peer-urls", "https://a:1"])?.message.contains("TLS") == true)
    #expect(
      refusal(["--initial-cluster", "default=http://localhost:2380,b=https://b:1"])?.message
        .contains("TLS") == true)
    for mode in ["gateway", "grpc-proxy"] {
      #expect(refusal([mode, "start"])?.message.contains(mode) == true)
    }
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
    for bad in [["revision", "1h"], ["periodic", "-1h"], ["periodic", "9223372036854775807"]] {
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
    #expect(refusal(["--log-level", "loud"])?.message == "unrecognized level: \"loud\"")
    #expect(refusal(["--log-format", "xml"])?.message.contains("\"xml\"") == true)
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
}

@Suite struct HostPortTests {
  @Test func addressesAreTold() {
    for text in ["::1", "fe80::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "::"] {
      #expect(HostPort.isIPv6(text), "\(text)")
    }
    for text in ["", ":", "1::2::3", "12345::", "g::", "1:2:3", "1:2:3:4:5:6:7:8:9", ":::"] {
      #expect(!HostPort.isIPv6(text), "\(text)")
    }
    #expect(HostPort.isIPv4("127.0.0.1"))
    for text in ["256.0.0.1", "1.2.3", "01.2.3.4", "a.b.c.d", "1.2.3.4.5"] {
      #expect(!HostPort.isIPv4(text), "\(text)")
    }
    #expect(HostPort("[::1]:80")?.host == "::1")
    for text in ["a", "[::1]", "::1:80", "[a:80", "a:80]", ""] { #expect(HostPort(text) == nil) }
  }
}
