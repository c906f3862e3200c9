import Testing

@testable import EtcdConfig

/// What a configuration file does to everything else, and what is said about it.
@Suite struct ConfigFileRuleTests {
  private func warnings(_ notices: [Notice]) -> [String] {
    notices.filter { $0.level == .warn }.map { notice in
      notice.message + notice.fields.map { " \($0.name)=\($0.value)" }.joined()
    }
  }

  @Test func aFileCountsAlone() throws {
    let found = try accepted(
      ["--config-file=c.yml", "--name=line", "--max-txn-ops", "7"],
      ["ETCD_NAME": "variable", "ETCD_PRE_VOTE": "nonsense", "ETCD_VERIFY": "all", "HOME": "/"],
      files: ["c.yml": "max-wals: 3\ndata-dir: d\n"])
    #expect(found.server.name == "default" && found.server.maxTxnOps == 128)
    #expect(found.server.maxWALs == 3 && found.server.verifies)
    #expect(
      found.notices.first?.message
        == "loaded server configuration, other configuration command line flags and environment"
        + " variables will be ignored if provided")
    #expect(found.notices.first?.fields.map(\.value) == ["c.yml"])
    #expect(
      warnings(found.notices) == [
        "the configuration file counts alone; flags and variables besides it are ignored"
          + " ignored=--max-txn-ops,--name,ETCD_NAME,ETCD_PRE_VOTE"
      ])
  }

  @Test func theVariableNamesAFileToo() throws {
    let files = ["a": "name: a", "b": "name: b"]
    #expect(try accepted([], ["ETCD_CONFIG_FILE": "a"], files: files).server.name == "a")
    #expect(
      try accepted(["--config-file", "b"], ["ETCD_CONFIG_FILE": "a"], files: files).server.name
        == "b")
    #expect(
      try accepted(["--config-file", ""], ["ETCD_CONFIG_FILE": ""], files: files).server.name
        == "default")
  }

  @Test func aBadCommandLineIsOneNevertheless() {
    let files = ["c.yml": "name: a"]
    let bad = refusal(["--config-file=c.yml", "--none"], files: files)
    #expect(bad?.exitCode == 2 && bad?.usage == true)
    #expect(
      refusal(["--config-file=c.yml", "word"], files: files)?.message
        == "'word' is not a valid flag")
    #expect(
      refusal(["--config-file=x.yml"], files: files)?.message
        == "open x.yml: no such file or directory")
  }

  @Test func whatIsSkippedIsSaid() throws {
    let text = """
      nmae: x
      name: a
      peer-transport-security: {certfile: ''}
      name: b
      enable-v2: true
      auto-compaction-retention: '5'
      data-dir: d
      """
    let found = try accepted(["--config-file", "c.yml"], files: ["c.yml": text])
    #expect(found.server.name == "b" && found.server.autoCompaction == nil)
    #expect(found.server.enableV2)
    #expect(
      warnings(found.notices) == [
        "skipped a key that no version of etcd in use has; did you mean name? key=nmae place=c.yml:1:1",
        "skipped a key that no version of etcd in use has; did you mean"
          + " peer-transport-security.cert-file? key=peer-transport-security.certfile place=c.yml:3:27",
        "a key comes again; what it says here counts, not line 2 key=name place=c.yml:4:1",
        "auto-compaction-retention does nothing without auto-compaction-mode"
          + " auto-compaction-retention=5",
      ])
  }

  /// Each key sets the field that its flag sets.
  @Test(arguments: ConfigFileKey.all.map(\.path))
  func everyKeyIsItsFlag(_ path: String) throws {
    let key = try #require(ConfigFileKey.byPath[path])
    guard let name = key.flag, let flag = FlagTable.byName[name] else {
      #expect(
        path == "client-transport-security.allowed-cn" || ConfigFileKey.idle[path] != nil)
      return
    }
    let (written, value): (String, String) =
      switch flag.kind {
      case .bool:
        (flag.fallback == "true" ? "false" : "true", flag.fallback == "true" ? "false" : "true")
      case .unsigned, .unsigned32, .signed: ("77", "77")
      case .duration: ("77000000000", "77s")
      case .choice(let valid, _):
        { ("'\($0)'", $0) }(valid.first { $0 != flag.fallback } ?? "")
      case .urls: ("'http://127.0.0.1:77'", "http://127.0.0.1:77")
      case .text, .words, .retired:
        ConfigFileKey.lists.contains(path) ? ("[one, two]", "one,two") : ("'one'", "one")
      }
    let entry = "\(key.name): \(written)"
    let around = (key.section ?? "").split(separator: ".")
    let text = (around.map { "\($0):" } + [entry]).enumerated().map { depth, line in
      String(repeating: "  ", count: depth) + line
    }.joined(separator: "\n")
    let contents = try ConfigFile.read(Array(text.utf8), path: "c")
    let given = try #require(contents.given.first)
    #expect(given.name == name)
    #expect(given.value == (try flag.read(value)))
    #expect(given.origin == .file("c", line: around.count + 1))
    #expect(contents.notices.isEmpty)
  }

  /// The nested form of etcd 3.6.
  @Test func discoveryHasASectionOfItsOwn() throws {
    let text = """
      data-dir: d
      discovery-config:
        token: t
        client:
          endpoints: ['a:1', 'https://b:2']
          dial-timeout: 3000000000
          keepalive-timeout:
          max-recv-bytes: 77
          secure: {cacert: /ca, server-name: registry, insecure-transport: false}
          auth: {username: u, password: p}
      """
    let found = try accepted(["--config-file", "c.yml"], files: ["c.yml": text])
    let registry = found.server.registry
    #expect(registry.endpoints == ["a:1", "https://b:2"] && registry.token == "t")
    #expect(registry.dialTimeout == .seconds(3) && registry.requestTimeout == .seconds(5))
    #expect(registry.keepaliveTimeout == .seconds(6))
    #expect(registry.trustedCAFile == "/ca" && registry.serverName == "registry")
    #expect(!registry.isTransportInsecure && registry.user == "u" && registry.password == "p")
    #expect(
      warnings(found.notices) == [
        "answers of a discovery service have a bound of their own, so this does nothing"
          + " key=discovery-config.client.max-recv-bytes place=c.yml:8:21"
      ])
    for (text, words) in [
      ("discovery-config: t", "discovery-config: a mapping of keys to values expected"),
      ("discovery-config:\n  client: [a]", "discovery-config.client: a mapping of keys to values"),
      ("discovery-config:\n  client:\n    endpoints: a:1", "endpoints: a list of texts expected"),
      ("discovery-config:\n  client:\n    dial-timeout: 3s", "write 3000000000"),
      ("discovery-config:\n  client:\n    max-recv-bytes: x", "a whole number from"),
      ("discovery-config:\n  client:\n    secure: {insecure-transport: 'false'}", "true or false"),
      ("discovery-config: {token: t}", "both --discovery-token and --discovery-endpoints must be"),
    ] {
      let refused = try #require(refusal(["--config-file=c.yml"], files: ["c.yml": text]))
      #expect(refused.message.contains(words), "\(refused)")
    }
    let old = "discovery-endpoints: [a]\ndiscovery-config: {a: 1}\ndata-dir: d"
    let flat = try accepted(["--config-file=c.yml"], files: ["c.yml": old])
    #expect(flat.server.registry == RegistryAccess())
    #expect(
      warnings(flat.notices) == [
        "skipped a key that no version of etcd in use has; did you mean"
          + " discovery-config.client.endpoints? key=discovery-endpoints place=c.yml:1:1",
        "skipped a key that no version of etcd in use has key=discovery-config.a place=c.yml:2:20",
      ])
  }

  @Test func filesOfVariablesAreToldApart() throws {
    let text = """
      # [Member]
      ETCD_NAME="it's"
      export ETCD_DATA_DIR=/var/lib/etcd  # here
      ETCD_ENABLE_V2="true"
      ETCD_CERT_FILE='/c.pem'
      ETCD_LOG_OUTPUTS=stderr,/tmp/x
      ETCD_GRPC_KEEPALIVE_MIN_TIME=5s
      ETCD_DISCOVERY_CERT=/d.pem
      ETCD_DISCOVERY_TOKEN=t
      ETCD_UNKNOWN=1
      OTHER=2
      """
    let found = try #require(refusal(["--config-file=e.conf"], files: ["e.conf": text]))
    #expect(
      found.message
        == "e.conf:2:1: this is a file of environment variables (ETCD_NAME=…), --config-file takes YAML."
        + " Either have them set and start etcd without --config-file (systemd: EnvironmentFile=e.conf;"
        + " shell: set -a; . e.conf; set +a; etcd), or write this instead:\n"
          + """
          name: 'it''s'
          data-dir: '/var/lib/etcd'
          enable-v2: true
          log-outputs: ['stderr', '/tmp/x']
          grpc-keepalive-min-time: 5000000000
          client-transport-security:
            cert-file: '/c.pem'
          discovery-config:
            token: 't'
            client:
              secure:
                cert: '/d.pem'
          """)
    #expect(EnvironmentFile(Array("name: a\nETCD_NAME=b".utf8)) == nil)
    #expect(EnvironmentFile(Array("ETCD_lower=b".utf8)) == nil)
    #expect(EnvironmentFile([]) == nil)
    let advice = try #require(EnvironmentFile(Array("ETCD_NAME=a\nETCD_PRE_VOTE=f".utf8))).yaml
    let read = try accepted(["--config-file", "c"], files: ["c": advice.joined(separator: "\n")])
    #expect(read.server.name == "a" && !read.server.preVote)
  }

  @Test func aCheckSaysWhereEachValueComesFrom() throws {
    func check(_ arguments: [String], _ environment: [String: String] = [:]) throws -> [String] {
      let line = CommandLine.parse(
        arguments + ["--check-config"], environment: environment,
        readFile: reader(["c.yml": "\nname: m\nlog-outputs: [stderr]\nnope: 1\n"]))
      guard case .checked(let text) = line else {
        Issue.record("not checked: \(line)")
        return []
      }
      return text.split(separator: "\n").map { row in
        row.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
      }
    }
    let file = try check(["--config-file", "c.yml"])
    for row in [
      "name m c.yml:2", "log-outputs stderr c.yml:3", "data-dir m.etcd default",
      "max-wals 5 default", "initial-cluster m=http://localhost:2380 default",
      "auto-compaction-mode '' default",
      "warning: skipped a key that no version of etcd in use has key=nope place=c.yml:4:1",
    ] {
      #expect(file.contains(row), "\(row)")
    }
    let flags = try check(["--max-wals=6", "--initial-cluster=a=http://b:1"], ["ETCD_NAME": "v"])
    for row in [
      "name v variable ETCD_NAME", "max-wals 6 flag --max-wals",
      "auto-compaction-mode periodic default",
      "warning: with an empty data directory a start would fail (names are not looked up): couldn't find"
        + " local name \"v\" in the initial cluster configuration",
    ] {
      #expect(flags.contains(row), "\(row)")
    }
    #expect(!file.contains { $0.hasPrefix("config-file") || $0.hasPrefix("check-config") })
    #expect(refusal(["--check-config", "--election-timeout=1"])?.exitCode == 1)
  }

  /// What etcd's own sample file sets, key for key; its comments are not ours to copy.
  @Test func theSampleFileLoads() throws {
    let found = try accepted(["--config-file", "s"], files: ["s": SampleFile.text])
    #expect(found.server.snapshotCount == 10_000 && !found.server.strictReconfigCheck)
    #expect(found.server.enablePprof && found.server.enableV2 && found.log.level == "debug")
    #expect(found.log.outputs == [.standardError])
    #expect(found.server.autoCompaction == .periodic(.seconds(3600)))
    #expect(found.server.corsOrigins == ["*"] && found.server.dataDirectory == "default.etcd")
    #expect(found.server.bootstrapProblem { _ in nil } == nil)
    #expect(
      warnings(found.notices) == [
        "'data-dir' was empty; using default data-dir=default.etcd"
      ])
  }
}
